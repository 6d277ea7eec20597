package limit

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

var update = flag.Bool("update", false, "write what the limits say into testdata")

// Each testdata/<id>.txtar holds cases: "name.facts" is a snapshot without its
// frame, "name.want" is what the limit makes of it.
func TestCatalogue(t *testing.T) {
	for _, l := range Catalogue() {
		t.Run(string(l.ID), func(t *testing.T) { testLimit(t, l) })
	}
}

func testLimit(t *testing.T, l *Limit) {
	file := filepath.Join("testdata", strings.ReplaceAll(string(l.ID), "-", "_")+".txtar")
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wants := map[string]string{}
	for _, f := range ar.Files {
		if name, ok := strings.CutSuffix(f.Name, ".want"); ok {
			wants[name] = string(f.Data)
		}
	}
	out := &txtar.Archive{Comment: ar.Comment}
	for _, f := range ar.Files {
		name, ok := strings.CutSuffix(f.Name, ".facts")
		if !ok {
			continue
		}
		s := parseCase(t, f.Data)
		have := describe(t, l, s)
		out.Files = append(out.Files, f,
			txtar.File{Name: name + ".want", Data: []byte(have)})
		if d := cmp.Diff(wants[name], have); d != "" && !*update {
			t.Errorf("%s: (-want +have; -update accepts it)\n%s", name, d)
		}
		withoutEach(t, l, s)
	}
	if len(out.Files) == 0 {
		t.Fatalf("%s has no case", file)
	}
	if *update {
		if err := os.WriteFile(file, txtar.Format(out), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func parseCase(t *testing.T, facts []byte) host.Snapshot {
	t.Helper()
	s, err := host.Parse([]byte("maxconn.snapshot/1\n" + string(facts) + "end\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// describe prints all that a limit says, and holds it to its Needs.
func describe(t *testing.T, l *Limit, s host.Snapshot) string {
	t.Helper()
	gauges, r := l.Evaluate(s, Workload{})
	for _, f := range r.Used() {
		if !needs(l, f) {
			t.Errorf("%s reads %s, which its Needs do not list", l.ID, f)
		}
	}
	for _, g := range gauges {
		if g.Refused > 0 && len(l.Refusals) == 0 {
			t.Errorf("%s: %s refused %d, and Refusals name no counter", l.ID,
				g.Subject.Name, g.Refused)
		}
	}
	for _, f := range l.Refusals {
		if !needs(l, f) {
			t.Errorf("%s counts by %s, which its Needs do not list", l.ID, f)
		}
	}
	var b strings.Builder
	if err := r.Err(); err != nil {
		fmt.Fprintf(&b, "unseen: %v\n", err)
	}
	lifted := false
	for _, g := range gauges {
		describeGauge(&b, g)
		if g.Lift != nil && !g.Unbounded && !lifted {
			lifted = true // one shows how
			describeLift(&b, g)
		}
	}
	return b.String()
}

// describeLift prints what would raise the ceiling: to what would be enough, or twofold.
func describeLift(b *strings.Builder, g Gauge) {
	need := g.Enough
	if need == 0 {
		need = 2 * min(max(g.Ceiling, g.Used, 1), noCeiling/4)
	}
	for _, m := range g.Lift(need) {
		fmt.Fprintf(b, "  lift to %s: %s", figure.Count(need), m.Kind)
		if m.IsChange() {
			fmt.Fprintf(b, ", %s: %s -> %s", m.Change.Fact, m.From, m.Change.Want)
		} else if m.To != "" {
			fmt.Fprintf(b, ", by hand %s: %s -> %s", m.Setting, m.From, m.To)
		}
		if m.Sum != "" {
			fmt.Fprintf(b, ": %s", m.Sum)
		}
		fmt.Fprintf(b, " (%s)\n", m.TakesEffect)
	}
}

func needs(l *Limit, f host.Fact) bool {
	if f == host.System("window") || f == host.System("glance") {
		return true
	}
	for _, n := range l.Needs {
		if n == f || n == host.All(f.Kind) {
			return true
		}
	}
	return false
}

func describeGauge(b *strings.Builder, g Gauge) {
	fmt.Fprintf(b, "%s", g.Subject.Name)
	if g.Subject.Process != "" || g.Subject.PID != 0 {
		fmt.Fprintf(b, " [%s]", who(g.Subject.Process, g.Subject.PID))
	}
	ceiling := figure.Count(g.Ceiling)
	used := figure.Count(g.Used)
	switch {
	case g.Unbounded:
		used, ceiling = strings.TrimSpace(used+" "+g.Unit), "no ceiling"
	case g.Unit != "":
		ceiling += " " + g.Unit
	}
	fmt.Fprintf(b, ": %s of %s, %s", used, ceiling, g.Measure)
	for _, flag := range []struct {
		on   bool
		word string
	}{{g.AtMost, "at most"}, {g.Refusing, "refusing"}, {g.Harms, "harms"}, {g.Notice, "notice"},
		{g.IsNear(), "near"}} {
		if flag.on {
			fmt.Fprintf(b, ", %s", flag.word)
		}
	}
	if g.Refused != 0 {
		fmt.Fprintf(b, ", refused %d", g.Refused)
	}
	if g.Enough != 0 {
		fmt.Fprintf(b, ", enough %s", figure.Count(g.Enough))
	}
	bounds := map[Direction]string{Outbound: "outbound", Inbound: "inbound", Both: "both ways"}
	if way := bounds[g.Bounds]; way != "" {
		fmt.Fprintf(b, ", bounds %s", way)
	}
	fmt.Fprintln(b)
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(b, "  %s: %s\n", label, text)
		}
	}
	line("cause", g.Cause)
	line("owner", g.Owner)
	for _, s := range g.Steps {
		line("step", strings.TrimSpace(fmt.Sprintf("%s: %s = %s %s (%s %s)", s.Label, s.Sum,
			figure.Count(s.Value), s.Unit, s.How, s.From)))
	}
	for _, e := range g.Evidence {
		line("evidence", e.Fact+" = "+e.Value+": "+e.Meaning)
	}
	for _, m := range g.Remedies {
		line("remedy",
			strings.TrimSpace(fmt.Sprintf("%s %s %s -> %s: %s (%s)", m.Kind, m.Setting,
				m.From, m.To, m.Text, m.TakesEffect)))
	}
	for _, u := range g.Unseen {
		line("unseen", u.Error())
	}
}

// withoutEach takes one fact away at a time: what was there must never turn
// into a zero that looks like a reading. The limit may refuse, or say less, but a gauge that
// it still gives must not claim a lower use under the same ceiling without saying so.
func withoutEach(t *testing.T, l *Limit, s host.Snapshot) {
	t.Helper()
	for _, f := range s.Facts() {
		c := s.With()
		c.Hide(f, "hidden by the test")
		if gauges, r := l.Evaluate(c, Workload{}); r.Err() == nil {
			for _, g := range gauges {
				if g.Ceiling < 0 || g.Used < 0 {
					t.Errorf("%s without %s: %s has %d of %d", l.ID, f,
						g.Subject.Name, g.Used, g.Ceiling)
				}
				if g.Ceiling == 0 && !g.Unbounded && len(g.Steps) == 0 {
					t.Errorf("%s without %s: %s has a ceiling of 0 and no "+
						"steps that lead to it", l.ID, f, g.Subject.Name)
				}
			}
		}
	}
}

// Every entry must be complete: the catalogue has no stubs.
func TestComplete(t *testing.T) {
	for _, l := range Catalogue() {
		for name, empty := range map[string]bool{
			"Title": l.Title == "", "Doc": len(l.Doc) < 80, "Formula": l.Formula == "",
			"Myths": len(l.Myths) == 0,
			"Knobs": len(l.Knobs) == 0, "Signs": len(l.Signs) == 0,
			"Sources": len(l.Sources) == 0, "Needs": len(l.Needs) == 0,
			"Gauges": l.Gauges == nil, "Measure": l.Measure == "",
			"Scope": l.Scope == "",
		} {
			if empty {
				t.Errorf("%s: %s is empty or too short", l.ID, name)
			}
		}
		for _, k := range l.Knobs {
			if row := knob.Lookup(k); row == nil || row.Name != k {
				t.Errorf("%s: package knob has no row of %s", l.ID, k)
			}
		}
		for _, m := range l.Myths {
			if m.Truth == "" || m.Source == "" {
				t.Errorf("%s: %q lacks its truth or its source", l.ID, m.Belief)
			}
		}
	}
}

// A row of package knob lets plans lift limits of the catalogue by it, and no others.
func TestRowsLiftLimits(t *testing.T) {
	for _, k := range knob.Rows() {
		if k.Plan == nil {
			continue
		}
		for _, id := range k.Plan.Limits {
			if Find(ID(id)) == nil {
				t.Errorf("a plan lifts %s by %s, and there is no such limit", id,
					k.Name)
			}
		}
	}
}
