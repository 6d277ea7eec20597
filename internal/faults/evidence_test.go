//go:build linux

package faults

import (
	"testing"

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
