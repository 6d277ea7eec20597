//go:build linux

package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Every kernel boots, runs the test binary with full privileges, and says what it is.
func TestKernels(t *testing.T) {
	eachSeries(t, func(t *testing.T, series string, k Kernel) {
		spec := role(k, "look", "one", "two words")
		spec.Files = map[string][]byte{"/etc/file": []byte("content")}
		out := boot(t, spec)
		if out.Code != 7 || string(out.Stderr) != "said on stderr" {
			t.Errorf("exit status %d, stderr %q", out.Code, out.Stderr)
		}
		checkSight(t, k, sightIn(t, out.Stdout))
		if out.Release != k.Release || !belongs(out.Release, series) {
			t.Errorf("the kernel calls itself %q, the package %q", out.Release,
				k.Release)
		}
		if !bytes.Contains(out.Log, []byte("Linux version "+k.Release)) {
			t.Errorf("the kernel's log begins with %.200q", out.Log)
		}
	})
}

// sightIn finds the JSON among what the orphan prints.
func sightIn(t *testing.T, text []byte) (s sight) {
	t.Helper()
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &s); err != nil {
				t.Error(err)
			}
		}
	}
	return s
}

func checkSight(t *testing.T, k Kernel, s sight) {
	t.Helper()
	if s.Release != k.Release || s.Host != "vm" || s.UID != 0 || s.PID == 1 || s.PPID != 1 ||
		s.File != "content" {
		t.Errorf("the command saw %+v", s)
	}
	if !slices.Equal(s.Args, []string{"one", "two words"}) {
		t.Errorf("arguments %q", s.Args)
	}
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "TMPDIR=/tmp",
		roleVar + "=look"}
	if !slices.Equal(s.Env, env) {
		t.Errorf("environment %q", s.Env)
	}
	for _, m := range usualModules() {
		if !strings.Contains("\n"+s.Modules, "\n"+m+" ") {
			t.Errorf("module %s is not loaded", m)
		}
	}
	for _, at := range []string{"/dev", "/proc", "/sys", "/sys/fs/cgroup", "/sys/fs/bpf",
		"/sys/kernel/tracing", "/dev/pts"} {
		if !strings.Contains(s.Mounts, " "+at+" ") {
			t.Errorf("%s is not mounted", at)
		}
	}
	if !regexp.MustCompile(`Max open files +\d+ +524288 `).MatchString(s.Files) {
		t.Errorf("limits %s", s.Files)
	}
	if s.Descriptors != 0 {
		t.Error("the command inherited the port to the host")
	}
}

// maxconn itself, on every kernel: an accept queue that is full because the application
// asked for a backlog of 5 comes first.
func TestCheckOnEveryKernel(t *testing.T) {
	temp := t.TempDir()
	build := sync.OnceValues(func() ([]byte, error) { return buildMaxconn(t.Context(), temp) })
	eachSeries(t, func(t *testing.T, series string, k Kernel) {
		spec := role(k, "faulty", "/usr/local/bin/maxconn", "check", "--json")
		spec.Files = map[string][]byte{"/usr/local/bin/maxconn": must(build())(t)}
		out := boot(t, spec)
		if out.Code != 1 {
			t.Errorf("exit status %d, want 1: something binds\n%s", out.Code,
				out.Stderr)
		}
		checkReport(t, k, out.Stdout)
	})
}

func checkReport(t *testing.T, k Kernel, text []byte) {
	t.Helper()
	var report struct {
		Schema   string
		Host     struct{ Kernel string }
		Findings []struct {
			Limit, Severity, Subject, Cause string
			Ceiling, Used                   int64
		}
	}
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if report.Schema != "maxconn.report/1" || report.Host.Kernel != k.Release {
		t.Errorf("schema %q, kernel %q", report.Schema, report.Host.Kernel)
	}
	if len(report.Findings) == 0 {
		t.Fatalf("no finding in %s", text)
	}
	f := report.Findings[0]
	if f.Limit != "accept-queue" || f.Severity != "critical" || f.Subject != "127.0.0.1:8080" ||
		f.Ceiling != 6 || f.Used != 6 || !strings.Contains(f.Cause, "backlog of 5") {
		t.Errorf("the first finding is %+v", f)
	}
}

func TestProgramOfTheHost(t *testing.T) {
	k := anyKernel(t)
	spec := Spec{
		Kernel: k,
		Binary: "/bin/sh",
		Args:   []string{"-c", `echo "$0 $(uname -r)"; kill -9 $$`},
	}
	spec.Files = program(t.Context(), t, "uname")
	out := boot(t, spec)
	if want := "/usr/bin/sh " + k.Release + "\n"; string(out.Stdout) != want ||
		out.Code != 137 {
		t.Errorf("sh said %q %q and ended with %d, want %q, 137", out.Stdout, out.Stderr,
			out.Code, want)
	}
}

