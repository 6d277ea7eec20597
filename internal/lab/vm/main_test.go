//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// roleVar makes the test binary one of the programs of role_test.go.
const roleVar = "MAXCONN_VM_TEST_ROLE"

// TestMain makes the test binary the init of machines, and the program that runs in them.
func TestMain(m *testing.M) {
	Main()
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(play(role, os.Args[1:]))
	}
	os.Exit(m.Run())
}

func required() bool { return Required(os.Getenv) }

// skip is for what this host lacks.
func skip(t testing.TB, why any) {
	t.Helper()
	if required() {
		t.Fatal(why)
	}
	t.Skip(why)
}

// kernel gives the kernel of a series when it is in the cache or may be fetched.
func kernel(t testing.TB, series string) Kernel {
	t.Helper()
	if testing.Short() {
		t.Skip("machines take seconds to boot: not for -short")
	}
	k, err := Asked(t.Context(), os.Getenv, series)
	switch {
	case errors.Is(err, ErrUnasked):
		t.Skip(err)
	case errors.Is(err, ErrUnavailable):
		skip(t, err)
	case err != nil:
		t.Fatal(err)
	}
	return k
}

// several are all series where machines are required, and otherwise the oldest and the
// newest: each costs seconds.
func several() []string {
	all := Series()
	if required() || os.Getenv("MAXCONN_VM_FETCH") == "1" {
		return all
	}
	return []string{all[0], all[len(all)-1]}
}

// eachSeries runs a test on several kernels, and skips it where it could run on none.
func eachSeries(t *testing.T, test func(t *testing.T, series string, k Kernel)) {
	t.Helper()
	ran := false
	for _, series := range several() {
		t.Run(series, func(t *testing.T) {
			k := kernel(t, series)
			ran = true
			test(t, series, k)
		})
	}
	if !ran && !t.Failed() {
		t.Skip("every kernel was skipped")
	}
}

// anyKernel is for what does not depend on the kernel: the one that boots fastest.
func anyKernel(t testing.TB) Kernel {
	t.Helper()
	return kernel(t, Series()[0])
}

// role is a Spec that runs a program of role_test.go.
func role(k Kernel, name string, args ...string) Spec {
	return Spec{Kernel: k, Args: args, Env: []string{roleVar + "=" + name}}
}

// boot runs something that must come to its end.
func boot(t testing.TB, spec Spec) Output {
	t.Helper()
	out, err := Run(t.Context(), spec)
	if errors.Is(err, ErrUnavailable) {
		skip(t, err)
	}
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out.Stdout, out.Stderr)
	}
	t.Logf("%s: %.1f s to the command, %.1f s in all", out.Release, out.Boot.Seconds(),
		out.Took.Seconds())
	return out
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// buildMaxconn builds the static binary that is released.
func buildMaxconn(ctx context.Context, temp string) ([]byte, error) {
	path := filepath.Join(temp, "maxconn")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path,
		"github.com/maxconn/maxconn/cmd/maxconn")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.ReadFile(path)
}

// machines lists the qemu processes that a process has started and not waited for.
func machines(t testing.TB, parent int) []string {
	t.Helper()
	var found []string
	for _, status := range must(filepath.Glob("/proc/[0-9]*/status"))(t) {
		text, err := os.ReadFile(status)
		if err != nil || !strings.Contains(string(text),
			fmt.Sprintf("\nPPid:\t%d\n", parent)) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(status), "cmdline"))
		if err == nil && strings.HasPrefix(string(line), processName) {
			found = append(found, filepath.Base(filepath.Dir(status)))
		}
	}
	return found
}

// program gives the files of several programs of this host.
func program(ctx context.Context, t testing.TB, names ...string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, n := range names {
		maps.Copy(all, must(Program(ctx, n))(t))
	}
	return all
}

// signalWriter tells that something was written.
type signalWriter chan struct{}

func (w signalWriter) Write(b []byte) (int, error) {
	select {
	case w <- struct{}{}:
	default:
	}
	return len(b), nil
}
