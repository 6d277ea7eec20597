//go:build linux

package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

// What a SO_REUSEPORT group is said to take at once, it takes without a loss; a burst of the sum of
// its queues loses some, because the kernel spreads by hash. With eight queues of 17 the sum is
// spread evenly once in 10,000 times, with longer ones never.
func TestBurstOfAGroup(t *testing.T) {
	for _, c := range []struct{ members, backlog int }{
		{1, 64}, {2, 16}, {2, 127}, {4, 100}, {8, 16}, {16, 511},
	} {
		t.Run(fmt.Sprintf("%d of %d", c.members, c.backlog), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			fits := w.group(c.members, c.backlog).fits
			w.takesAtOnce(fits)

			w = newWorld(t)
			g := w.group(c.members, c.backlog)
			switch sum := c.members * (c.backlog + 1); {
			case c.members == 1 && fits != sum:
				t.Errorf("%d fit, and the queue takes %d", fits, sum)
			case c.members >= 4:
				w.knock(8080, sum)
				if !w.await(func() bool { return g.drops() > 0 }) {
					t.Errorf("a burst of the sum, %d, lost nobody", sum)
				}
			}
		})
	}
}

// A plan for a burst at a group, carried out, has the group take it without a loss.
func TestPlanForABurstOfAGroup(t *testing.T) {
	const members, backlog, burst = 4, 511, 4096
	w := newWorld(t)
	g := w.group(members, backlog)
	w.knock(8080, burst)
	if !w.await(func() bool { return g.drops() > 0 }) {
		t.Fatalf("before the plan %d at once lose nobody", burst)
	}

	w = newWorld(t)
	w.group(members, backlog)
	goal := fmt.Sprintf(":8080=%d@once", burst)
	out := w.maxconn("", "plan", "--json", "--inbound", goal)
	file := filepath.Join(t.TempDir(), "plan.json")
	w.must(os.WriteFile(file, out.Stdout, 0o600))
	if said, err := w.apply(file); err != nil {
		t.Fatalf("%v\n%s\n%s%s", err, said, out.Stdout, out.Stderr)
	}
	r, _ := w.check("--inbound", goal)
	if len(r.Workload) != 1 || r.Workload[0].Verdict != "holds" {
		t.Errorf("after the plan: %+v", r.Workload)
	}
	w.takesAtOnce(burst)
}

// reuseport is a SO_REUSEPORT group on port 8080.
type reuseport struct {
	world
	members []lab.Group
	fits    int // what check says that it takes at once
}

func (w world) group(members, backlog int) reuseport {
	w.Helper()
	g := reuseport{world: w}
	for range members {
		l, _, err := w.server.Listen(lab.ListenSpec{Addr: at(8080), Backlog: backlog,
			ReusePort: true})
		w.must(err)
		g.members = append(g.members, l)
	}
	gauges, r := limit.Find("accept-queue").Evaluate(w.snapshot(), limit.Workload{})
	w.must(r.Err())
	if len(gauges) != 1 {
		w.Fatalf("%d groups: %+v", len(gauges), gauges)
	}
	g.fits = int(gauges[0].Ceiling)
	if n := gauges[0].Fits; n > 0 {
		g.fits = int(n)
	}
	return g
}

// queued is how many connections wait in the queues of the listeners on port 8080, drops how many
// SYNs and ACKs these refused, as sock_diag says.
func (w world) queued() (queued, drops int64) {
	w.Helper()
	for _, row := range w.snapshot().Read().Table(host.ListenerKind) {
		queued, drops = queued+row.Count("queue"), drops+row.Count("drops")
	}
	return queued, drops
}

func (w world) drops() (n int64) {
	_, n = w.queued()
	return n
}

// takesAtOnce has that many clients come at once, each from a port of its own.
func (w world) takesAtOnce(n int) {
	w.Helper()
	w.knock(8080, n)
	var queued, drops int64
	w.await(func() bool {
		queued, drops = w.queued()
		return queued+drops >= int64(n)
	})
	if queued != int64(n) || drops != 0 || w.counter("TcpExt.ListenDrops") != 0 {
		w.Errorf("of %d at once %d wait, %d were dropped", n, queued, drops)
	}
}
