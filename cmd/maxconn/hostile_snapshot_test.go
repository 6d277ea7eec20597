//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/encode/hostile"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
)

// spot is a text of a snapshot: the value of a fact, a field of the rows of a kind, the names of a
// kind's facts, or a reason.
type spot struct {
	kind        host.Kind
	fact, field string
}

func (p spot) String() string { return fmt.Sprintf("%s %s#%s", p.kind, p.fact, p.field) }

// spots are all there are in a snapshot; those of a new kind of fact are found like others.
func spots(s host.Snapshot) (out []spot) {
	add := func(p spot) {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, f := range s.Facts() {
		r, _ := s.Lookup(f)
		switch {
		case r.Err != "":
			add(spot{kind: f.Kind, field: "!"})
		case !f.Kind.IsTable():
			if f.Kind == host.SystemKind || strings.Trim(r.Text, "0123456789") != "" {
				add(spot{kind: f.Kind, fact: f.Name})
			}
		default:
			row, _ := s.Read().Row(f.Kind, f.Name)
			for _, field := range row.Fields {
				if strings.Trim(field.Value, "0123456789") != "" {
					add(spot{kind: f.Kind, field: field.Name})
				}
			}
		}
		if f.Kind.IsTable() || f.Kind == host.MovedKind {
			add(spot{kind: f.Kind, field: "*"})
		}
	}
	return out
}

// put is the snapshot with the text in these places.
func put(s host.Snapshot, text string, in ...spot) (out host.Snapshot) {
	for n, f := range s.Facts() {
		r, _ := s.Lookup(f)
		has := func(p spot) bool { return slices.Contains(in, p) }
		to := f
		if f.Name != "*" && text != "" && has(spot{kind: f.Kind, field: "*"}) {
			to.Name = text + strings.Repeat("x", n%3)
		}
		switch {
		case r.Err != "" && has(spot{kind: f.Kind, field: "!"}) && text != "":
			out.Miss(to, text)
		case r.Err != "":
			out.Miss(to, r.Err)
		case has(spot{kind: f.Kind, fact: f.Name}):
			out.Set(to, text)
		case !f.Kind.IsTable():
			out.Set(to, r.Text)
		default:
			row, _ := s.Read().Row(f.Kind, f.Name)
			for i, field := range row.Fields {
				if has(spot{kind: f.Kind, field: field.Name}) {
					row.Fields[i].Value = text
				}
			}
			out.Set(to, row.Fields.String())
		}
	}
	return out
}

// full is a snapshot with every kind of fact.
func full(t *testing.T) host.Snapshot {
	t.Helper()
	_, s := parseHost(t, "busy-proxy")
	s.Set(host.System("netns-name"), "blue")
	s.Set(host.System("window"), "10s")
	s.Set(host.Fact{Kind: host.MovedKind, Name: "qdisc/eth0/:1/drops"}, "700")
	s.Set(host.Fact{Kind: host.MovedKind, Name: "counter/TcpExt.ListenDrops"}, "9")
	s.Set(host.Fact{Kind: host.BinderKind, Name: "1402"}, "process=nginx ports=8080")
	s.Set(host.Fact{Kind: host.RestKind, Name: "outbound"}, "ESTABLISHED=3 largest=1")
	s.Miss(host.All(host.SlabKind), "permission denied")
	return s
}

// verbs are the command lines that read a snapshot, with the language of what they write.
func verbs(file string) map[string][]string {
	goals := []string{"--inbound", ":443=300k", "--outbound", "192.0.2.52:8080=2000/s"}
	out := map[string][]string{
		"text check":         {"check", "--from", file},
		"text check verbose": {"check", "--from", file, "--verbose"},
		"json check":         {"check", "--from", file, "--json"},
		"md check":           {"check", "--from", file, "--md"},
		"text explain":       {"explain", "transmit-queue", "--from", file},
		"json explain":       {"explain", "process-files", "--from", file, "--json"},
		"md explain":         {"explain", "cgroup-memory", "--from", file, "--md"},
		"text plan": append([]string{"plan", "--from", file, "--verbose"},
			goals...),
		"json plan": {"plan", "--from", file, "--to-max", "--json"},
		"md plan":   {"plan", "--from", file, "--md"},
	}
	for _, f := range formatNames() {
		out[f] = append([]string{"plan", "--from", file, "--format", f}, goals...)
	}
	return out
}

// Every hostile text in every place of a snapshot, through every verb that reads one and every form
// of its output.
func TestHostileSnapshots(t *testing.T) {
	s := full(t)
	all := spots(s)
	if len(all) < 50 {
		t.Errorf("%d spots: %v", len(all), all)
	}
	texts := hostile.Strings("/tmp")
	file := filepath.Join(t.TempDir(), "box.txt")
	check := func(text string, in ...spot) {
		if err := os.WriteFile(file, put(s, text, in...).Text(), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, args := range verbs(file) {
			_, stdout, stderr := called(t.Context(), args...)
			if err := hostileOutput(name, stdout, stderr); err != nil {
				t.Errorf("%q, %v is %.60q: %v", args[0:1], in, text, err)
			}
		}
	}
	names := free(t, s, all)
	if len(names) < 10 {
		t.Errorf("%d spots are free: %v", len(names), names)
	}
	for i, text := range texts {
		check(text, names...)
		if !testing.Short() || i%4 == 0 {
			check(text, all...)
		}
	}
	for i, p := range all {
		check(texts[i%len(texts)], p)
	}
}

// free are the spots whose text changes nothing of the verdict and the plan but words: with hostile
// texts there, all that is to be said is said.
func free(t *testing.T, s host.Snapshot, all []spot) (out []spot) {
	t.Helper()
	outcome := func(s host.Snapshot) [3]int {
		p, err := plan.Make(
			s,
			limit.Workload{Inbound: []limit.Goal{{Subject: ":443", Held: 300000}},
				Outbound: []limit.Goal{{Subject: "192.0.2.52:8080",
					PerSecond: 2000}}},
			plan.Options{},
		)
		if err != nil {
			t.Fatal(err)
		}
		return [3]int{
			len(p.Changes),
			len(p.Left),
			len(diagnose.Check(s, diagnose.Options{}).Findings),
		}
	}
	for _, p := range all {
		if outcome(put(s, harmless, p)) == outcome(s) {
			out = append(out, p)
		}
	}
	return out
}

// hostileOutput is what is wrong with one output.
func hostileOutput(name, stdout, stderr string) error {
	if _, err := seen("text", stderr); err != nil {
		return fmt.Errorf("%s: stderr: %w", name, err)
	}
	if strings.Count(stderr, "\n") > 2 {
		return fmt.Errorf("%s: stderr has more than an error and a hint: %s", name, stderr)
	}
	if stdout == "" {
		return nil
	}
	if slices.Contains(formatNames(), name) {
		if _, err := seen("text", strings.ReplaceAll(stdout, "\t", "")); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return exportedAs(name, stdout)
	}
	if _, err := seen(language(name), stdout); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// What lint says of a file whose name and lines are hostile.
func TestHostileTuningFiles(t *testing.T) {
	for i, text := range hostile.Strings("/tmp") {
		dir := t.TempDir()
		name := strings.NewReplacer("/", "_", "\x00", "_").Replace(text)
		if len(name) > 200 || strings.Trim(name, ". ") == "" {
			name = "x"
		}
		file := filepath.Join(dir, name+".conf")
		lines := text + "\nnet.core.somaxconn = " + text + "\n" + text + " = 1\n" +
			"net.ipv4.tcp_tw_recycle = 1\n"
		if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		for form, args := range map[string][]string{
			"text": {"lint", file, "--all"}, "json": {"lint", file, "--json"},
			"json SARIF": {"lint", file, "--sarif"},
		} {
			_, stdout, stderr := called(t.Context(),
				append(args, "--kernel", "6.18")...)
			if err := hostileOutput(form, stdout, stderr); err != nil || stdout == "" {
				t.Errorf("%s of %.60q: %v %s", form, text, err, stderr)
			}
		}
	}
}

// Files that cannot be read, and words of the command line, in errors.
func TestHostileErrors(t *testing.T) {
	for _, text := range hostile.Strings("/tmp") {
		dir := t.TempDir()
		bad := filepath.Join(dir, "bad")
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, content := range []string{
			text, "maxconn.snapshot/1\n" + text + "\nend\n",
			`{"schema":` + string(quoted) + `}`,
			"inbound:\n  " + text + ": 1\n",
		} {
			if err := os.WriteFile(bad, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{
				{"check", "--from", bad}, {"explain", "time-wait", "--from", bad},
				{"prove", "--from", bad}, {"plan", bad},
				{"apply", bad, "--state-dir", dir},
				{"verify", bad, "--state-dir", dir},
				{"check", "--from", filepath.Join(dir, text)},
				{"check", text}, {text}, {"explain", text},
				{"plan", "--from", hostFile("busy-proxy.txt"), "--format", text},
				{"check", "--limit", text}, {"check", "--inbound", text},
			} {
				if strings.ContainsRune(strings.Join(args, ""), 0) {
					continue // no command line has one
				}
				_, _, stderr := called(t.Context(), args...)
				if err := hostileOutput("text", "", stderr); err != nil {
					t.Errorf("%q: %v", args, err)
				}
			}
		}
	}
}
