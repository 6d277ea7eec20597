//go:build linux

package lab

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/role"
)

// workerRole is the role of a worker (package role). Nobody but a parent that is this program can
// give it.
const workerRole = "lab-worker"

// controlFD is where a worker finds its end of the control socket.
const controlFD = 3

// Main turns the process into a worker when it was started as one, and then does
// not return. It must be the first thing that main or TestMain calls in every
// program that starts labs; in all other processes it does nothing.
func Main() {
	taken, err := role.Take(workerRole)
	if err == nil && !taken {
		return
	}
	if err == nil {
		err = work()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "lab worker: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func work() error {
	// Children get the parent-death signal when this thread ends, not the process
	// (prctl(2)), so it must not be a thread that comes and goes.
	runtime.LockOSThread()
	if _, err := syscall.Getpeername(controlFD); err != nil {
		return fmt.Errorf("descriptor %d is no control socket: %w", controlFD, err)
	}
	syscall.CloseOnExec(controlFD)
	if err := closeInherited(); err != nil {
		return err
	}
	if err := wakePoller(); err != nil {
		return err
	}
	w := &worker{groups: map[Group][]int{}, verbs: verbs()}
	return w.serve(controlFD)
}

// wakePoller makes the Go runtime open its own descriptors now. Later, with all
// descriptors used up by an experiment, it would have to abort.
func wakePoller() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	r.Close()
	return w.Close()
}

// closeInherited closes what the parent itself had inherited from a shell or a
// test runner, so that a limit of 64 descriptors means the same everywhere. The
// descriptors of this process, the Go runtime's too, are all close-on-exec.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err == nil && fd > controlFD && inherited(fd) {
			syscall.Close(fd)
		}
	}
	return nil
}

func inherited(fd int) bool {
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	return errno == 0 && flags&syscall.FD_CLOEXEC == 0
}
