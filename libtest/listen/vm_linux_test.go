package listen_test

import (
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/internal/lab/vm/vmtest"
)

// The tests of package listen, and those here, pass on other kernels, with all privileges.
func TestVMOtherKernels(t *testing.T) {
	vmtest.OnKernels(t, func(t *testing.T, kernel vm.Kernel) {
		for _, tests := range []struct {
			dir   string
			least int // tests that pass
		}{{"../../listen", 20}, {".", 6}} {
			out, err := vm.Run(t.Context(), vm.Spec{
				Kernel: kernel, Binary: vmtest.StaticOf(t, tests.dir), Memory: 1024,
				Timeout: 6 * time.Minute,
				Args:    []string{"-test.short", "-test.v", "-test.timeout=5m"},
				Env:     []string{"MAXCONN_REQUIRE=lab"},
				Files: map[string][]byte{"/etc/hosts": []byte(
					"127.0.0.1 localhost\n")},
			})
			for line := range strings.Lines(string(out.Stdout)) {
				if strings.Contains(line, "_test.go") {
					t.Log(strings.TrimSpace(line))
				}
			}
			passed := strings.Count(string(out.Stdout), "\n--- PASS: ")
			if err != nil || out.Code != 0 || passed < tests.least {
				t.Errorf("%s, %s: %v, exit status %d, %d passed\n%s%s",
					kernel.Release, tests.dir, err, out.Code, passed,
					out.Stdout, out.Stderr)
			}
			t.Logf("%s: %s: %d tests passed in %v", out.Release, tests.dir, passed,
				out.Took)
		}
	})
}
