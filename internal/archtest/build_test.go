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
	dir, names := t.TempDir(), []string{"maxconn", "maxconn-proofs"}
	c := exec.Command("go", "build", "-buildvcs=false", "-trimpath", "-o", dir+"/",
		"./cmd/"+names[0], "./cmd/"+names[1])
	c.Dir = root(t)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range machinePaths(t) {
			if at := bytes.Index(text, []byte(path+"/")); at >= 0 {
				t.Errorf("%s holds %q", name, text[at:min(at+80, len(text))])
			}
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
		"*.md", "docs/*.md", ".ci/*", "scripts/*", "bench/*.sh", "packaging/*",
		"packaging/*/*",
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
			if !build.MatchString(line) || strings.Contains(line, "-o /dev/null") {
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

// What only maintainers use is in programs of theirs.
func TestMaintainerToolsAreApart(t *testing.T) {
	c := exec.Command("go", "list", "-deps", "./cmd/maxconn")
	c.Dir = root(t)
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		if strings.HasPrefix(dep, module+"/internal/lab/vm") {
			t.Errorf("cmd/maxconn depends on %s", strings.TrimSpace(dep))
		}
	}
}
