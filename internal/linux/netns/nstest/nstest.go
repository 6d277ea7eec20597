//go:build linux

// Package nstest gives tests a network namespace of their own: as root directly,
// as an ordinary user inside a user namespace. Each ends with the thread or the
// process that holds it, so nothing is left behind. Only tests import it.
package nstest

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/thread"
)

// ChildEnv marks a process that a test started with its own binary: Main leaves
// it as it is.
const ChildEnv = "NSTEST_CHILD"

// mappedEnv marks a process that Main made root of a user namespace.
const mappedEnv = "NSTEST_MAPPED"

// Main runs the tests and exits. An ordinary user's are run again in a user
// namespace, where they may make network namespaces; where the kernel forbids
// that they run as they are, and those that need one skip.
func Main(m *testing.M) {
	if os.Getuid() == 0 || os.Getenv(ChildEnv) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), mappedEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	runtime.LockOSThread() // the parent-death signal follows this thread
	if err := cmd.Start(); err != nil {
		os.Exit(m.Run())
	}
	cmd.Wait()
	os.Exit(cmd.ProcessState.ExitCode())
}

// Mapped reports whether root here is only root of a user namespace of one user.
func Mapped() bool { return os.Getenv(mappedEnv) != "" }

// Unavailable skips a test that cannot have its namespace, or fails it where
// MAXCONN_REQUIRE says that labs must work.
func Unavailable(t testing.TB, err error) {
	t.Helper()
	if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
		t.Fatalf("a network namespace is required: %v", err)
	}
	t.Skipf("cannot make a network namespace: %v", err)
}

// Tool is the path of a program that a test starts. Without it the test is skipped, or fails where
// MAXCONN_REQUIRE names tools.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "tools") {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}

// Run calls fn on a thread in a new network namespace, whose only device is lo,
// down. The namespace ends with the thread when fn returns. fn may end the test
// as usual (t.Fatal); goroutines that it starts are not in the namespace.
func Run(t testing.TB, fn func()) {
	t.Helper()
	var unshared error
	returned := false
	done := make(chan struct{})
	thread.Run(func() {
		defer close(done)
		if unshared = unix.Unshare(unix.CLONE_NEWNET); unshared == nil {
			fn()
		}
		returned = true
	})
	<-done
	switch {
	case t.Skipped():
		t.SkipNow()
	case !returned:
		t.FailNow() // fn left by t.FailNow, which ends only its own goroutine
	case unshared != nil:
		Unavailable(t, unshared)
	}
}
