package dial

import (
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

// machine gives the kernel of a series when machines are asked for.
func machine(t *testing.T, series string) vm.Kernel {
	t.Helper()
	required := strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "vm")
	switch {
	case testing.Short():
		t.Skip("machines take seconds to boot: not for -short")
	case required || os.Getenv("MAXCONN_VM_FETCH") == "1":
		k, err := vm.Fetch(t.Context(), series)
		if errors.Is(err, vm.ErrUnavailable) && !required {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return k
	case os.Getenv("MAXCONN_VM") == "":
		t.Skip("virtual machines are asked for with MAXCONN_VM=1 (kernels that are in the cache), MAXCONN_VM_FETCH=1 or MAXCONN_REQUIRE=vm")
	}
	kernels := must(vm.Kernels())(t)
	i := slices.IndexFunc(kernels, func(k vm.Kernel) bool { return k.Series == series })
	if i < 0 {
		t.Skipf("kernel %s is not in the cache: MAXCONN_VM_FETCH=1 fetches it", series)
	}
	return kernels[i]
}

// several are all series where machines are required, and otherwise the oldest and the newest: each costs minutes.
func several() []string {
	all := vm.Series()
	if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "vm") || os.Getenv("MAXCONN_VM_FETCH") == "1" {
		return all
	}
	return []string{all[0], all[len(all)-1]}
}

// elsewhere are the tests that run on other kernels: those that depend on the kernel. A machine is emulated and slow, and its
// clock may run ahead, so it is the host's clock that bounds a run.
const elsewhere = "^Test(Lab(HoldsSources|ControlPlain|Churn|AddressVanished|OddRanges)|Conn|Refused|Blackhole|ManyAtOnce)/^(auto|explicit)$"

// The figures of this package on other kernels: 5.10 has no IP_LOCAL_PORT_RANGE; Debian's 6.1 has it, though Linux got it in 6.3.
func TestOtherKernels(t *testing.T) {
	var binary string
	temp := t.TempDir()
	for _, series := range several() {
		t.Run(series, func(t *testing.T) {
			k := machine(t, series)
			if binary == "" {
				binary = static(t, temp)
			}
			out, err := vm.Run(t.Context(), vm.Spec{Kernel: k, Binary: binary, Memory: 1024, Timeout: 6 * time.Minute,
				Args: []string{"-test.v", "-test.timeout=0", "-test.run=" + elsewhere}, Env: []string{"MAXCONN_REQUIRE=lab"}})
			if errors.Is(err, vm.ErrUnavailable) {
				t.Skip(err)
			}
			text := string(out.Stdout) + string(out.Stderr)
			if err != nil || out.Code != 0 {
				t.Fatalf("exit status %d, %v\n%s", out.Code, err, text)
			}
			for _, name := range []string{"TestLabHoldsSourcesTimesPorts", "TestLabControlPlainDialer", "TestLabChurn", "TestLabAddressVanished", "TestConnIsATCPConn"} {
				if !strings.Contains(text, "--- PASS: "+name+" (") {
					t.Errorf("%s did not pass:\n%s", name, text)
				}
			}
			t.Logf("%s: %s, %d tests passed in %v", out.Release, chosen(text), strings.Count(text, "\n--- PASS: "), out.Took.Round(time.Second))
		})
	}
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

// static builds this test without cgo, so that it needs no libraries of the host.
func static(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "dial.test")
	cmd := exec.Command("go", "test", "-c", "-buildvcs=false", "-o", path, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	return path
}