func TestCommandThatCannotStart(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	spec := Spec{Kernel: anyKernel(t), Binary: script}
	if _, err := Run(t.Context(), spec); err == nil ||
		!strings.Contains(err.Error(), "not an ELF program") {
		t.Errorf("a script as Binary: %v", err)
	}
	spec = Spec{Kernel: anyKernel(t), Modules: []string{"no_such_module"}}
	if _, err := Run(t.Context(), spec); err == nil ||
		!strings.Contains(err.Error(), "no module no_such_module") {
		t.Errorf("an unknown module: %v", err)
	}
	spec = role(anyKernel(t), "look")
	spec.Modules = []string{"nf_conntrack no_such_parameter=1", "dummy numdummies=x"}
	out, err := Run(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "load module dummy: ") || out.Code != -1 {
		t.Errorf("a bad parameter: %d, %v", out.Code, err)
	}
}

// Connection tracking without any rule: what makes a conntrack trial possible without nft
// or iptables.
func TestModuleParameters(t *testing.T) {
	spec := role(anyKernel(t), "track")
	spec.Modules = []string{"nf_conntrack enable_hooks=1"}
	if out := boot(t, spec); string(out.Stdout) != "1\n" {
		t.Errorf("conntrack counts %q %s", out.Stdout, out.Stderr)
	}
}

func TestMuchOutputStreams(t *testing.T) {
	var streamed bytes.Buffer
	spec := role(anyKernel(t), "flood")
	spec.Stdout = &streamed
	out := boot(t, spec)
	want := bytes.Repeat([]byte(strings.Repeat("0123456789abcde", 4369)+"\n"), floodLines)
	if !bytes.Equal(out.Stdout, want) || !bytes.Equal(streamed.Bytes(), want) {
		t.Errorf("%d bytes, streamed %d, want %d", len(out.Stdout), streamed.Len(),
			len(want))
	}
}

func TestKernelPanic(t *testing.T) {
	out, err := Run(t.Context(), role(anyKernel(t), "panic"))
	if !errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "Kernel panic") {
		t.Fatalf("Run = %v", err)
	}
	if !bytes.HasPrefix(out.Stdout, []byte("before\n")) || out.Code != -1 ||
		!bytes.Contains(out.Log, []byte("sysrq")) {
		t.Errorf("stdout %q, code %d, log %q", out.Stdout, out.Code, out.Log)
	}
}

// cancelWriter ends a context when the command says something.
type cancelWriter struct{ cancel context.CancelFunc }

func (w cancelWriter) Write(b []byte) (int, error) {
	w.cancel()
	return len(b), nil
}

func TestNothingIsLeftOfACancelledRun(t *testing.T) {
	k := anyKernel(t)
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	spec := role(k, "sleep")
	spec.Stdout = cancelWriter{cancel}
	out, err := Run(ctx, spec)
	if !errors.Is(err, context.Canceled) || string(out.Stdout) != "sleeping\n" ||
		out.Code != -1 {
		t.Errorf("Run = %+v, %v", out, err)
	}
	if left := machines(t, os.Getpid()); left != nil {
		t.Errorf("processes %v are left", left)
	}
	if left := must(os.ReadDir(os.TempDir()))(t); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
	if _, err := Run(ctx, spec); !errors.Is(err, context.Canceled) {
		t.Errorf("Run with a context that ended = %v", err)
	}
	spec.Stdout, spec.Timeout = nil, time.Millisecond
	if _, err := Run(t.Context(), spec); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run with a short time = %v", err)
	}
}

// A program that is killed takes its machines along.
func TestKilledParent(t *testing.T) {
	k := anyKernel(t)
	temp := t.TempDir()
	cmd := exec.Command("/proc/self/exe", k.Release)
	cmd.Env = append(os.Environ(), roleVar+"=parent", "TMPDIR="+temp)
	stdout := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	if n, err := stdout.Read(make([]byte, 100)); n == 0 {
		t.Fatal(err)
	}
	qemus := machines(t, cmd.Process.Pid)
	if len(qemus) != 1 {
		t.Fatalf("the parent has the machines %v", qemus)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); running(qemus[0]); time.Sleep(5 *
		time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("qemu %s still runs", qemus[0])
		}
	}
	if left := must(os.ReadDir(temp))(t); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
}

// running is false for a process that is gone or a zombie.
func running(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/status")
	return err == nil && !bytes.Contains(text, []byte("\nState:\tZ"))
}
