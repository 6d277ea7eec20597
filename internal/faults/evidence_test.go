//go:build linux

package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/lab"
)

// fine holds a namespace to a verdict without critical findings and warnings.
func (w world) fine(args ...string) {
	w.Helper()
	r, out := w.check(args...)
	for _, f := range r.Findings {
		if f.Severity != diagnose.Info {
			w.Errorf("%s %s %s: %s", f.Severity, f.Limit, f.Subject, f.Cause)
		}
	}
	if out.Code != 0 || r.Verdict != diagnose.Holds {
		w.Errorf("exit status %d, verdict %s", out.Code, r.Verdict)
	}
}

// A pool whose peer has closed all connections a moment ago: the program could not have closed
// them yet.
func TestPoolClosedByThePeerIsNoLeakYet(t *testing.T) {
	w := newWorld(t)
	l := w.listen(5432, 128)
	_, accepted := w.connect(l, lab.ConnectSpec{To: at(5432), N: 60})
	_, err := w.server.Close(accepted.Group, lab.CloseSpec{})
	w.must(err)
	w.fine()
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
