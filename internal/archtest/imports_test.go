package archtest

import (
	"go/ast"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rows is the import order: a package imports only packages of rows above its
// own (smaller numbers). A trailing slash stands for everything below.
var rows = []struct {
	row  int
	path string
}{
	{0, "internal/host"}, {0, "internal/knob"}, {0, "internal/sysctld"}, {0, "internal/near"},
	{0, "internal/figure"}, {0, "internal/infile"}, {0, "internal/spent"},
	{0, "internal/serverconf"},
	{0, "internal/encode"}, {0, "internal/encode/"},
	{0, "internal/load/result"},
	{0, "internal/linux/"}, {0, "coalesce"}, {0, "dial"}, {0, "listen"},
	{1, "coalesce/coalescetest"}, {1, "internal/limit"},
	{2, "internal/diagnose"}, {2, "internal/refusal"}, {2, "internal/prove/proof"},
	{3, "internal/plan"}, {3, "internal/lint"}, {3, "internal/diagnose/without"},
	{4, "internal/observe"}, {4, "internal/persist"}, {4, "internal/live"},
	{4, "internal/fix"},
	{5, "internal/trace"}, {5, "internal/apply"}, {5, "internal/export"},
	{6, "internal/lab"}, {6, "internal/lab/"}, {6, "internal/load"},
	{6, "internal/live/loop"},
	{7, "internal/prove"},
	{8, "internal/render"},
	{9, "internal/ui/"},
	{10, "cmd/maxconn"}, {10, "cmd/maxconn-proofs"}, {10, "libtest"},
	{10, "internal/faults"},
	{10, "scripts/worst-inputs"}, {10, "scripts/pictures"},
}

// sameRow are imports inside one row that the order allows.
var sameRow = map[string][]string{
	// a machine's cgroup files are found through /proc
	"internal/linux/cgroup": {"internal/linux/procfs"},
	// releases, and facts that a default follows from
	"internal/knob": {"internal/host", "internal/figure"},
	// the spellings of a setting's name
	"internal/sysctld":      {"internal/knob"},
	"internal/linux/procfs": {"internal/knob"},
	"internal/linux/tune":   {"internal/knob"},
	// what tests of machines and of labs share
	"internal/lab/vm/vmtest": {"internal/lab/vm"},
	"internal/lab/labtest":   {"internal/lab"},
	// who may write to the directory of an output
	"internal/linux/outfile": {"internal/linux/trust"},
	// one reader of netlink attributes
	"internal/linux/link":      {"internal/linux/nlattr"},
	"internal/linux/netfilter": {"internal/linux/nlattr"},
	// a name that is misspelt; threads that end with what was done on them
	"internal/linux/netns":        {"internal/near", "internal/linux/thread"},
	"internal/linux/netns/nstest": {"internal/linux/thread"},
}

func rowOf(dir string) (int, bool) {
	for _, r := range rows {
		if dir == r.path || strings.HasSuffix(r.path, "/") &&
			strings.HasPrefix(dir, r.path) {
			return r.row, true
		}
	}
	return 0, false
}

func TestImportOrder(t *testing.T) {
	files, _ := tree(t)
	for _, f := range files {
		if f.dir == "internal/archtest" || f.test {
			continue // tests may look at any layer
		}
		own, ok := rowOf(f.dir)
		if !ok {
			t.Errorf("%s: package %s has no row in the import order", f.path, f.dir)
			continue
		}
		for _, imp := range f.imports {
			dir, ours := strings.CutPrefix(imp, module+"/")
			if !ours || slices.Contains(sameRow[f.dir], dir) {
				continue
			}
			if row, ok := rowOf(dir); !ok || row >= own {
				t.Errorf("%s (row %d) imports %s (row %d)", f.path, own, dir, row)
			}
		}
	}
}

// The libraries and their tests need golang.org/x/sys and nothing else: what a test of
// theirs imports, go mod tidy asks of their importers too. Tests that need more stand in
// libtest.
func TestLibrariesStandAlone(t *testing.T) {
	files, _ := tree(t)
	for _, f := range files {
		library, _, _ := strings.Cut(f.dir, "/")
		if !slices.Contains([]string{"coalesce", "dial", "listen"}, library) {
			continue
		}
		own := module + "/" + library
		for _, imp := range f.imports {
			first, _, _ := strings.Cut(imp, "/")
			ours := imp == own || strings.HasPrefix(imp, own+"/")
			if strings.Contains(first, ".") && !ours &&
				!strings.HasPrefix(imp, "golang.org/x/sys/") {
				t.Errorf("%s imports %s", f.path, imp)
			}
		}
	}
}

// pure packages compute and print; they touch no file, socket or process, and build on
// every system.
var pure = []string{
	"internal/host", "internal/knob", "internal/near", "internal/figure", "internal/sysctld",
	"internal/serverconf",
	"internal/encode", "internal/encode/hostile",
	"internal/limit",
	"internal/diagnose", "internal/diagnose/without", "internal/plan", "internal/lint",
	"internal/persist",
	"internal/fix",
	"internal/export", "internal/live", "internal/ui/exporter/rules",
	"internal/render",
	"internal/load/result", "internal/prove/proof", "internal/refusal",
}

func TestPurity(t *testing.T) {
	banned := []string{"os", "net", "net/http", "syscall", "os/exec", "log", "log/slog",
		"math/rand", "unsafe"}
	files, _ := tree(t)
	for _, f := range files {
		if f.test || !slices.Contains(pure, f.dir) {
			continue
		}
		for _, imp := range f.imports {
			dir, ours := strings.CutPrefix(imp, module+"/")
			if slices.Contains(banned, imp) || ours && !slices.Contains(pure, dir) {
				t.Errorf("%s is pure and imports %s", f.path, imp)
			}
		}
	}
}

// Who set a value is for package persist to say: it knows more than the files of sysctl.d.
func TestOwnersAreNamedInOnePlace(t *testing.T) {
	files, fset := tree(t)
	for _, f := range files {
		reads := slices.Contains(f.imports, module+"/internal/sysctld")
		if !reads || f.test ||
			slices.Contains([]string{"internal/persist", "internal/lint"}, f.dir) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if ok && slices.Contains([]string{"Winner", "Winners", "Decide"},
				s.Sel.Name) {
				t.Errorf("%s: persist.SetBy names the owner of a value",
					fset.Position(n.Pos()))
			}
			return true
		})
	}
}

