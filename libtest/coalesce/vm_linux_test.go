package coalesce

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/internal/lab/vm/vmtest"
)

// The tests of the coalesce module pass on other kernels.
func TestVMOtherKernels(t *testing.T) {
	vmtest.OnKernels(t, func(t *testing.T, kernel vm.Kernel) {
		const inside = "/coalesce.test"
		out, err := vm.Run(t.Context(), vm.Spec{
			Kernel: kernel, Binary: vmtest.Static(t),
			Env:  []string{insteadEnv + "=" + inside, "COALESCE_TEST_SLOWER=10"},
			Args: []string{"-test.short", "-test.v", "-test.timeout=8m"},
			Files: map[string][]byte{
				"/etc/hosts": []byte("127.0.0.1 localhost\n"),
				inside:       testsOf(t, "github.com/maxconn/maxconn/coalesce"),
			},
			Memory: 1024, Timeout: 9 * time.Minute,
		})
		for line := range strings.Lines(string(out.Stdout)) {
			if strings.Contains(line, "_test.go") {
				t.Log(strings.TrimSpace(line))
			}
		}
		passed := strings.Count(string(out.Stdout), "\n--- PASS: ")
		if err != nil || out.Code != 0 || passed < 20 {
			t.Errorf("%s: %v, exit status %d, %d passed\n%s%s",
				kernel.Release, err, out.Code, passed, out.Stdout, out.Stderr)
		}
		t.Logf("%s: %d tests passed in %v", out.Release, passed, out.Took)
	})
}

// testsOf is the test binary of another package, without C.
func testsOf(t *testing.T, pkg string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other.test")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-c", "-buildvcs=false", "-o", path,
		pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c %s: %v\n%s", pkg, err, out)
	}
	binary, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return binary
}
