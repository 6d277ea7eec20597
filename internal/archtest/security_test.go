package archtest

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every test that SECURITY.md names exists, and every row of its tables names one.
func TestSecurityNamesTests(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "SECURITY.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, _ := tree(t)
	there := map[string]bool{}
	for _, f := range files {
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test {
				there[fn.Name.Name] = true
			}
		}
	}
	named := regexp.MustCompile(`\b((?:Test|Fuzz|Benchmark)[A-Z][A-Za-z0-9]*)\b`)
	for line := range strings.Lines(string(text)) {
		names := named.FindAllStringSubmatch(line, -1)
		row := strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "| guaranteed |")
		if row && !strings.HasPrefix(line, "|---") && len(names) == 0 {
			t.Errorf("no test shows it: %s", line)
		}
		for _, n := range names {
			if !there[n[1]] {
				t.Errorf("there is no %s", n[1])
			}
		}
	}
}
