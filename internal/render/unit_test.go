package render

import (
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/limit"
)

// A figure is said in what it counts, in every form of output.
func TestUseSaysWhatItCounts(t *testing.T) {
	for _, c := range []struct {
		name string
		f    diagnose.Finding
		want string
	}{
		{"connections", diagnose.Finding{Measure: limit.Held, Used: 95, Ceiling: 100},
			"95 of 100 connections held"},
		{"tasks", diagnose.Finding{Measure: limit.Held, Unit: "tasks", Used: 95,
			Ceiling: 100}, "95 of 100 tasks"},
		{"wanted", diagnose.Finding{Measure: limit.Held, Used: 95, Ceiling: 100,
			Demand: 5000}, "95 of 100 connections held, wanted 5,000"},
		{"tasks wanted", diagnose.Finding{Measure: limit.Held, Unit: "tasks", Used: 95,
			Ceiling: 100, Demand: 5000}, "95 of 100 tasks, wanted 5,000 connections"},
		{"unbounded", diagnose.Finding{Measure: limit.Held, Unit: "sockets in TIME_WAIT",
			Unbounded: true, Used: 8}, "8 sockets in TIME_WAIT, no ceiling"},
		{"nothing to count", diagnose.Finding{Measure: limit.Burst, Unbounded: true},
			"no ceiling in connections"},
	} {
		if have := use(c.f); have != c.want {
			t.Errorf("%s: %q, want %q", c.name, have, c.want)
		}
	}
	r := report()
	r.Findings = []diagnose.Finding{{
		Limit:      "threads",
		Severity:   diagnose.Warning,
		Subject:    "this container's cgroup",
		Measure:    limit.Held,
		Unit:       "tasks",
		Used:       95,
		Ceiling:    100,
		CeilingHow: limit.Read,
	}}
	var b strings.Builder
	if err := Markdown(&b, r); err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{"text": textOf(t, r, Style{Width: 100}),
		"markdown": b.String()} {
		if !strings.Contains(out, "95 of 100 tasks") {
			t.Errorf("%s does not say what is counted:\n%s", name, out)
		}
	}
	b.Reset()
	if err := JSON(&b, r); err != nil || !strings.Contains(b.String(), `"unit": "tasks"`) {
		t.Errorf("no unit in JSON (%v):\n%s", err, b.String())
	}
}
