//go:build linux

package faults

import (
	"slices"
	"testing"

	"github.com/maxconn/maxconn/internal/diagnose/without"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// No verdict of a fault gets better by what is not known.
func TestUnseenIsNoBetter(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			f.make(w)
			s := w.snapshot(f.check...)
			for _, c := range without.Complaints(s, limit.Workload{}) {
				t.Error(c)
			}
			if t.Failed() {
				t.Logf("%s", s.Text())
			}
		})
	}
}

// snapshot is what maxconn observe sees inside the lab, with the window of a check.
func (w world) snapshot(check ...string) host.Snapshot {
	w.Helper()
	args := []string{"observe"}
	if i := slices.Index(check, "--for"); i >= 0 {
		args = append(args, check[i:i+2]...)
	}
	s, err := host.Parse(w.maxconn("", args...).Stdout)
	w.must(err)
	return s
}
