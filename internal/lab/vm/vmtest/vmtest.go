//go:build linux

// Package vmtest is what tests share that run their own package on other kernels: which kernels are
// asked for, and the test binary as a machine wants it. It is for _test.go files only.
package vmtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/lab/vm"
)

// OnKernels runs a test on each kernel that is asked for: MAXCONN_VM=5.10,newest lists
// them; otherwise 6.12. Without machines it skips with the reason, or fails where
// MAXCONN_REQUIRE names vm. Never with -short.
func OnKernels(t *testing.T, test func(t *testing.T, k vm.Kernel)) {
	t.Helper()
	if testing.Short() {
		t.Skip("machines take seconds to boot: not for -short")
	}
	for _, s := range series() {
		t.Run(s, func(t *testing.T) { test(t, kernel(t, s)) })
	}
}

func series() []string {
	if asked := os.Getenv("MAXCONN_VM"); strings.Contains(asked, ".") || asked == vm.Newest {
		return strings.Split(asked, ",")
	}
	return []string{"6.12"}
}

func kernel(t *testing.T, series string) vm.Kernel {
	t.Helper()
	k, err := vm.Asked(t.Context(), os.Getenv, series)
	switch {
	case err == nil:
	case !vm.Required(os.Getenv) && (errors.Is(err, vm.ErrUnasked) ||
		errors.Is(err, vm.ErrUnavailable)):
		t.Skip(err)
	default:
		t.Fatal(err)
	}
	return k
}

// Static builds the test binary of the package in the working directory without C, so that
// it needs no libraries of the host.
func Static(t *testing.T) string {
	t.Helper()
	return StaticOf(t, ".")
}

// StaticOf builds that of the package in another directory: one whose module must not
// require this package.
func StaticOf(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "package.test")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-buildvcs=false", "-o", path,
		".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	return path
}
