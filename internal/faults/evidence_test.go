//go:build linux

package faults

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/lab"
)

// A pool whose peer has closed all connections a moment ago: the program could not have closed
// them yet.
func TestPoolClosedByThePeerIsNoLeakYet(t *testing.T) {
	w := newWorld(t)
	l := w.listen(5432, 128)
	opened, accepted := w.connect(l, lab.ConnectSpec{To: at(5432), N: 60})
	closed := time.Now()
	_, err := w.server.Close(accepted.Group, lab.CloseSpec{})
	w.must(err)
	w.reach(w.client, opened, "CLOSE_WAIT")
	r, out := w.check()
	if time.Since(closed) > 2*time.Second {
		t.Skip("it took so long to look that a program would have closed them by then")
	}
	for _, f := range r.Findings {
		if f.Severity != diagnose.Info {
			t.Errorf("%s %s %s: %s", f.Severity, f.Limit, f.Subject, f.Cause)
		}
	}
	if out.Code != 0 || r.Verdict != diagnose.Holds {
		t.Errorf("exit status %d, verdict %s", out.Code, r.Verdict)
	}
}

// A plan does not call a listener fit that nobody serves, whatever its figures.
func TestPlanForAListenerThatNobodyServes(t *testing.T) {
	w := newWorld(t)
	w.connect(w.listen(8080, 5), lab.ConnectSpec{To: at(8080)})
	w.knock(8080, 8)
	w.await(func() bool { return w.counter("TcpExt.ListenOverflows") > 0 })
	time.Sleep(2100 * time.Millisecond) // so long does no queue wait that somebody serves
	out := w.maxconn("", "plan", "--inbound", ":8080=5")
	if out.Code != 1 || !strings.Contains(string(out.Stdout), "does not accept") {
		t.Errorf("exit status %d\n%s", out.Code, out.Stdout)
	}
	r, _ := w.check("--inbound", "127.0.0.1:8080=5")
	if len(r.Workload) != 1 || r.Workload[0].Verdict != diagnose.DoesNotHold {
		t.Errorf("%+v", r.Workload)
	}
}

// burst has more clients come at once than the queue takes, and takes all that got in.
func (w world) burst(l lab.Group, clients int) {
	w.Helper()
	w.knock(8080, clients)
	_, err := w.server.Accept(lab.AcceptSpec{Listener: l, N: 6})
	w.must(err)
}

// A queue that was empty again whenever somebody looked has refused as many all the same.
func TestBurstsAreSeenBetweenThem(t *testing.T) {
	w := newWorld(t)
	l := w.listen(8080, 5)
	w.burst(l, 30)
	r, out := w.check()
	if out.Code != 1 || len(r.Findings) == 0 || r.Findings[0].Limit != "accept-queue" ||
		!strings.Contains(r.Findings[0].Subject, "127.0.0.1:8080") {
		t.Errorf("exit status %d, findings %+v", out.Code, r.Findings)
	}
}

// One sample looks at the counters twice: what is refused while it looks is critical.
func TestSecondLook(t *testing.T) {
	w := newWorld(t)
	l := w.listen(8080, 5)
	w.burst(l, 8) // what was never refused is not looked at twice
	var under sync.WaitGroup
	done := make(chan struct{})
	under.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				w.burst(l, 30)
			}
		}
	})
	r, _ := w.check()
	close(done)
	under.Wait()
	if r.Host.Window != "" || r.Host.Glance == "" || len(r.Findings) == 0 ||
		r.Findings[0].Severity != diagnose.Critical || r.Findings[0].Refused == 0 {
		t.Errorf("%+v, findings %+v", r.Host, r.Findings)
	}
}
