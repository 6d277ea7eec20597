package render

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
)

// A first screen folds hundreds of destinations; --verbose shows them all.
func TestPlanTextFolds(t *testing.T) {
	p := plan.Plan{Schema: plan.Schema, Aim: plan.Most, Verdict: "holds"}
	for i := range 300 {
		subject := fmt.Sprintf("10.0.0.%d:%d", i%250, 1000+i)
		p.Workload.Outbound = append(p.Workload.Outbound,
			plan.Goal{Subject: subject, Held: 64508})
		p.Left = append(p.Left, plan.Left{
			Limit:   "ephemeral-ports",
			Subject: subject,
			Kind:    limit.ByTopology,
			Text:    "ends at 64,508",
		})
	}
	p.Left = append(p.Left, plan.Left{
		Limit:   "process-files",
		Subject: "0.0.0.0:80",
		Kind:    limit.ByTopology,
		Text:    "ends at 9",
	})
	for _, c := range []struct {
		verbose bool
		lines   int
		want    []string
	}{
		{false, 12 + 1 + 2*6 + 1 + 2,
			[]string{"and 288 more (--verbose shows them)", "ephemeral-ports at 294 " +
				"more (--verbose shows them)", "process-files at 0.0.0.0:80"}},
		{true, 300 + 600 + 2, []string{"10.0.0.49:1299"}},
	} {
		var b bytes.Buffer
		if err := PlanText(&b, p, Style{Width: 100, Verbose: c.verbose}); err != nil {
			t.Fatal(err)
		}
		// header, verdict, title and what is blank between
		if n := strings.Count(b.String(), "\n") - 6; n != c.lines {
			t.Errorf("verbose %v: %d lines, want %d\n%s", c.verbose, n, c.lines,
				b.String())
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("verbose %v: does not say %q", c.verbose, want)
			}
		}
	}
}
