package plan

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// What only TIME_WAIT is left of is no destination: on a host where both ends were, that is
// the client's end of what a server closed.
func TestMostPassesOverWhatHasEnded(t *testing.T) {
	s, err := host.Parse([]byte(strings.Join([]string{
		"maxconn.snapshot/1",
		"outbound 10.0.0.1->10.0.0.2:5432 = ESTABLISHED=3 TIME_WAIT=9 ranged=12",
		"outbound 127.0.0.1->127.0.0.1:40001 = TIME_WAIT=1 ranged=1",
		"outbound 127.0.0.1->127.0.0.1:40002 = TIME_WAIT=7 ranged=7",
		"end", "",
	}, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := present(s).Outbound,
		[]limit.Goal{{Subject: "10.0.0.2:5432", Held: 1}}; !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// What many goals share is asked once how far it can be lifted: it would be asked as often as there
// are listeners of the same processes, for each of which there is a row of the snapshot.
func TestSharedGaugesAreAskedOnce(t *testing.T) {
	files := limit.Find("process-files")
	if files == nil {
		t.Fatal("no process-files")
	}
	asked := func(goals, processes int) (times int) {
		var needs []diagnose.Need
		for process := range processes {
			g := limit.Gauge{Limit: files, Ceiling: 10, Measure: limit.Held,
				Subject: limit.Subject{Name: strconv.Itoa(process)},
				Lift: func(int64) []limit.Remedy {
					times++
					return nil
				}}
			for goal := range goals {
				n := diagnose.Need{Gauge: &g, Sharers: 1}
				n.Goal.Subject = strconv.Itoa(goal)
				needs = append(needs, n)
			}
		}
		found := (&maker{}).hardCeilings(slices.Values(needs))
		if len(found) != goals {
			t.Errorf("%d goals have a ceiling, of %d", len(found), goals)
		}
		return times
	}
	one, many, two := asked(1, 1), asked(1000, 1), asked(1, 2)
	if one == 0 || many != one || two != 2*one {
		t.Errorf("a process is asked %d times for one goal, %d times for 1000; two are "+
			"asked %d times", one, many, two)
	}
}
