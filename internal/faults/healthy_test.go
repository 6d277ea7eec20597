//go:build linux

package faults

import (
	"testing"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/lab"
)

// The control run: 5,000 healthy connections, both directions, TIME_WAIT of ordinary
// closing among them, give no warning.
func TestHealthyNamespaceGivesNoWarning(t *testing.T) {
	w := newWorld(t)
	l := w.listen(8080, 4096)
	w.connect(l, lab.ConnectSpec{To: at(8080), N: 5000})
	w.closeFirst(w.connect(l, lab.ConnectSpec{To: at(8080), N: 500}))
	r, out := w.check()
	for _, f := range r.Findings {
		if f.Severity != diagnose.Info {
			t.Errorf("%s %s %s: %s", f.Severity, f.Limit, f.Subject, f.Cause)
		}
	}
	if out.Code != 0 || r.Verdict != diagnose.Holds {
		t.Errorf("exit status %d, verdict %s", out.Code, r.Verdict)
	}
	if r.Capacity.Outbound[0].Held != 28232 || len(r.Capacity.Inbound) != 1 ||
		r.Capacity.Inbound[0].Now < 5000 {
		t.Errorf("capacity %+v", r.Capacity)
	}
}

// A snapshot carried elsewhere gives the same verdict, byte for byte.
func TestObserveThenCheckEqualsCheck(t *testing.T) {
	w := newWorld(t)
	l := w.listen(8080, 16)
	w.connect(l, lab.ConnectSpec{To: at(8080), N: 10})
	for _, form := range [][]string{nil, {"--json"}, {"--md"}} {
		direct := w.maxconn("", append([]string{"check"}, form...)...)
		snapshot := w.maxconn("", "observe")
		carried := w.maxconn(string(snapshot.Stdout),
			append([]string{"check", "--from", "-"}, form...)...)
		if string(direct.Stdout) != string(carried.Stdout) || direct.Code != carried.Code {
			t.Errorf("%v: check\n%s\nobserve | check --from -\n%s%s", form,
				direct.Stdout, carried.Stdout, carried.Stderr)
		}
	}
}
