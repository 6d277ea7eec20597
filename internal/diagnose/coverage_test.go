package diagnose

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/spent"
)

// covers is what it means that a gauge bounds connections of a flow; coverage only finds
// those gauges sooner.
func covers(f flow, g limit.Gauge) bool {
	s := g.Subject
	switch {
	case g.Bounds&f.direction == 0:
		return false
	case g.Limit.Scope == limit.Peer && s.Source == "" && s.Destination == "":
		return f.destination == ""
	case g.Limit.Scope == limit.Peer && s.Destination == "":
		return s.Source == f.source
	case g.Limit.Scope == limit.Peer:
		return s.Source == f.source && s.Destination == f.destination
	case g.Limit.Scope == limit.Listener:
		return s.Listener == f.listener
	case g.Limit.Scope == limit.User:
		return f.uid != "" && s.UID == f.uid
	case s.PID != 0:
		return slices.Contains(f.pids, s.PID)
	case s.Cgroup != "":
		return slices.ContainsFunc(f.cgroups, func(c string) bool {
			return s.Cgroup == "/" || c == s.Cgroup ||
				strings.HasPrefix(c, s.Cgroup+"/")
		})
	}
	for _, pid := range f.pids {
		if !slices.Contains(g.Spares, pid) {
			return true
		}
	}
	return len(f.pids) == 0
}

func TestCoverage(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	pid := func() int64 { return int64(r.IntN(4)) }
	for range 3000 {
		var gauges []limit.Gauge
		scopes := []limit.Scope{limit.Peer, limit.Listener, limit.Process, limit.Cgroup,
			limit.User, limit.Netns, limit.Host}
		for range 1 + r.IntN(8) {
			g := limit.Gauge{Limit: &limit.Limit{Scope: scopes[r.IntN(len(scopes))]},
				Bounds: limit.Direction(r.IntN(4))}
			g.Subject = limit.Subject{
				Source: pick("", "a", "b"), Destination: pick("", "x", "y"),
				Listener: pick("", "l", "m"), PID: pid(),
				Cgroup: pick("", "/", "/a", "/a/b", "/ab"), UID: pick("", "0", "1"),
			}
			g.Spares = slices.Repeat([]int64{pid()}, r.IntN(2))
			gauges = append(gauges, g)
		}
		f := flow{
			direction: limit.Direction(1 + r.IntN(2)), source: pick("", "a", "b"),
			destination: pick("", "x", "y"),
			listener:    pick("", "l", "m"), uid: pick("", "0", "1"),
			pids: slices.Repeat([]int64{pid()}, r.IntN(3)),
			cgroups: slices.Repeat([]string{pick("", "/", "/a", "/a/b/c", "/ab/c")},
				r.IntN(3)),
		}
		var want []int
		for i, g := range gauges {
			if covers(f, g) {
				want = append(want, i)
			}
		}
		if got := newCoverage(gauges).of(f); !slices.Equal(got, want) {
			t.Fatalf("%+v: gauges %v, want %v of\n%+v", f, got, want, gauges)
		}
	}
}

// many is a host with that many of everything.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "listener 10.0.0.1:%d = queue=6 limit=5 drops=9 pid=%d process=p\n",
			i, i)
		fmt.Fprintf(&b,
			"process %d = name=p uid=%d soft=10 hard=10 files=10 cgroup=/a/%d "+
				"epoll=1\n", i, i, i)
		fmt.Fprintf(&b, "outbound 10.0.0.1->9:%d = ESTABLISHED=30000 ranged=30000 pid=%d\n",
			i, i)
		fmt.Fprintf(&b, "cgroup /a/%d = version=2 pids_max=9 pids_current=9\n", i)
	}
	return b.String()
}

// How many gauges are looked at for a flow does not depend on how many flows there are.
func TestWorkIsLinear(t *testing.T) {
	looked := func(n int) (each int) {
		s := snapshot(t, ports+many(n))
		e := evaluate(s, Options{})
		flows := listenerFlows(s.Read())
		for _, to := range destinationFlows(s.Read()) {
			flows = append(flows, to...)
		}
		for _, f := range flows {
			each += len(e.coverage().of(f))
		}
		return each / len(flows)
	}
	if few, more := looked(20), looked(400); more > few {
		t.Errorf("%d gauges for each flow of 20 hosts' worth, %d of 400", few, more)
	}
}

// Listeners that the same thousands of processes hold are looked at up to a bound that is one for
// all of them, and what lies beyond is not seen, so that nothing is said to be exact there.
func TestHoldersAreBounded(t *testing.T) {
	const listeners, processes = 60, 1500
	pids := "1"
	for i := 2; i <= processes; i++ {
		pids += "," + strconv.Itoa(i)
	}
	var b strings.Builder
	for i := range listeners {
		fmt.Fprintf(&b, "listener 10.0.0.1:%d = queue=0 limit=5 process=p pids=%s\n",
			i+10, pids)
	}
	for i := range processes {
		fmt.Fprintf(&b, "process %d = name=p\n", i+1)
	}
	held := 0
	flows := listenerFlows(snapshot(t, ports+b.String()).Read())
	for _, f := range flows {
		held += len(f.holders)
	}
	first, last := flows[0], flows[len(flows)-1]
	if held > mostHolders || len(first.holders) != processes || first.ownerless {
		t.Errorf("%d holders are looked at, %d of the first listener", held,
			len(first.holders))
	}
	if len(flows) != listeners || len(last.holders) == processes || !last.ownerless {
		t.Errorf("the last listener has %d holders, and is not unseen", len(last.holders))
	}
}

// A benchmark at one and at ten times the size: ns/row is the same where the work is linear.
func BenchmarkCheck(b *testing.B) {
	for name, n := range map[string]int{"1x": 400, "10x": 4000} {
		s, err := host.Parse([]byte("maxconn.snapshot/1\n" + many(n) + "end\n"))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Check(s, Options{})
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(4*n),
				"ns/row")
		})
	}
}

// Whatever a snapshot says, judging it takes no more than its size is worth.
func FuzzCheck(f *testing.F) {
	f.Add(ports + many(2))
	f.Fuzz(func(t *testing.T, facts string) {
		s, err := host.Parse([]byte("maxconn.snapshot/1\n" + facts + "\nend\n"))
		if err != nil {
			return
		}
		spent.Within(t, len(facts), func() { Check(s, Options{}) })
	})
}
