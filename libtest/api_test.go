package libtest

import (
	"flag"
	"fmt"
	"go/types"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"
)

var update = flag.Bool("update", false, "write api/*.txt")

// What a package exports is written down in api/, a line for each name, so that a change of
// it is seen in review. To accept one: go test ./libtest -run API -update.
func TestAPI(t *testing.T) {
	for _, name := range []string{"coalesce", "dial", "listen"} {
		for _, system := range []string{"linux", "windows"} {
			got := exported(t, name, system)
			file := "api/" + name + ".txt"
			if *update && system == "linux" {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range difference(string(want), got) {
				t.Errorf("%s on %s: %s", name, system, line)
			}
		}
	}
}

// exported lists what a package offers on a system.
func exported(t *testing.T, name, system string) string {
	t.Helper()
	c := &packages.Config{
		Dir: "../" + name, // in its own module
		Mode: packages.NeedName | packages.NeedTypes | packages.NeedImports |
			packages.NeedDeps,
		Env: append(os.Environ(), "GOOS="+system, "GOARCH=amd64", "CGO_ENABLED=0"),
	}
	found, err := packages.Load(c, ".")
	if err != nil {
		t.Fatal(err)
	}
	if packages.PrintErrors(found) > 0 || len(found) != 1 {
		t.Fatalf("%s: %d packages", name, len(found))
	}
	var lines []string
	for _, n := range found[0].Types.Scope().Names() {
		if o := found[0].Types.Scope().Lookup(n); o.Exported() {
			lines = append(lines, describe(o, types.RelativeTo(found[0].Types))...)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// describe gives the lines of one name: a type has one for each field and method.
func describe(o types.Object, q types.Qualifier) (lines []string) {
	switch o := o.(type) {
	case *types.Const:
		return []string{fmt.Sprintf("%s = %s", types.ObjectString(o, q), o.Val())}
	case *types.TypeName:
		body, isStruct := o.Type().Underlying().(*types.Struct)
		if !isStruct {
			lines = append(lines, types.ObjectString(o, q))
		} else {
			lines = append(lines, "type "+o.Name()+" struct")
			for f := range body.Fields() {
				if f.Exported() {
					lines = append(lines,
						fmt.Sprintf("type %s struct, %s %s", o.Name(),
							f.Name(), types.TypeString(f.Type(), q)))
				}
			}
		}
		if named, ok := o.Type().(*types.Named); ok {
			for m := range named.Methods() {
				if m.Exported() {
					lines = append(lines, types.ObjectString(m, q))
				}
			}
		}
		return lines
	}
	return []string{types.ObjectString(o, q)}
}

// difference lists the lines that only one of the two has.
func difference(want, got string) (lines []string) {
	before, after := strings.Split(want, "\n"), strings.Split(got, "\n")
	for _, l := range before {
		if !slices.Contains(after, l) {
			lines = append(lines, "gone: "+l)
		}
	}
	for _, l := range after {
		if !slices.Contains(before, l) {
			lines = append(lines, "new: "+l)
		}
	}
	return lines
}
