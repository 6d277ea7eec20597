package lint

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/maxconn/maxconn/internal/host"
)

var update = flag.Bool("update", false, "write the want parts of testdata/*.txtar")

// Each testdata/*.txtar is one or more runs over its files. The part "targets" has a run a
// line: a kernel release, or the name of a part with facts of a host; "boot" behind it says
// that the files are all that the host reads. "name -> other" is a link. The part "want
// TARGET" is what lint says; go test -update writes it, and reading it is the review.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			golden(t, name)
		})
	}
}

func golden(t *testing.T, name string) {
	a, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string][]byte{}
	var files []File
	kept := &txtar.Archive{Comment: a.Comment}
	for _, p := range a.Files {
		if strings.HasPrefix(p.Name, "want ") {
			parts[p.Name] = p.Data
			continue
		}
		kept.Files = append(kept.Files, p)
		parts[p.Name] = p.Data
		link, to, isLink := strings.Cut(p.Name, " -> ")
		switch {
		case isLink:
			files = append(files, File{Name: link, Same: to})
		case p.Name != "targets" && !strings.HasSuffix(p.Name, ".facts"):
			files = append(files, File{Name: p.Name, Text: p.Data})
		}
	}
	for line := range strings.Lines(string(parts["targets"])) {
		line = strings.TrimSpace(line)
		have := shown(Lint(files, target(t, line, parts)))
		kept.Files = append(kept.Files,
			txtar.File{Name: "want " + line, Data: []byte(have)})
		if d := cmp.Diff(string(parts["want "+line]), have); d != "" && !*update {
			t.Errorf("%s:\n%s", line, d)
		}
	}
	if *update {
		if err := os.WriteFile(name, txtar.Format(kept), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// target is a kernel release, or facts.
func target(t *testing.T, line string, parts map[string][]byte) Target {
	t.Helper()
	name, rest, _ := strings.Cut(line, " ")
	out := Target{Kernel: name, Boot: rest == "boot"}
	if facts, ok := parts[name+".facts"]; ok {
		out.Kernel = ""
		out.Snapshot = facts2snapshot(t, string(facts))
	}
	return out
}

func facts2snapshot(t *testing.T, facts string) host.Snapshot {
	t.Helper()
	s, err := host.Parse([]byte("maxconn.snapshot/1\n" + facts + "end\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shown is a report as a reviewer reads it.
func shown(r Report) string {
	var b strings.Builder
	for _, c := range r.Cautions {
		fmt.Fprintf(&b, "caution: %s\n", c)
	}
	file := ""
	for _, l := range r.Lines {
		if l.File != file && len(r.Files) > 1 {
			file = l.File
			fmt.Fprintf(&b, "%s\n", file)
		}
		fmt.Fprintf(&b, "%d %s: %s = %s", l.Line, l.Verdict, l.Key, l.Value)
		if l.Running != "" {
			fmt.Fprintf(&b, " (now %s)", l.Running)
		}
		if !l.Shown() {
			b.WriteString(" [skipped]")
		}
		fmt.Fprintf(&b, "\n\t%s\n", l.Why)
		for _, n := range l.Notes {
			fmt.Fprintf(&b, "\talso %s: %s\n", n.Verdict, n.Why)
		}
		if l.Source != "" {
			fmt.Fprintf(&b, "\t[%s]\n", l.Source)
		}
	}
	return b.String()
}

// checkLine holds the promises that hold of every line.
func checkLine(t *testing.T, l Line, rows int) {
	t.Helper()
	if gravity(l.Verdict) < 0 || l.Why == "" || l.Line < 1 || l.Line > rows {
		t.Errorf("line %d of %d, %q = %q: verdict %q, why %q", l.Line, rows, l.Key, l.Value,
			l.Verdict, l.Why)
	}
	if l.Verdict != Unrelated && l.Source == "" && l.Key != "" {
		t.Errorf("%q = %q is %s without a source", l.Key, l.Value, l.Verdict)
	}
	if strings.Contains(l.Why, "{v}") || strings.Contains(l.Why, "{d}") ||
		strings.Contains(l.Why, "%!") || strings.Contains(l.Why, "..  ") {
		t.Errorf("%q: %q", l.Key, l.Why)
	}
}

func TestNotText(t *testing.T) {
	r := Lint([]File{{Name: "x.conf", Text: []byte("n\x00e\x00t\x00")}}, Target{Kernel: "6.1"})
	if len(r.Lines) != 1 || r.Lines[0].Verdict != NoEffect ||
		!strings.Contains(r.Lines[0].Why, "NUL") {
		t.Errorf("%+v", r.Lines)
	}
}

// What editors on other systems leave in a file: CRLF, a mark of UTF-8, no newline at the
// end, bytes that are no UTF-8.
func TestOddBytes(t *testing.T) {
	text := bom + "net.core.somaxconn = 9000\r\nnet.ipv4.tcp_tw_reuse\t=\t1 \r\n# " +
		"\xff\xfe\r\n; x\r\nnet.ipv4.tcp_fin_timeout=\xff\r\n  net.ipv4.tcp_retries2 = 9"
	r := Lint([]File{{Name: "etc/sysctl.d/10-x.conf", Text: []byte(text)}},
		Target{Kernel: "6.1"})
	want := []struct {
		line    int
		verdict Verdict
		words   string
	}{
		{1, NoEffect, "byte order mark"}, {2, Effective, "takes over"},
		{5, OutOfBounds, "not a number"}, {6, Effective, "9 times"},
	}
	if len(r.Lines) != len(want) {
		t.Fatalf("%d lines: %s", len(r.Lines), shown(r))
	}
	for i, w := range want {
		l := r.Lines[i]
		if l.Line != w.line || l.Verdict != w.verdict || !strings.Contains(l.Why, w.words) {
			t.Errorf("line %d: %s %s; want %d %s with %q", l.Line, l.Verdict, l.Why,
				w.line, w.verdict, w.words)
		}
	}
	same := Lint([]File{{Name: "etc/sysctl.d/10-x.conf",
		Text: bytes.ReplaceAll([]byte(text), []byte("\r"), nil)}}, Target{Kernel: "6.1"})
	if d := cmp.Diff(shown(r), shown(same)); d != "" {
		t.Errorf("CRLF makes a difference:\n%s", d)
	}
}