// Snapshots and tuning files are judged on every system that Go builds for; verbs that need
// Linux say so there. libtest runs such a program.
func TestCoreBuildsElsewhere(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library for two other systems")
	}
	packages := []string{"build", "-buildvcs=false", "-o", os.DevNull, "./cmd/maxconn"}
	for _, dir := range pure {
		packages = append(packages, "./"+dir)
	}
	for _, system := range []string{"darwin", "windows"} {
		c := exec.Command("go", packages...)
		c.Dir, c.Env = root(t), append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		if text, err := c.CombinedOutput(); err != nil {
			t.Errorf("GOOS=%s go %s: %v\n%s", system, strings.Join(packages, " "), err,
				text)
		}
	}
}

func TestRawSystemCallsStayAtTheEdge(t *testing.T) {
	files, _ := tree(t)
	for _, f := range files {
		library := slices.Contains([]string{"coalesce", "dial", "listen"}, f.dir) &&
			strings.HasSuffix(f.path, "_linux.go")
		if f.test || library || strings.HasPrefix(f.dir, "internal/linux/") {
			continue
		}
		for _, imp := range f.imports {
			if imp == "golang.org/x/sys/unix" ||
				imp == "github.com/vishvananda/netlink" ||
				imp == "github.com/safchain/ethtool" ||
				strings.HasPrefix(imp, ebpfLibrary) {
				t.Errorf("%s imports %s: raw system calls stand under "+
					"internal/linux only", f.path, imp)
			}
		}
	}
}

const ebpfLibrary = "github.com/cilium/ebpf"

// loaders are the functions of the library by which internal/linux/bpf loads what is compiled in.
var loaders = []string{"ebpf.LoadCollectionSpecFromReader", "ebpf.NewCollectionWithOptions",
	"link.AttachIter", "link.AttachTracing"}

