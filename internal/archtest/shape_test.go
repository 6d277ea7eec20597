package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/limit"
)

// Hard caps, in lines. The aim is far below: a median of 10 and a 90th percentile of 30.
const (
	maxFunction = 80
	maxFile     = 450
)

func TestSizes(t *testing.T) {
	files, fset := tree(t)
	var lengths []int
	for _, f := range files {
		if f.lines > maxFile && !f.test {
			t.Errorf("%s has %d lines, the cap is %d", f.path, f.lines, maxFile)
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || f.test {
				continue
			}
			n := lines(fset, fn)
			lengths = append(lengths, n)
			if n > maxFunction {
				t.Errorf("%s: %s has %d lines, the cap is %d", f.path, fn.Name.Name,
					n, maxFunction)
			}
		}
	}
	slices.Sort(lengths)
	t.Logf("%d functions: median %d lines, 90th percentile %d, longest %d",
		len(lengths), lengths[len(lengths)/2], lengths[len(lengths)*9/10],
		lengths[len(lengths)-1])
}

func lines(fset *token.FileSet, n ast.Node) int {
	return fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1
}

func TestPackageDocs(t *testing.T) {
	files, _ := tree(t)
	documented := map[string]bool{}
	for _, f := range files {
		if !f.test {
			documented[f.dir] = documented[f.dir] ||
				(f.syntax.Doc != nil &&
					strings.HasPrefix(f.syntax.Doc.Text(), docStart(f)))
		}
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no doc comment that begins with its name", dir)
		}
	}
}

func docStart(f file) string {
	if f.syntax.Name.Name == "main" {
		return "Command " + filepath.Base(f.dir)
	}
	return "Package " + f.syntax.Name.Name
}

func TestNames(t *testing.T) {
	files, _ := tree(t)
	badPackage := []string{"types", "util", "utils", "common", "helpers", "misc"}
	badName := regexp.MustCompile(`^Get[A-Z]|Manager|Helper|Util`)
	for _, f := range files {
		if slices.Contains(badPackage, f.syntax.Name.Name) {
			t.Errorf("%s: a package called %s says nothing", f.path, f.syntax.Name.Name)
		}
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && badName.MatchString(fn.Name.Name) {
				t.Errorf("%s: %s: no Get, Manager, Helper, Util", f.path,
					fn.Name.Name)
			}
		}
	}
}

// Each limit is <id>.go, which declares its ID and registers nothing else, and testdata/<id>.txtar.
func TestOneFileALimit(t *testing.T) {
	dir := filepath.Join(root(t), "internal", "limit")
	declared := regexp.MustCompile(`(?m)^const (\w+) ID = "([a-z0-9-]+)"$`)
	registered := regexp.MustCompile(`register\(Limit\{\s*ID:\s*(\w+),`)
	for _, l := range limit.Catalogue() {
		name := strings.ReplaceAll(string(l.ID), "-", "_")
		if _, err := os.Stat(filepath.Join(dir, "testdata", name+".txtar")); err != nil {
			t.Error(err)
		}
		source, err := os.ReadFile(filepath.Join(dir, name+".go"))
		if err != nil {
			t.Error(err)
			continue
		}
		ids, values := declared.FindAllSubmatch(source, -1),
			registered.FindAllSubmatch(source, -1)
		if len(ids) != 1 || len(values) != 1 || string(ids[0][1]) != string(values[0][1]) ||
			string(ids[0][2]) != string(l.ID) {
			t.Errorf("%s.go must declare the ID %s as a constant and register one "+
				"limit with it", name, l.ID)
		}
	}
}

// The IDs are promised: scripts and dashboards use them. More may come, none may go.
func TestPromisedIDs(t *testing.T) {
	promised := strings.Fields(
		`ephemeral-ports time-wait time-wait-buckets fin-wait close-wait process-files system-files
		accept-queue syn-queue receive-backlog transmit-queue conntrack tcp-memory connection-memory orphans
		neighbour-table epoll-watches cgroup-memory threads`)
	for _, id := range promised {
		if limit.Find(limit.ID(id)) == nil {
			t.Errorf("the catalogue has no %s", id)
		}
	}
}

// Nobody outside needs to know on which machine this was written.
func TestNoForeignPathsOrHosts(t *testing.T) {
	files, _ := tree(t)
	bad := regexp.MustCompile(
		`/work/(main|shared)|proxy\.golang\.org|deb\.debian\.org|registry\.npmjs`)
	for _, f := range files {
		if f.dir == "internal/archtest" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root(t), f.path))
		if err != nil {
			t.Fatal(err)
		}
		if m := bad.Find(text); m != nil {
			t.Errorf("%s names %q", f.path, m)
		}
	}
}
