package dial_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/internal/lab/vm/vmtest"
)

// elsewhere are the tests that run on other kernels: those that depend on the kernel. A
// machine is emulated and slow, and its clock may run ahead, so it is the host's clock that
// bounds a run.
var elsewhere = []struct {
	dir, run string
	names    []string // that pass
}{
	{".", "^TestLab(HoldsSources|ControlPlain|Churn|AddressVanished|RangeIsWidened|OddRanges)/^auto$", []string{
		"TestLabHoldsSourcesTimesPorts", "TestLabControlPlainDialer", "TestLabChurn",
		"TestLabAddressVanished", "TestLabRangeIsWidened",
	}},
	{"../../dial",
		"^Test(Conn|Refused|Blackhole|ManyAtOnce|PortsAreKept|WithoutDescriptors)/^auto$",
		[]string{
			"TestPortsAreKept", "TestWithoutDescriptors", "TestConnIsATCPConn",
		}},
}

// The figures of package dial on other kernels: 5.10 has no IP_LOCAL_PORT_RANGE; Debian's
// 6.1 has it, though Linux got it in 6.3.
func TestVMOtherKernels(t *testing.T) {
	vmtest.OnKernels(t, func(t *testing.T, k vm.Kernel) {
		for _, tests := range elsewhere {
			out, err := vm.Run(t.Context(), vm.Spec{
				Kernel: k, Binary: vmtest.StaticOf(t, tests.dir), Memory: 1024,
				Timeout: 8 * time.Minute,
				Args: []string{"-test.v", "-test.timeout=0",
					"-test.run=" + tests.run},
				Env: []string{"MAXCONN_REQUIRE=lab"},
			})
			if errors.Is(err, vm.ErrUnavailable) {
				t.Skip(err)
			}
			text := string(out.Stdout) + string(out.Stderr)
			if err != nil || out.Code != 0 {
				t.Fatalf("%s: exit status %d, %v\n%s", tests.dir, out.Code, err,
					text)
			}
			for _, name := range tests.names {
				if !strings.Contains(text, "--- PASS: "+name+" (") {
					t.Errorf("%s did not pass:\n%s", name, text)
				}
			}
			t.Logf("%s: %s: %s, %d tests passed in %v", out.Release, tests.dir,
				chosen(text),
				strings.Count(text, "\n--- PASS: "), out.Took.Round(time.Second))
		}
	})
}

// chosen finds what AutoPort came to.
func chosen(text string) string {
	for line := range strings.Lines(text) {
		if _, rest, ok := strings.Cut(line, "lab_linux_test.go:"); ok {
			if _, rest, ok = strings.Cut(rest, ": "); ok {
				return strings.TrimSpace(rest)
			}
		}
	}
	return "choice unknown"
}
