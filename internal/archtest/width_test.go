package archtest

import (
	"bufio"
	"bytes"
	"go/ast"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxWidth is the longest line, in columns with tabs of 8.
const maxWidth = 100

// TestWidth holds Go and Markdown to maxWidth. Raw strings are texts of other programs, and
// a word that cannot be broken (a URL, a path) may be longer.
func TestWidth(t *testing.T) {
	files, fset := tree(t)
	for _, f := range files {
		raw := rawLines(f, fset)
		eachLine(t, f.path, func(n int, line string) {
			if columns(line) > maxWidth && !raw[n] && breakable(line) {
				t.Errorf("%s:%d: %d columns, at most %d", f.path, n, columns(line),
					maxWidth)
			}
		})
	}
	for _, page := range tracked(t, "*.md") {
		if generated(t, page) {
			continue
		}
		eachLine(t, page, func(n int, line string) {
			table := strings.HasPrefix(strings.TrimSpace(line), "|")
			if columns(line) > maxWidth && !table && breakable(line) {
				t.Errorf("%s:%d: %d columns, at most %d", page, n, columns(line),
					maxWidth)
			}
		})
	}
}

// rawLines are the lines that a raw string stands on, or the long string of a test: captured text.
func rawLines(f file, fset *token.FileSet) map[int]bool {
	on := map[int]bool{}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		captured := f.test && ok && len(lit.Value) > maxWidth/4
		if ok && lit.Kind == token.STRING && (lit.Value[0] == '`' || captured) {
			first := fset.Position(lit.Pos()).Line
			for i := range strings.Count(lit.Value, "\n") + 1 {
				on[first+i] = true
			}
		}
		return true
	})
	return on
}

func columns(line string) (n int) {
	for _, r := range line {
		if r == '\t' {
			n += 8 - n%8
		} else {
			n++
		}
	}
	return n
}

// breakable says whether the longest word of a line is shorter than half of it.
func breakable(line string) bool {
	for _, word := range strings.Fields(line) {
		if utf8.RuneCountInString(word) > maxWidth/2 {
			return false
		}
	}
	return true
}

// words that the project does not use, with the field's own in their place.
var words = map[string]string{
	`(?i)\b(?:take|takes|taken|took) (?:it|them|that|everything|a run|the run|one change)? ?back\b`: "roll back",
	`(?i)\bpass(?:ed|es)? over\b`:            "skip",
	`(?i)\bparted by\b`:                      "separated",
	`(?i)\bfor ever\b`:                       "forever",
	`(?i)\bwho(?:m)?ever\b`:                  "name the subject",
	`NO SETTING MENDS|SEE TO AS WELL`:        "NOT FIXABLE BY SETTINGS, ALSO CHECK",
	`BELIEVED, AND TRUE`:                     "MYTHS",
	`\b(?:Wish|Sway|struck|blamed|surely)\b`: "a name that says what it is",
	`(?i)\bthousand million\b`:               "billion",
	`(?i)\bleave (?:it|them) away\b`:         "omit",
	`(?i)\bnothing can be told of\b`:         "nothing is known about",
	`(?i)\bwhat is to be loaded\b`:           "no target",
	`(?i)\btold of\b`:                        "reported",
	`\bladder\b|\b[Tt]win\b`:                 "precedence, duplicate",
}

func TestWords(t *testing.T) {
	for word, better := range words {
		re := regexp.MustCompile(word)
		for _, path := range tracked(t, "*.go", "*.md", "*.txtar", "*.want", "*.1") {
			if strings.HasPrefix(path, "internal/archtest/") {
				continue
			}
			eachLine(t, path, func(n int, line string) {
				if m := re.FindString(line); m != "" {
					t.Errorf("%s:%d: %q: %s", path, n, m, better)
				}
			})
		}
	}
}

// tracked are the files that git knows of these names.
func tracked(t *testing.T, names ...string) []string {
	t.Helper()
	c := exec.Command("git", append([]string{"-c", "safe.directory=*", "ls-files", "--"},
		names...)...)
	c.Dir = root(t)
	out, err := c.Output()
	if err != nil {
		t.Skip("no git checkout: ", err)
	}
	return strings.Fields(string(out))
}

func generated(t *testing.T, path string) bool {
	text, err := os.ReadFile(filepath.Join(root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := bytes.Cut(text, []byte("\n\n"))
	return bytes.Contains(head, []byte("Generated")) || path == "docs/proofs.md"
}

func eachLine(t *testing.T, path string, f func(n int, line string)) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root(t), path))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<24)
	for n := 1; lines.Scan(); n++ {
		f(n, lines.Text())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(path, err)
	}
}
