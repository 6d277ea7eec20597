package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
)

// verbs are what Sprintf fills in: figures, in reasons.
var verbs = regexp.MustCompile(`%[dvs]`)

// A reason that package observe records is one that redaction keeps: its words are no names.
func TestRedactionKnowsTheWordsOfReasons(t *testing.T) {
	files, _ := tree(t)
	found := 0
	for _, f := range files {
		if f.test || f.dir != "internal/observe" && f.path != "internal/host/reason.go" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			for _, why := range reasonsIn(n) {
				found++
				var s host.Snapshot
				fact := host.Sysctl("a.b")
				s.Miss(fact, why)
				if r, _ := host.Redact(s).Lookup(fact); r.Err != why {
					t.Errorf(
						"%s: the reason %q would be redacted to %q: "+
							"put its words into reasonWords",
						f.path,
						why,
						r.Err,
					)
				}
			}
			return true
		})
	}
	if found < 20 {
		t.Errorf("%d reasons found", found)
	}
}

// reasonsIn are the texts of constants, and of calls that record a reason.
func reasonsIn(n ast.Node) (out []string) {
	from := func(e ast.Node) {
		ast.Inspect(e, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				s, _ := strconv.Unquote(lit.Value)
				// not a list of keys
				if strings.Contains(s, " ") && !strings.Contains(s, "\n") {
					out = append(out,
						strings.TrimSpace(verbs.ReplaceAllString(s, "3")))
				}
			}
			return true
		})
	}
	switch n := n.(type) {
	case *ast.CallExpr:
		if sel, ok := n.Fun.(*ast.SelectorExpr); ok &&
			strings.EqualFold(sel.Sel.Name, "miss") {
			for _, arg := range n.Args {
				from(arg)
			}
		}
	case *ast.ValueSpec, *ast.ReturnStmt:
		from(n)
	}
	return out
}
