package prove

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab/vm"
)

// expendable is set where the machine may be spoiled: in a virtual machine that
// TestMachineClaims starts.
const expendable = "MAXCONN_PROVE_EXPENDABLE"

// TestExpendable runs the claims that its environment names.
func TestExpendable(t *testing.T) {
	ids := os.Getenv(expendable)
	if ids == "" {
		t.Skip("it spoils the machine: TestMachineClaims runs it in a machine of its own")
	}
	var claims []*Claim
	for _, id := range strings.Fields(ids) {
		claims = append(claims, About(id)...)
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	r, err := Run(context.Background(), Options{Claims: claims, Expendable: true,
		Kernel: strings.TrimSpace(string(release))})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Proofs {
		fmt.Printf("%s: %s: predicted %v (%v to %v), measured %v, %.1f s %s\n", p.ID,
			p.Verdict, p.Predicted, p.Low, p.High, p.Measured, p.Seconds, p.Why)
		if p.Verdict != Holds {
			t.Errorf("%s: %s: %s\n%+v\n%+v", p.ID, p.Verdict, p.Why, p.Evidence,
				p.Control)
		}
	}
}

// machineClaims are those that no namespace can show.
func machineClaims() (ids []string) {
	for _, c := range Claims() {
		if c.Machine != "" {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

func TestMachineClaims(t *testing.T) {
	if os.Getenv("MAXCONN_VM") == "" {
		t.Skip("virtual machines are asked for with MAXCONN_VM=1")
	}
	kernels, err := vm.Kernels()
	if err != nil || len(kernels) == 0 {
		t.Skipf("no kernel is in the cache (%v): MAXCONN_VM_FETCH=1 go test "+
			"./internal/lab/vm fetches them", err)
	}
	ids := machineClaims()
	if only := os.Getenv("MAXCONN_PROVE_ONLY"); only != "" {
		ids = strings.Fields(only)
	}
	for _, k := range kernels {
		if only := os.Getenv("MAXCONN_VM_SERIES"); only != "" && only != k.Series {
			continue
		}
		t.Run(k.Release, func(t *testing.T) {
			out, err := vm.Run(t.Context(), vm.Spec{
				Kernel: k, Memory: 1024, Timeout: 5 * time.Minute,
				Modules: Modules(),
				Args: []string{"-test.run=^TestExpendable$",
					"-test.timeout=290s"},
				Env: []string{expendable + "=" + strings.Join(ids, " ")},
			})
			t.Logf("%v after %v of boot\n%s%s", out.Took, out.Boot, out.Stdout,
				out.Stderr)
			if err != nil || out.Code != 0 {
				t.Errorf("exit %d, %v\n%s", out.Code, err, tailOf(out.Log))
			}
		})
	}
}

// tailOf is the last lines of the kernel's log.
func tailOf(log []byte) []byte {
	all := bytes.Split(log, []byte("\n"))
	return bytes.Join(all[max(0, len(all)-30):], []byte("\n"))
}
