//go:build linux

package bpf_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/internal/lab/vm/vmtest"
)

// The programs on other kernels.
func TestVMOtherKernels(t *testing.T) {
	vmtest.OnKernels(t, func(t *testing.T, k vm.Kernel) {
		out, err := vm.Run(t.Context(), vm.Spec{Kernel: k, Binary: vmtest.Static(t),
			Memory: 1024, Timeout: 8 * time.Minute,
			Args: []string{"-test.v", "-test.timeout=0",
				"-test.run=^Test(Owners|NoPort|Port|Other|Accept|Synacks|NoFile|Totals)"},
			Env: []string{"MAXCONN_REQUIRE=lab"}})
		if errors.Is(err, vm.ErrUnavailable) {
			t.Skip(err)
		}
		text := string(out.Stdout) + string(out.Stderr)
		if err != nil || out.Code != 0 {
			t.Fatalf("exit status %d, %v\n%s", out.Code, err, text)
		}
		t.Logf("%s: %d tests passed, %d skipped in %v\n%s", out.Release,
			strings.Count(text, "\n--- PASS: "), strings.Count(text, "\n--- SKIP: "),
			out.Took.Round(time.Second), text)
	})
}
