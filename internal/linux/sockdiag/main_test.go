package sockdiag

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// labVariable tells a test process that it runs in a network namespace of its
// own ("yes"), or why it does not.
const labVariable = "MAXCONN_SOCKDIAG_LAB"

// TestMain runs the tests again in a process with a new network namespace,
// which dies with it. A user namespace comes along where that is what allows it.
func TestMain(m *testing.M) {
	switch os.Getenv(labVariable) {
	case "":
		code, err := runInNamespace()
		if err == nil {
			os.Exit(code)
		}
		os.Setenv(labVariable, err.Error())
	case "yes":
		if err := raiseLoopback(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// lab skips a test that needs a namespace where none could be made.
func lab(tb testing.TB) {
	tb.Helper()
	reason := os.Getenv(labVariable)
	switch {
	case reason == "yes":
	case strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab"):
		tb.Fatal("needs a network namespace: " + reason)
	default:
		tb.Skip("needs a network namespace: " + reason)
	}
}

// runInNamespace returns the exit status of the tests, or why they did not start.
func runInNamespace() (int, error) {
	runtime.LockOSThread() // Pdeathsig is about this thread
	plain := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	owned := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUSER,
		Pdeathsig:  syscall.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(),
			Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(),
			Size: 1}},
	}
	var failed error
	for _, attributes := range []*syscall.SysProcAttr{plain, owned} {
		command, err := startAgain(attributes)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		if err := command.Wait(); err != nil && command.ProcessState == nil {
			return 0, err
		}
		if code := command.ProcessState.ExitCode(); code >= 0 {
			return code, nil
		}
		return 2, nil // killed
	}
	return 0, failed
}

func startAgain(attributes *syscall.SysProcAttr) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(self, os.Args[1:]...)
	command.Env = append(os.Environ(), labVariable+"=yes")
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.SysProcAttr = attributes
	return command, command.Start()
}

// raiseLoopback sets lo up, which also gives it its addresses.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request)
}
