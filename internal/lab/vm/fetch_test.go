//go:build linux

package vm

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSeriesThatIsNone(t *testing.T) {
	if _, err := Fetch(t.Context(), "2.4"); err == nil ||
		!strings.Contains(err.Error(), "5.10, 6.1, 6.12, newest") {
		t.Errorf("Fetch(2.4) = %v", err)
	}
}

// put makes the tree of an unpacked package.
func put(t *testing.T, root string, files ...string) {
	t.Helper()
	for _, f := range files {
		path := filepath.Join(root, f)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func TestGather(t *testing.T) {
	for name, files := range map[string][]string{
		"Debian 11": {"boot/vmlinuz-5.10.0-32-cloud-amd64",
			"boot/config-5.10.0-32-cloud-amd64",
			"lib/modules/5.10.0-32-cloud-amd64/kernel/a.ko",
			"lib/modules/5.10.0-32-cloud-amd64/modules.builtin"},
		"Debian 13": {"boot/vmlinuz-5.10.0-32-cloud-amd64",
			"usr/lib/modules/5.10.0-32-cloud-amd64/kernel/a.ko",
			"usr/lib/modules/5.10.0-32-cloud-amd64/modules.builtin"},
		"Debian 14": {"usr/lib/modules/5.10.0-32-cloud-amd64/vmlinuz",
			"usr/lib/modules/5.10.0-32-cloud-amd64/kernel/a.ko",
			"usr/lib/modules/5.10.0-32-cloud-amd64/modules.builtin"},
	} {
		root, to := t.TempDir(), filepath.Join(t.TempDir(), "kernel")
		put(t, root, files...)
		release, err := gather(root, to)
		if err != nil || release != "5.10.0-32-cloud-amd64" {
			t.Errorf("%s: %q, %v", name, release, err)
		}
		for _, f := range []string{"vmlinuz", "modules/kernel/a.ko",
			"modules/modules.builtin"} {
			if _, err := os.Stat(filepath.Join(to, f)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, files := range [][]string{nil, {"boot/vmlinuz-1"}, {"lib/modules/1/kernel/a"},
		{"lib/modules/1/kernel/a", "lib/modules/1/modules.builtin"}} {
		root := t.TempDir()
		put(t, root, files...)
		if _, err := gather(root, filepath.Join(root, "kernel")); err == nil {
			t.Errorf("%q: no error", files)
		}
	}
}

// Two that fetch the same kernel at the same time end up with one.
func TestSettle(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	cache := must(cacheDir())(t)
	for range 2 {
		from := filepath.Join(t.TempDir(), "kernel")
		put(t, from, "vmlinuz", "modules/kernel/a.ko")
		if err := os.MkdirAll(cache, 0o777); err != nil {
			t.Fatal(err)
		}
		k, err := Kernel{Series: "6.1", Release: "6.1.0-50-cloud-amd64",
			Version: "6.1.176-1"}.settle(from, cache)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(k.Image); err != nil {
			t.Error(err)
		}
	}
	kernels := must(Kernels())(t)
	if len(kernels) != 1 || kernels[0].Release != "6.1.0-50-cloud-amd64" ||
		kernels[0].Version != "6.1.176-1" {
		t.Errorf("cached %+v", kernels)
	}
	if k, err := Fetch(t.Context(), "6.1"); err != nil || k != kernels[0] {
		t.Errorf("Fetch = %+v, %v", k, err)
	}
}

func TestSweep(t *testing.T) {
	cache := t.TempDir()
	put(t, cache, ".fetch-old/root/file", ".fetch-new/root/file", "6.1.0/kernel.json")
	long := time.Now().Add(-2 * time.Hour)
	for _, dir := range []string{".fetch-old", "6.1.0"} {
		if err := os.Chtimes(filepath.Join(cache, dir), long, long); err != nil {
			t.Fatal(err)
		}
	}
	sweep(cache)
	var left []string
	for _, e := range must(os.ReadDir(cache))(t) {
		left = append(left, e.Name())
	}
	if !slices.Equal(left, []string{".fetch-new", "6.1.0"}) {
		t.Errorf("left %q", left)
	}
}

// Without the tools the reason names them.
func TestUnavailable(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Run(t.Context(), Spec{}); !errors.Is(err, ErrUnavailable) ||
		!strings.Contains(err.Error(), "qemu-system-x86") {
		t.Errorf("Run without qemu = %v", err)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if _, err := Fetch(t.Context(), "6.1"); !errors.Is(err, ErrUnavailable) ||
		!strings.Contains(err.Error(), "apt-get") {
		t.Errorf("Fetch without apt = %v", err)
	}
	left := must(filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"),
		"maxconn/kernels/.*")))(t)
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
