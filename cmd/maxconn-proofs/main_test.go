//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/internal/lab/vm/vmtest"
	"github.com/maxconn/maxconn/internal/render"
)

// TestMain makes the test binary what the program is: the init of machines, and in one the program.
func TestMain(m *testing.M) {
	vm.Main()
	lab.Main()
	if vm.Inside() {
		main()
	}
	os.Exit(m.Run())
}

func TestRefusals(t *testing.T) {
	for args, want := range map[string]string{
		"--kernels 4.4":            `error: --kernels: there is no kernel "4.4"`,
		"acept-queue":              `error: there is no claim and no limit "acept-queue"`,
		"--json --md accept-queue": "error: --json and --md: give one of them",
		"--frob":                   "error: unknown flag: --frob",
		"here accept-queue":        "error: here is for virtual machines",
	} {
		var out, errs bytes.Buffer
		status := run(t.Context(), strings.Fields(args), &out, &errs)
		said := errs.String()
		if status != statusUsage || out.Len() > 0 || !strings.Contains(said, want) ||
			!strings.Contains(said, "\nmaxconn-proofs: hint: ") {
			t.Errorf("%s: status %d, %s%s", args, status, &out, said)
		}
	}
}

func TestHelp(t *testing.T) {
	var out, errs bytes.Buffer
	status := run(t.Context(), []string{"--help"}, &out, &errs)
	if text := out.String(); status != statusHolds ||
		!strings.Contains(text, "--kernels kernels") ||
		strings.Contains(text, "\n  "+hereVerb) || errs.Len() > 0 {
		t.Errorf("status %d\n%s%s", status, text, &errs)
	}
}

// A claim about a limit and one that only a whole machine can show, on another kernel.
func TestVMClaims(t *testing.T) {
	vmtest.OnKernels(t, func(t *testing.T, k vm.Kernel) {
		var out, errs bytes.Buffer
		args := []string{"--json", "--kernels", k.Series, "accept-queue-length",
			"files-of-the-host"}
		status := run(t.Context(), args, &out, &errs)
		var r render.Proofs
		if err := json.Unmarshal(out.Bytes(), &r); err != nil || status != statusHolds {
			t.Fatalf("status %d, %v\n%s%s", status, err, &out, &errs)
		}
		if len(r.Reports) != 1 || r.Reports[0].Kernel != k.Release ||
			len(r.Reports[0].Proofs) != 2 {
			t.Errorf("%+v", r.Reports)
		}
	})
}
