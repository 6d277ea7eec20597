package observe

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// A group that cannot be reached is unseen, not absent; only the root of a hierarchy limits
// nothing.
func TestUnreachableGroups(t *testing.T) {
	const proc = "22 27 0:21 / /proc rw - proc proc rw\n"
	for name, c := range map[string]struct {
		mountinfo, cgroup, namespace string
		unseen                       string
	}{
		"version 2":            {proc, "0::/web\n", initialCgroup, "yes"},
		"version 1":            {proc, "4:memory:/web\n0::/\n", initialCgroup, "yes"},
		"root":                 {proc, "0::/\n", initialCgroup, ""},
		"root of version 1":    {proc, "4:memory:/\n0::/x\n", initialCgroup, ""},
		"root of a container":  {proc, "0::/\n", "cgroup:[4026532000]", "yes"},
		"outside of a mount":   {proc + "1 0 0:30 /a /cg rw - cgroup2 none rw\n", "0::/web\n", initialCgroup, "yes"},
		"without a controller": {proc, "3:cpu:/web\n", initialCgroup, ""},
		"not understood":       {proc, "web\n", initialCgroup, "yes"},
		"without cgroups":      {proc, "", initialCgroup, ""},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for _, dir := range []string{"self/ns", "12"} {
				if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			write := func(name, text string) {
				err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644)
				if err != nil {
					t.Fatal(err)
				}
			}
			write("self/mountinfo", c.mountinfo)
			if c.cgroup != "" {
				write("12/cgroup", c.cgroup)
			}
			err := os.Symlink(c.namespace, filepath.Join(root, "self/ns/cgroup"))
			if err != nil {
				t.Fatal(err)
			}
			s := &subject{root: procfs.Root(root)}
			p, err := s.root.Open(12)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			g := newGroups(s)
			have, _ := g.add(nil, p).Lookup("unseen_cgroup")
			g.write()
			_, missed := s.snapshot.Lookup(host.All(host.CgroupKind))
			if have != c.unseen || missed != (c.unseen != "") {
				t.Errorf("unseen %q, missed %v, want %q", have, missed, c.unseen)
			}
		})
	}
}
