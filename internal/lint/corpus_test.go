package lint

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// The files of testdata/corpus are written as people write such files, and behind each stands what
// has to be said of it on Linux 6.12: line, verdict (with @ and whose it is, where it is not the
// host's), key and value; not-read with a setting's name is a line that may set it in a form that
// lint does not know, and says so. The rows say what people mean with such a file, not what a
// reader prints.
func TestCorpus(t *testing.T) {
	archives, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	files, kinds := 0, map[string]bool{}
	for _, archive := range archives {
		a, err := txtar.ParseFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(a.Files); i += 2 {
			f, want := a.Files[i], a.Files[i+1]
			if want.Name != "rows" {
				t.Fatalf("%s: %s has no rows", archive, f.Name)
			}
			if strings.HasPrefix(f.Name, "crlf") {
				f.Data = []byte(strings.ReplaceAll(string(f.Data), "\n", "\r\n"))
			}
			files++
			kinds[formatOf(f.Name, string(f.Data)).name] = true
			t.Run(f.Name, func(t *testing.T) {
				have := corpusRows(t, f)
				if d := cmp.Diff(string(want.Data), have); d != "" {
					t.Errorf("%s", d)
				}
			})
		}
	}
	t.Logf("%d files in %d formats", files, len(kinds))
}

func corpusRows(t *testing.T, f txtar.File) string {
	t.Helper()
	r := Lint([]File{{Name: f.Name, Text: f.Data, Mode: NotExecutable}},
		Target{Kernel: "6.12"})
	var b strings.Builder
	for _, l := range r.Brief().Lines {
		checkLine(t, l, strings.Count(string(f.Data), "\n")+1)
		at := ""
		if l.Scope != "" {
			at = "@" + string(l.Scope)
		}
		fmt.Fprintf(&b, "%d %s%s %s %s\n", l.Line, l.Verdict, at, l.Key, l.Value)
	}
	for _, f := range r.Read {
		for _, u := range f.Refers {
			if u.Mention != "" {
				fmt.Fprintf(&b, "%d not-read %s\n", u.Line, u.Mention)
			}
		}
	}
	return b.String()
}
