package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/knob"
)

// One fact, one place: these tests find the code that would state or read for itself what another
// package knows.

// releaseNames are those of functions that would read kernel releases, or compare them as text.
var releaseNames = regexp.MustCompile(
	`^([pP]arseRelease|[pP]arseVersion|majorMinor|(kernel|release)` +
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
				t.Errorf("%s: %s %s: host.ParseRelease is the only parser of "+
					"kernel releases",
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
		numbers = numbers || name == "strconv.Atoi" ||
			strings.HasPrefix(name, "strconv.Parse")
		if strings.HasPrefix(name, "fmt.S") &&
			strings.Contains(strings.Join(args, ""), "%d.%d") {
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
		if lit, ok := a.(*ast.BasicLit); ok &&
			(lit.Kind == token.STRING || lit.Kind == token.CHAR) {
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
				t.Errorf("%s: %s turns dots and slashes: knob.Key, Path and "+
					"File do that",
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
			yes = yes || replaces && slices.Contains(args, ".") &&
				slices.Contains(args, "/")
		case *ast.CaseClause:
			for _, x := range n.List {
				lit, ok := x.(*ast.BasicLit)
				dot, slash = dot || ok && lit.Value == "'.'", slash ||
					ok && lit.Value == "'/'"
			}
		}
		return true
	})
	return yes || dot && slash
}

// judging are the packages that speak of settings.
var judging = []string{
	"internal/limit", "internal/lint", "internal/diagnose", "internal/plan", "internal/persist",
	"internal/export", "internal/observe", "internal/apply", "internal/render",
}

// statements are ways of stating a fact of a setting that its row states.
var statements = map[string]*regexp.Regexp{
	"a default": regexp.MustCompile(`\d( \w+)? by default|[Dd]efault (is|of|was) (about )?\d|` +
		`\d, the default|default, \d`),
	"a scope": regexp.MustCompile(
		`per network namespace|read-only (in|since)|(does|is) not inherit`),
	"since when a setting is gone": regexp.MustCompile(`(setting|it) is gone since Linux \d`),
	"since when a default is":      regexp.MustCompile(`\(\d[\d,]* (before|since) Linux \d`),
}

// said are statements that are not about one setting.
var said = map[string]string{
	"a pod does not inherit settings of its node": "of all",
}

// No text outside of package knob states a default, its history or a scope of a setting in
// figures: it takes them from the row.
func TestFactsOfSettingsStandInTheirRows(t *testing.T) {
	files, fset := tree(t)
	for _, f := range files {
		if f.test || !slices.Contains(judging, f.dir) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, _ := strconv.Unquote(lit.Value)
			for what, pattern := range statements {
				if found := pattern.FindString(text); found != "" &&
					!excusedText(text) {
					t.Errorf("%s states %s (%q): knob.Usual and the row's "+
						"words say it",
						fset.Position(lit.Pos()), what, found)
				}
			}
			return true
		})
	}
}

func excusedText(text string) bool {
	for part := range said {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// tables are what may name several settings, with the reason.
var tables = map[string]string{
	"internal/lint/absent.go successors":        "what replaced settings that are gone",
	"internal/apply/identity.go here":           "what tells hosts apart",
	"internal/limit/threads_lift.go lift":       "which settings raise it",
	"internal/persist/owners.go bpftune":        "what a program sets",
	"internal/lint/rules_tcp.go judgeKeepalive": "the sum of three",
}

// No other package has a table of settings: a map, a list, a switch or a
// text with three names or more. Limits
// name their knobs, and the rules of lint are functions.
func TestOneTableOfSettings(t *testing.T) {
	files, fset := tree(t)
	for _, f := range files {
		if f.test || !slices.Contains(judging, f.dir) {
			continue
		}
		for _, d := range f.syntax.Decls {
			name := declared(d)
			ast.Inspect(d, func(n ast.Node) bool {
				if kv, ok := n.(*ast.KeyValueExpr); ok && isIdent(kv.Key, "Knobs") {
					return false
				}
				if names := settingsIn(n); names >= 3 &&
					tables[f.path+" "+name] == "" {
					t.Errorf("%s: %s is a table of %d settings: what is "+
						"known of them belongs into their rows",
						fset.Position(n.Pos()), name, names)
				}
				return true
			})
		}
	}
}

// settingsIn counts the names of settings that are keys or elements of a literal, or cases
// of a switch.
func settingsIn(n ast.Node) (names int) {
	var parts []ast.Expr
	switch n := n.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(n.Value)
		for _, word := range strings.Fields(text) {
			if knob.IsSysctl(word) && knob.Find(word) != nil {
				names++
			}
		}
		return names
	case *ast.CompositeLit:
		parts = n.Elts
	case *ast.SwitchStmt:
		for _, s := range n.Body.List {
			parts = append(parts, s.(*ast.CaseClause).List...)
		}
	}
	for _, p := range parts {
		switch x := p.(type) {
		case *ast.KeyValueExpr:
			p = x.Key
		case *ast.CompositeLit: // a row of a table
			if len(x.Elts) > 0 {
				p = x.Elts[0]
			}
		}
		if lit, ok := p.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, _ := strconv.Unquote(lit.Value); knob.IsSysctl(text) &&
				knob.Find(text) != nil {
				names++
			}
		}
	}
	return names
}

func isIdent(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}

// declared is the name of a declaration.
func declared(d ast.Decl) string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return d.Name.Name
	case *ast.GenDecl:
		if v, ok := d.Specs[0].(*ast.ValueSpec); ok {
			return v.Names[0].Name
		}
	}
	return ""
}
