package archtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A program that is built as CI, the scripts and the documentation build it says nothing about the
// machine that it was built on.
func TestNoPathOfTheBuildMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program: not for -short")
	}
	program := filepath.Join(t.TempDir(), "maxconn")
	c := exec.Command("go", "build", "-trimpath", "-o", program, "./cmd/maxconn")
	c.Dir = root(t)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range machinePaths(t) {
		if at := bytes.Index(text, []byte(path+"/")); at >= 0 {
			t.Errorf("the program holds %q", text[at:min(at+80, len(text))])
		}
	}
}

// machinePaths are the directories that a build reads.
func machinePaths(t *testing.T) (paths []string) {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT", "GOMODCACHE", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(strings.Fields(string(out)), root(t)) {
		// With a root such as /usr/lib/go a path in it may be a fact about Linux.
		if len(path) > len("/usr/lib") {
			paths = append(paths, path)
		}
	}
	return paths
}

// Every line that builds a program for somebody has -trimpath.
func TestBuildLinesTrimPaths(t *testing.T) {
	build := regexp.MustCompile(`\bgo (build|install)\b[^\n]*(\./|/)cmd/`)
	top := root(t)
	var files []string
	for _, pattern := range []string{
		"*.md", "docs/*.md", ".ci/*", "scripts/*", "bench/*.sh", "packaging/*", "packaging/*/*",
	} {
		found, err := filepath.Glob(filepath.Join(top, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	lines := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // a directory
		}
		for line := range strings.Lines(string(text)) {
			if !build.MatchString(line) {
				continue
			}
			lines++
			if !strings.Contains(line, "-trimpath") {
				t.Errorf("%s: %s has no -trimpath", name, strings.TrimSpace(line))
			}
		}
	}
	if lines == 0 {
		t.Error("no line builds the program")
	}
}
