package archtest

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/limit"
)

// Outside the catalogue a limit is named by its constant, so that code which treats one
// limit in its own way is found by the compiler's references. Claims of prove name the
// limit that they are about.
func TestLimitIDsAreConstants(t *testing.T) {
	files, fset := tree(t)
	for _, f := range files {
		if f.test || !namesByConstant(f.dir) {
			continue
		}
		for _, lit := range limitLiterals(f.syntax) {
			t.Errorf("%s:%d: %s: use its constant in package limit, or a field "+
				"of Limit",
				f.path, fset.Position(lit.Pos()).Line, lit.Value)
		}
	}
}

// namesByConstant leaves out the catalogue and claims, the rows of settings, which stand
// below the catalogue (plan's TestBounds holds them to it), and programs that write command
// lines.
func namesByConstant(dir string) bool {
	return !slices.Contains([]string{"internal/limit", "internal/prove", "internal/knob"},
		dir) &&
		!strings.HasPrefix(dir, "scripts/")
}

// Nobody outside the catalogue decides by which limit it is: what differs is a field of
// Limit. The one exception names what it has no gauge for.
func TestNoSwitchOnLimits(t *testing.T) {
	files, fset := tree(t)
	for _, f := range files {
		if f.test || !namesByConstant(f.dir) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			var operands []ast.Expr
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if n.Op == token.EQL || n.Op == token.NEQ {
					operands = []ast.Expr{n.X, n.Y}
				}
			case *ast.CaseClause:
				operands = n.List
			}
			if i := slices.IndexFunc(operands, isLimitConstant); i >= 0 {
				t.Errorf("%s:%d: compares with one limit: give Limit a field",
					f.path, fset.Position(operands[i].Pos()).Line)
			}
			return true
		})
	}
}

// isLimitConstant is limit.AcceptQueue, or string(limit.AcceptQueue).
func isLimitConstant(e ast.Expr) bool {
	if c, ok := e.(*ast.CallExpr); ok && len(c.Args) == 1 {
		return isLimitConstant(c.Args[0])
	}
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == "limit" && slices.ContainsFunc(limit.Catalogue(),
		func(l *limit.Limit) bool {
			return strings.EqualFold(s.Sel.Name,
				strings.ReplaceAll(string(l.ID), "-", ""))
		})
}

// limitLiterals are the literals that equal an ID. An ID without a hyphen is an ordinary
// word: it counts where it is compared, looked up, or fills a field called Limit.
func limitLiterals(syntax *ast.File) (found []*ast.BasicLit) {
	add := func(e ast.Expr, words bool) {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		id, err := strconv.Unquote(lit.Value)
		if err == nil && limit.Find(limit.ID(id)) != nil &&
			(words || strings.Contains(id, "-")) &&
			!slices.Contains(found, lit) {
			found = append(found, lit)
		}
	}
	ast.Inspect(syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BasicLit:
			add(n, false)
		case *ast.KeyValueExpr:
			key, ok := n.Key.(*ast.Ident)
			add(n.Value, ok && key.Name == "Limit")
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.SelectorExpr)
			for _, arg := range n.Args {
				add(arg, ok && (f.Sel.Name == "Find" || f.Sel.Name == "Of"))
			}
		}
		return true
	})
	return found
}
