//go:build linux

package lsm

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What the file says and what the system call says is the same.
func TestActive(t *testing.T) {
	sys := t.TempDir()
	at := filepath.Join(sys, "kernel/security")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "lsm"), []byte("lockdown,yama,apparmor"),
		0o644); err != nil {
		t.Fatal(err)
	}
	have, err := Active(sys, false)
	if err != nil || !slices.Equal(have, []string{"lockdown", "yama", "apparmor"}) {
		t.Errorf("%v, %v", have, err)
	}
	asked, err := list()
	if err != nil {
		t.Skipf("lsm_list_modules(2) is of Linux 6.8: %v", err)
	}
	if !slices.Contains(asked, "capability") {
		t.Errorf("%v lacks capability, which is always active", asked)
	}
}
