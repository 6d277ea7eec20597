package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// One fact, one place: these tests find the code that would state or read for itself what another
// package knows.

// releaseNames are those of functions that would read kernel releases, or compare them as text.
var releaseNames = regexp.MustCompile(`^([pP]arseRelease|[pP]arseVersion|majorMinor|(kernel|release)` +
	`(Since|Before|Older|Newer|AtLeast)|olderThan|newerThan)$`)

// A parser of kernel releases shows by its name, by a scan for "%d.%d", or by what it does: it
// cuts a text at dots or at what is no digit, and makes numbers of the parts.
func TestOneParserOfKernelReleases(t *testing.T) {
	files, fset := tree(t)
	for _, f := range files {
		if f.test || f.path == "internal/host/release.go" {
			continue
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if why := parsesRelease(fn); why != "" {
				t.Errorf("%s: %s %s: host.ParseRelease is the only parser of kernel releases",
					fset.Position(fn.Pos()), fn.Name.Name, why)
			}
		}
	}
}

// parsesRelease says by what a function looks as if it read a kernel release, or "".
func parsesRelease(fn *ast.FuncDecl) (why string) {
	cuts, numbers := false, false
	ast.Inspect(fn, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		name, args := callee(call), texts(call)
		cuts = cuts || name == "strings.FieldsFunc" ||
			strings.HasPrefix(name, "strings.") && slices.Contains(args, ".")
		numbers = numbers || name == "strconv.Atoi" || strings.HasPrefix(name, "strconv.Parse")
		if strings.HasPrefix(name, "fmt.S") && strings.Contains(strings.Join(args, ""), "%d.%d") {
			why = "scans two numbers with a dot between"
		}
		return true
	})
	switch {
	case why != "":
		return why
	case releaseNames.MatchString(fn.Name.Name):
		return "has the name of a parser"
	case cuts && numbers:
		return "cuts at a dot and makes a number"
	}
	return ""
}

// callee is "strings.Cut" for strings.Cut(a, b).
func callee(c *ast.CallExpr) string {
	if f, ok := c.Fun.(*ast.SelectorExpr); ok {
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

// texts are the string literals among the arguments of a call.
func texts(c *ast.CallExpr) (out []string) {
	for _, a := range c.Args {
		if lit, ok := a.(*ast.BasicLit); ok && (lit.Kind == token.STRING || lit.Kind == token.CHAR) {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				out = append(out, s)
			}
		}
	}
	return out
}

// A function that turns the spelling of a sysctl's name does so by a replacement of dots by
// slashes, or rune by rune.
func TestOnePlaceForSpellingsOfSysctls(t *testing.T) {
	excused := map[string]string{
		"internal/sysctld/parse.go parseKey": "TuneD itself makes every dot a slash",
	}
	files, fset := tree(t)
	for _, f := range files {
		if f.test || f.dir == "internal/knob" {
			continue
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if ok && excused[f.path+" "+fn.Name.Name] == "" && turnsDots(fn) {
				t.Errorf("%s: %s turns dots and slashes: knob.Key, Path and File do that",
					fset.Position(fn.Pos()), fn.Name.Name)
			}
		}
	}
}

func turnsDots(fn *ast.FuncDecl) (yes bool) {
	dot, slash := false, false
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			args := texts(n)
			replaces := strings.HasPrefix(callee(n), "strings.")
			yes = yes || replaces && slices.Contains(args, ".") && slices.Contains(args, "/")
		case *ast.CaseClause:
			for _, x := range n.List {
				lit, ok := x.(*ast.BasicLit)
				dot, slash = dot || ok && lit.Value == "'.'", slash || ok && lit.Value == "'/'"
			}
		}
		return true
	})
	return yes || dot && slash
}
