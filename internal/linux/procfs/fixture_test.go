package procfs_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/rogpeppe/go-internal/txtar"
)

// captures returns the files of testdata/NAME.txtar, whose head says where each
// comes from.
func captures(t testing.TB, name string) map[string][]byte {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/" + name + ".txtar")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for _, f := range archive.Files {
		files[f.Name] = f.Data
	}
	return files
}

// capture returns one file of an archive.
func capture(t testing.TB, archive, name string) []byte {
	t.Helper()
	b, ok := captures(t, archive)[name]
	if !ok {
		t.Fatalf("testdata/%s.txtar has no file %s", archive, name)
	}
	return b
}

// seeds gives a fuzz target every capture, each of them cut in two, and its
// first lines alone: the fuzzer gets further with small files.
func seeds(f *testing.F, archives ...string) {
	f.Helper()
	for _, archive := range archives {
		for _, b := range captures(f, archive) {
			f.Add(b)
			f.Add(b[:len(b)/2])
			lines := bytes.SplitAfterN(b, []byte("\n"), 4)
			for i := range lines[:len(lines)-1] {
				f.Add(bytes.Join(lines[:i+1], nil))
			}
		}
	}
}

// checkRefusal holds every refusal to its form: a ParseError of one line.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var refusal *procfs.ParseError
	if !errors.As(err, &refusal) {
		t.Fatalf("%v (%T) is no ParseError", err, err)
	}
	if text := err.Error(); strings.ContainsAny(text, "\n\x00\x1b") ||
		!strings.HasPrefix(text, "parse ") {
		t.Fatalf("refusal %q is not one plain line", text)
	}
}
