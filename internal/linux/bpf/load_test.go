//go:build linux

package bpf

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What an error means for a program has three outcomes, and words for each, on one line.
func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Outcome
	}{
		{nil, Works},
		{refusal("x", fmt.Errorf("load: %w", unix.EPERM)), Forbidden},
		{refusal("x", fmt.Errorf("load: %w", unix.EACCES)), Absent}, // by the verifier
		{refusal("x", unix.EINVAL), Absent},
		{refusal("y", &Error{"x", Forbidden, "y", nil}), Forbidden},
		{errors.New("anything"), Absent},
	} {
		if have := OutcomeOf(c.err); have != c.want {
			t.Errorf("%v: %s, want %s", c.err, have, c.want)
		}
		if c.err != nil && strings.Contains(c.err.Error(), "\n") {
			t.Errorf("%q", c.err)
		}
	}
	e := &Error{"x", Absent, "a hook", errors.New("one\ntwo")}
	if want := "eBPF program x: absent: a hook: one"; e.Error() != want {
		t.Errorf("%q, want %q", e.Error(), want)
	}
}
