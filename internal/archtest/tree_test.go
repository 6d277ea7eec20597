package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/maxconn/maxconn"

// file is one parsed Go file of the module.
type file struct {
	path    string // "internal/host/host.go"
	dir     string // "internal/host"
	test    bool
	syntax  *ast.File
	imports []string // import paths
	lines   int
}

// root is the directory of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tree parses every Go file of the module.
func tree(t *testing.T) (files []file, fset *token.FileSet) {
	t.Helper()
	top := root(t)
	fset = token.NewFileSet()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parse(fset, top, path)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, fset
}

func parse(fset *token.FileSet, top, path string) (file, error) {
	rel, err := filepath.Rel(top, path)
	if err != nil {
		return file{}, err
	}
	syntax, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
	if err != nil {
		return file{}, err
	}
	f := file{
		path:   rel,
		dir:    filepath.Dir(rel),
		test:   strings.HasSuffix(rel, "_test.go"),
		syntax: syntax,
	}
	for _, spec := range syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		f.imports = append(f.imports, p)
	}
	f.lines = fset.File(syntax.Pos()).LineCount()
	return f, nil
}
