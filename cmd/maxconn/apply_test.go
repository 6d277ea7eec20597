//go:build linux

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/plan"
)

// The plan is shown and asked about; anything but yes changes nothing.
func TestApplyAsks(t *testing.T) {
	p := plan.Plan{Schema: plan.Schema, Changes: []plan.Change{{
		Target:  plan.Target{Kind: host.SysctlKind, Name: "net.core.somaxconn"},
		Setting: "net.core.somaxconn\x1b[2J", From: "", To: "2", Why: "a test",
		TakesEffect: "now", Risk: "none",
	}}}
	for answer, want := range map[string]bool{
		"y\n":         true,
		"Yes\n":       true,
		"yes":         true,
		"n\n":         false,
		"\n":          false,
		"":            false,
		"yesterday\n": false,
	} {
		var stdout strings.Builder
		a := &app{stdin: strings.NewReader(answer), stdout: &stdout, env: noEnv}
		ok, err := a.ask(p, time.Minute)
		if ok != want || err != nil ||
			strings.HasSuffix(stdout.String(), "nothing was changed\n") == want {
			t.Errorf("%q: %v, %v, %q", answer, ok, err, &stdout)
		}
		if !strings.Contains(stdout.String(),
			"(empty) -> 2 (takes effect now)\n   why: a test\n   risk: "+
				"none\nEverything is rolled back after 1m0s unless "+
				"confirmed.\nApply? [y/N] ") ||
			strings.Contains(stdout.String(), "\x1b") {
			t.Errorf("it shows %q", &stdout)
		}
	}
}

func TestConfirmWindow(t *testing.T) {
	ssh := func(key string) string { return map[string]string{"SSH_TTY": "/dev/pts/3"}[key] }
	for _, c := range []struct {
		flag string
		env  func(string) string
		want time.Duration
		bad  bool
	}{
		{"", ssh, time.Minute, false}, {"0", ssh, 0, false},
		{"90s", ssh, 90 * time.Second, false}, {"5m", noEnv, 5 * time.Minute, false},
		{"0s", ssh, 0, false}, {"60", noEnv, 0, true}, {"10ms", noEnv, 0, true},
		{"25h", noEnv, 0, true}, {"-1s", noEnv, 0, true},
	} {
		got, err := (&applyFlags{within: c.flag}).window(c.env)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%q: %v, %v", c.flag, got, err)
		}
	}
}
