package plan

import (
	"slices"
	"strings"
	"testing"

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
