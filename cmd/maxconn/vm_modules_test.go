//go:build linux

package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// systemdModules loads what modules-load.d names.
const systemdModules = "/usr/lib/systemd/systemd-modules-load"

// moduleTree is nf_conntrack of the kernel, and what it depends on, where modprobe looks
// for it, with the index that depmod makes.
func (m *machine) moduleTree() map[string][]byte {
	m.Helper()
	base := m.TempDir()
	dir := filepath.Join(base, "lib", "modules", m.kernel.Release)
	m.check(filepath.WalkDir(m.kernel.Modules,
		func(path string, d fs.DirEntry, err error) error {
			rel, relErr := filepath.Rel(m.kernel.Modules, path)
			name, _, isModule := strings.Cut(filepath.Base(path), ".ko")
			if err != nil || relErr != nil || d.IsDir() ||
				isModule && name != "nf_conntrack" &&
					!strings.HasPrefix(name, "nf_defrag_") &&
					name != "libcrc32c" {
				return err
			}
			text, err := os.ReadFile(path)
			if err == nil {
				err = os.MkdirAll(filepath.Dir(filepath.Join(dir, rel)), 0o755)
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, rel), text, 0o644)
			}
			return err
		}))
	if out, err := exec.Command("depmod", "-b", base, m.kernel.Release).CombinedOutput(); err !=
		nil {
		m.Fatalf("depmod: %v\n%s", err, out)
	}
	files := map[string][]byte{}
	m.check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files["/usr"+strings.TrimPrefix(path, base)], err = os.ReadFile(path)
		}
		return err
	}))
	return files
}

func (m *machine) check(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// reloadConntrack takes connection tracking out, which the machine starts with, and lets
// the boot's own program load it as the files say: with its hash table in the planned size,
// before any sysctl is written.
func (g *guest) reloadConntrack(hashsize string) {
	g.check(unix.DeleteModule("nf_conntrack", unix.O_NONBLOCK))
	if _, err := os.Stat("/proc/sys/net/netfilter/nf_conntrack_max"); err == nil {
		g.errorf("connection tracking is still there")
	}
	g.command(0, systemdModules)
	if have := g.text("/sys/module/nf_conntrack/parameters/hashsize"); have != hashsize {
		g.errorf("nf_conntrack was loaded with hashsize %s, want %s", have, hashsize)
	}
}
