package coalesce

import (
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/internal/lab/vm/vmtest"
)

// The tests of this package pass on other kernels.
func TestVMOtherKernels(t *testing.T) {
	vmtest.OnKernels(t, func(t *testing.T, kernel vm.Kernel) {
		out, err := vm.Run(t.Context(), vm.Spec{
			Kernel: kernel, Binary: vmtest.Static(t), Args: []string{"-test.short", "-test.v", "-test.timeout=5m"},
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
