package libtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// elsewhere is the program built for a system that is not Linux and that runs here: WASI.
type elsewhere struct {
	runtime wazero.Runtime
	program wazero.CompiledModule
	root    string // its file system
}

// build compiles cmd/maxconn.
func build(t *testing.T, env ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "maxconn")
	c := exec.Command("go", "build", "-buildvcs=false", "-o", out, "./cmd/maxconn")
	c.Dir, c.Env = "..", append(os.Environ(), env...)
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build %q: %v\n%s", env, err, text)
	}
	return out
}

func newElsewhere(t *testing.T, root string) *elsewhere {
	t.Helper()
	text, err := os.ReadFile(build(t, "GOOS=wasip1", "GOARCH=wasm"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	r := wazero.NewRuntime(ctx)
	t.Cleanup(func() { r.Close(context.WithoutCancel(ctx)) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	program, err := r.CompileModule(ctx, text)
	if err != nil {
		t.Fatal(err)
	}
	return &elsewhere{r, program, root}
}

func (e *elsewhere) run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, complaint bytes.Buffer
	config := wazero.NewModuleConfig().WithName("").WithArgs(append([]string{"maxconn"},
		args...)...).
		WithStdout(&out).WithStderr(&complaint).WithEnv("PWD", "/").
		WithFSConfig(wazero.NewFSConfig().WithReadOnlyDirMount(e.root, "/"))
	m, err := e.runtime.InstantiateModule(t.Context(), e.program, config)
	var exit *sys.ExitError
	switch {
	case errors.As(err, &exit):
		status = int(exit.ExitCode())
	case err != nil:
		t.Fatal(err)
	default:
		m.Close(t.Context())
	}
	return status, out.String(), complaint.String()
}

// here runs the program of this system.
func here(t *testing.T, program, dir string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, complaint bytes.Buffer
	c := exec.Command(program, args...)
	c.Dir, c.Env, c.Stdout, c.Stderr = dir, []string{}, &out, &complaint
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), complaint.String()
}

// What judges snapshots and files says the same on every system; the rest says that it needs Linux.
func TestOtherSystems(t *testing.T) {
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS("../testdata/hosts")); err != nil {
		t.Fatal(err)
	}
	tuning := "net.core.somaxconn = 128\nnet.ipv4.tcp_tw_recycle = " +
		"1\nnet.ipv4.tcp_fin_timeout=15\nfoo = 1\n"
	if err := os.WriteFile(filepath.Join(root, "tuning.conf"), []byte(tuning),
		0o600); err != nil {
		t.Fatal(err)
	}
	other := newElsewhere(t, root)
	t.Run("same", func(t *testing.T) { saysTheSame(t, build(t), other) })
	t.Run("needs Linux", func(t *testing.T) { needsLinux(t, other) })
}

func saysTheSame(t *testing.T, program string, other *elsewhere) {
	t.Helper()
	hosts, err := filepath.Glob(filepath.Join(other.root, "*.txt"))
	if err != nil || len(hosts) == 0 {
		t.Fatal("no recorded hosts", err)
	}
	for _, h := range hosts {
		for _, line := range []string{
			"check", "check --json", "check --md --verbose",
			"explain time-wait", "explain time-wait --json",
			"explain net.core.somaxconn",
			"plan --inbound :443=300000", "plan --to-max --json",
			"plan --inbound :443=300000 --format shell",
			"lint tuning.conf", "lint tuning.conf --json",
		} {
			args := append(strings.Fields(line), "--from", filepath.Base(h))
			same(t, program, other, args...)
		}
	}
	same(t, program, other, "lint", "--kernel", "4.19", "tuning.conf", "--sarif")
}

func same(t *testing.T, program string, other *elsewhere, args ...string) {
	t.Helper()
	status, stdout, stderr := here(t, program, other.root, args...)
	s, out, e := other.run(t, args...)
	version := strings.NewReplacer("linux/amd64", "SYSTEM", "linux/arm64", "SYSTEM",
		"wasip1/wasm", "SYSTEM")
	if d := cmp.Diff(version.Replace(stdout), version.Replace(out)); d != "" || s != status ||
		e != stderr {
		t.Errorf("%q: status %d, %q, on Linux %d, %q; output (-Linux +other):\n%s", args, s,
			e, status, stderr, d)
	}
}

// needsLinux runs what looks at the kernel: one line and a hint.
func needsLinux(t *testing.T, other *elsewhere) {
	t.Helper()
	for _, line := range []string{
		"", "check", "check --all-netns", "observe", "plan", "lint", "apply plan.json",
		"confirm",
		"rollback", "status", "history", "verify", "load --self",
		"load connect 127.0.0.1:80",
		"prove", "prove --list",
	} {
		status, stdout, stderr := other.run(t, strings.Fields(line)...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if status != 70 || stdout != "" || len(lines) != 2 ||
			!strings.HasPrefix(lines[0], "maxconn: error: ") ||
			!strings.Contains(lines[0], "needs Linux") {
			t.Errorf("maxconn %s: status %d, stdout %q, stderr %q", line, status,
				stdout, stderr)
		}
	}
	if status, stdout, _ := other.run(t, "explain", "time-wait"); status != 0 ||
		!strings.Contains(stdout, "needs Linux") {
		t.Errorf("explain without figures: status %d, %s", status, stdout)
	}
}