// What reads eBPF names no function of the library that writes or attaches, but for those of its
// own programs, which TestProgramsOnlyRead looks into.
func TestEBPFIsOnlyRead(t *testing.T) {
	files, fset := tree(t)
	for _, f := range files {
		if f.test || f.dir != "internal/linux/bpf" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := s.X.(*ast.Ident)
			if ok && (pkg.Name == "ebpf" || pkg.Name == "link") &&
				!slices.Contains(loaders, pkg.Name+"."+s.Sel.Name) &&
				(strings.HasPrefix(s.Sel.Name, "New") &&
					!strings.HasSuffix(s.Sel.Name, "FromID") ||
					strings.HasPrefix(s.Sel.Name, "Load") ||
					strings.Contains(s.Sel.Name, "Raw") ||
					s.Sel.Name != "AttachType" &&
						strings.HasPrefix(s.Sel.Name, "Attach") &&
						pkg.Name == "link") {
				t.Errorf("%s: %s.%s writes", fset.Position(n.Pos()), pkg.Name,
					s.Sel.Name)
			}
			return true
		})
	}
}

// Writers of kernel state stand in linux/tune; only apply and lab may reach it, so check,
// the exporter and the web page have no path to a writer.
func TestWritersAreFenced(t *testing.T) {
	const tune = module + "/internal/linux/tune"
	files, _ := tree(t)
	for _, f := range files {
		if slices.Contains(f.imports, tune) && f.dir != "internal/apply" &&
			f.dir != "internal/lab" && !f.test {
			t.Errorf("%s imports linux/tune", f.path)
		}
	}
}

// converted are the conversions to a type of internal/encode that are allowed outside of
// it, by file and how many there are: text that is of that language already.
var converted = map[string]int{
	"internal/render/explain_markdown.go": 1, // the catalogue's own Markdown
	"internal/render/check_html.go":       1, // drawn by Plot.SVG, which escapes
	"internal/render/load_html.go":        1, // drawn by Plot.SVG, which escapes
	"internal/render/proof_html.go":       1, // the same
	"internal/persist/sysctl.go":          1, // what stands in the file that maxconn owns
}

// Text becomes text of an output language by its encoder only: a conversion would go around it.
func TestTextIsEncoded(t *testing.T) {
	files, fset := tree(t)
	aliases := map[string]map[string]bool{} // by directory
	for _, f := range files {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && isLanguage(spec.Type, nil) {
				if aliases[f.dir] == nil {
					aliases[f.dir] = map[string]bool{}
				}
				aliases[f.dir][spec.Name.Name] = true
			}
			return true
		})
	}
	for _, f := range files {
		if f.test || f.dir == "internal/encode" {
			continue
		}
		found := 0
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok &&
				isLanguage(call.Fun, aliases[f.dir]) {
				if found++; found > converted[f.path] {
					t.Errorf("%s: text is converted, not encoded",
						fset.Position(call.Pos()))
				}
			}
			return true
		})
		if found < converted[f.path] {
			t.Errorf("%s has %d conversions, %d are allowed", f.path, found,
				converted[f.path])
		}
	}
}

// isLanguage says whether an expression is the type of an output language, or an alias of one.
func isLanguage(e ast.Expr, aliases map[string]bool) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return aliases[e.Name]
	case *ast.SelectorExpr:
		pkg, ok := e.X.(*ast.Ident)
		return ok && (pkg.Name == "encode" && slices.Contains(languages, e.Sel.Name) ||
			pkg.Name == "template" && slices.Contains(pages, e.Sel.Name))
	}
	return false
}

var (
	languages = []string{"Markdown", "Shell", "YAML", "Ansible", "Nix", "Conf"}
	pages     = []string{"CSS", "HTML", "HTMLAttr", "JS", "JSStr", "Srcset", "URL"}
)

// What goes to a terminal passes one function of cmd/maxconn, or the screen of
// internal/render: both make it visible.
func TestOneWayToTheTerminal(t *testing.T) {
	files, fset := tree(t)
	for _, f := range files {
		if f.test || f.dir != "cmd/maxconn" || f.path == "cmd/maxconn/terminal.go" {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "fmt" &&
				strings.Contains(call.Sel.Name, "rint") &&
				!strings.HasPrefix(call.Sel.Name, "S") {
				t.Errorf("%s: fmt.%s writes what may be anything: printf makes "+
					"it visible", fset.Position(call.Pos()), call.Sel.Name)
			}
			return true
		})
	}
}
