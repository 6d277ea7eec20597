package listen

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab/vm"
)

// The tests of this package pass on the oldest and the newest kernel, with all privileges.
func TestOtherKernels(t *testing.T) {
	for _, series := range []string{"5.10", "6.1", "6.12", "newest"} {
		t.Run(series, func(t *testing.T) {
			kernel := machineKernel(t, series)
			out, err := vm.Run(t.Context(), vm.Spec{
				Kernel: kernel, Binary: static(t), Args: []string{"-test.short", "-test.v", "-test.timeout=5m"},
				Env: []string{"MAXCONN_REQUIRE=lab"}, Files: map[string][]byte{"/etc/hosts": []byte("127.0.0.1 localhost\n")},
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
	required := strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "vm")
	if testing.Short() {
		t.Skip("machines take seconds to boot: not for -short")
	}
	if !required && os.Getenv("MAXCONN_VM") == "" && os.Getenv("MAXCONN_VM_FETCH") == "" {
		t.Skip("virtual machines are asked for with MAXCONN_VM=1 (kernels that are in the cache), MAXCONN_VM_FETCH=1 or MAXCONN_REQUIRE=vm")
	}
	if required || os.Getenv("MAXCONN_VM_FETCH") == "1" {
		k, err := vm.Fetch(t.Context(), series)
		if errors.Is(err, vm.ErrUnavailable) && !required {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	kernels, err := vm.Kernels()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(kernels, func(k vm.Kernel) bool { return k.Series == series })
	if i < 0 {
		t.Skipf("kernel %s is not in the cache: MAXCONN_VM_FETCH=1 fetches it", series)
	}
	return kernels[i]
}

// static builds this test binary without C, as small machines want it.
func static(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "listen.test")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, text)
	}
	return path
}
