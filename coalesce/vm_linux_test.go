package coalesce

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab/vm"
)

// kernels are the series to boot: MAXCONN_VM=5.10,newest lists them; otherwise one.
func kernels() []string {
	if asked := os.Getenv("MAXCONN_VM"); strings.Contains(asked, ".") || asked == vm.Newest {
		return strings.Split(asked, ",")
	}
	return []string{"6.12"}
}

// The tests of this package pass on other kernels.
func TestVMOtherKernels(t *testing.T) {
	if testing.Short() {
		t.Skip("machines take seconds to boot: not for -short")
	}
	for _, series := range kernels() {
		t.Run(series, func(t *testing.T) {
			kernel := machineKernel(t, series)
			out, err := vm.Run(t.Context(), vm.Spec{
				Kernel: kernel, Binary: static(t), Args: []string{"-test.short", "-test.v", "-test.timeout=5m"},
				Files:  map[string][]byte{"/etc/hosts": []byte("127.0.0.1 localhost\n")},
				Memory: 1024, Timeout: 6 * time.Minute,
			})
			for line := range strings.Lines(string(out.Stdout)) {
				if strings.Contains(line, "_test.go") {
					t.Log(strings.TrimSpace(line))
				}
			}
			passed := strings.Count(string(out.Stdout), "\n--- PASS: ")
			if err != nil || out.Code != 0 || passed < 20 {
				t.Errorf("%s: %v, exit status %d, %d passed\n%s%s", kernel.Release, err, out.Code, passed, out.Stdout, out.Stderr)
			}
			t.Logf("%s: %d tests passed in %v", out.Release, passed, out.Took)
		})
	}
}

func machineKernel(t *testing.T, series string) vm.Kernel {
	t.Helper()
	k, err := vm.Asked(t.Context(), os.Getenv, series)
	switch {
	case err == nil:
	case !vm.Required(os.Getenv) && (errors.Is(err, vm.ErrUnasked) || errors.Is(err, vm.ErrUnavailable)):
		t.Skip(err)
	default:
		t.Fatal(err)
	}
	return k
}

// static builds this test binary without C, as small machines want it.
func static(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "coalesce.test")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, text)
	}
	return path
}
