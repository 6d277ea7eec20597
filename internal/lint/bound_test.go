package lint

import (
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/knob"
)

// What is too much is reported as a fault, because it was not judged.
func TestBounds(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"settings": {inTurn(mostSettings+10, "net.core.b%d = 1\n"),
			"more than 40,000 settings"},
		"one line": {strings.Repeat("sysctl -w a.b=1;", longestLine/16+1),
			"longer than 256 KiB"},
		"continued": {strings.Repeat("sysctl -w a.b=1; \\\n", longestLine/16),
			"longer than 256 KiB"},
		"lines": {strings.Repeat("x\n", mostLines+1), "more than 200,000 lines"},
	} {
		r := Lint([]File{{Name: "x.sh", Text: []byte(c.text)}}, Target{Kernel: "6.1"})
		if n := len(r.Lines); n == 0 || !strings.Contains(r.Lines[n-1].Why, c.want) ||
			r.Faults() == 0 {
			t.Errorf("%s: %d lines, the last %.200v", name, n, r.Lines[max(n-1, 0):])
		}
	}
	r := Lint([]File{{Name: "x.conf",
		Text: []byte(inTurn(mostSpelled+10, "net.ipv4.tcp_foo%d = 1\n"))}},
		Target{Kernel: "6.1"})
	if !strings.Contains(strings.Join(r.Cautions, " "), tooManySpelled) {
		t.Errorf("cautions %q", r.Cautions)
	}
}

// A line goes on where it did when all lines were joined before they were read.
func TestContinuedLines(t *testing.T) {
	for text, want := range map[string]string{
		"a \\\n b\n":     "a  b",
		"a\\\n#b\\\nc\n": "a #b c",
		"\\\n#b\\\nc\n":  " #b\\",
		"a\\\n\nb\n":     "a ",
		"a\\":            "a\\",
		"a\\\\\nb\n":     "a\\ b",
	} {
		all, _ := rowsOf([]byte(text))
		p := &parser{role: anyRole}
		line := all.next()
		if p.continues(line) {
			line = whole(line, all)
		}
		if line = strings.ReplaceAll(line, folded, " "); line != want {
			t.Errorf("%q: %q, want %q", text, line, want)
		}
	}
}

// A name that is skipped for its letters alone is none that is near.
func TestFarNames(t *testing.T) {
	far := 0
	for _, name := range knownNames() {
		for _, key := range []string{name.Name[1:], name.Name + "s",
			strings.ReplaceAll(name.Name, ".", "_"), knob.Last(name.Name),
			strings.Replace(name.Name, "_", "_new_", 1),
			strings.Replace(name.Name, "e", "xyz", 1),
			"a." + knob.Last(name.Name)[1:]} {
			far += farFrom(t, key)
		}
	}
	if far == 0 {
		t.Error("no name is skipped")
	}
}

func farFrom(t *testing.T, key string) (far int) {
	written, outlines := spell(key), outlines()
	for i, n := range knownNames() {
		if !outlines[i].isFar(&written, 5) {
			continue
		}
		if far++; distance(&written, &n.spelled, 5) <= 5 {
			t.Errorf("%s is skipped for %s", n.Name, key)
		}
	}
	return far
}
