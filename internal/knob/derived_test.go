package knob_test

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maxconn/maxconn/internal/export"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/lint"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/render"
)

// Another default, scope, bound or reason in one row shows wherever a setting is spoken of: in the
// document of the limits, explain, lint, a plan and what is exported of it.
func TestOneRowIsEnough(t *testing.T) {
	row := knob.Lookup("net.core.somaxconn")
	before := derived(t)
	t.Cleanup(func(old knob.Knob) func() { return func() { *row = old } }(*row))
	row.Default = knob.Default{On: func(knob.Host) knob.Amount {
		return knob.Amount{N: 7777, Known: true}
	}}
	row.Scope = knob.InitialOnly
	row.Takes.Bounds = []knob.Bound{{Low: 5, Top: 99999}}
	row.Does, row.Source, row.Since = "does what this test says", "this test", knob.Since(3, 2)
	after := derived(t)
	for where, want := range map[string][]string{
		"docs": {"does what this test says; 7,777 by default; 5 to 99,999; one value " +
			"for the host", "since 3.2"},
		"explain": {"does what this test says; 7,777 by default", "Linux 3.2",
			"this test"},
		"lint": {"4,096 is below the default of this kernel, 7,777",
			"allowed is 5 to 99,999", "this test"},
		"child lint": {"Pointless in this network namespace", "not there in a container"},
		"plan":       {"somebody set it; the kernel's default is 7777"},
		"pod":        {"on the node: net.core.somaxconn"},
	} {
		for _, words := range want {
			if strings.Contains(before[where], words) {
				t.Errorf("%s says %q without the change", where, words)
			}
			if !strings.Contains(after[where], words) {
				t.Errorf("%s does not say %q:\n%s", where, words, after[where])
			}
		}
	}
	for where, text := range after {
		if strings.Contains(text, "(128 before Linux 5.4)") {
			t.Errorf("%s still has the old default", where)
		}
	}
	row.Never = "because"
	if p := planned(t); strings.Contains(p, `"net.core.somaxconn"`) {
		t.Errorf("a plan changes what none may:\n%s", p)
	}
}

// derived is what is said of somaxconn, by where.
func derived(t *testing.T) map[string]string {
	t.Helper()
	explained, ok := render.Explain("somaxconn", host.Snapshot{})
	if !ok {
		t.Fatal("somaxconn is not known")
	}
	return map[string]string{
		"docs": written(t, func(w io.Writer) error {
			return render.LimitsDoc(w, limit.Catalogue())
		}),
		"explain": written(t, func(w io.Writer) error {
			return render.ExplanationText(w, explained, render.Style{Width: 1000})
		}),
		"lint": linted(t, lint.Target{Kernel: "6.18"}),
		"child lint": linted(t,
			lint.Target{Snapshot: snapshot(t, "system kernel = 6.18.0\nsystem "+
				"scope = child\n")}),
		"plan": planned(t),
		"pod":  exported(t),
	}
}

func written(t *testing.T, f func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func linted(t *testing.T, on lint.Target) string {
	t.Helper()
	text := "net.core.somaxconn = 4096\nnet.core.somaxconn = 100000\n"
	r := lint.Lint([]lint.File{{Name: "x.conf", Text: []byte(text)}}, on)
	return written(t, func(w io.Writer) error { return render.LintJSON(w, r) })
}

func snapshot(t *testing.T, facts string) host.Snapshot {
	t.Helper()
	s, err := host.Parse([]byte("maxconn.snapshot/1\n" + facts + "end\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// made is a plan that has to raise somaxconn for a burst.
func made(t *testing.T) plan.Plan {
	t.Helper()
	s := snapshot(t,
		"listener 0.0.0.0:80 = queue=0 limit=4096\nsysctl net.core.somaxconn = 4096\n"+
			"system kernel = 6.18.0\nsystem scope = initial\n")
	p, err := plan.Make(s,
		limit.Workload{Inbound: []limit.Goal{{Subject: ":80", Burst: 20000}}},
		plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func planned(t *testing.T) string {
	t.Helper()
	return written(t, func(w io.Writer) error { return render.PlanJSON(w, made(t)) })
}

func exported(t *testing.T) string {
	t.Helper()
	files, err := export.Export(made(t), persist.Options{Root: fstest.MapFS{}},
		export.Kubernetes)
	if err != nil {
		t.Fatal(err)
	}
	return files[0].Text
}
