//go:build linux

package tune

import (
	"errors"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

// A process that ends between the look at it and the call: the process that has its number
// by then gets its limits back.
func TestPrlimitHitsAnother(t *testing.T) {
	cmd := exec.Command(nstest.Tool(t, "sleep"), "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	pid := cmd.Process.Pid
	had := unix.Rlimit{Cur: 300, Max: 400}
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &had, nil); err != nil {
		t.Fatal(err)
	}
	// The process that was held had other limits, and is there for n looks.
	held := func(n int) func() bool { return func() bool { n--; return n >= 0 } }
	was, want := Files{200, 400}, Files{250, 400}
	for n, left := range map[int]unix.Rlimit{0: had, 1: had, 2: {Cur: 250, Max: 400}} {
		err := PrlimitHeld(pid, held(n), was, want)
		if gone := n < 2; gone != errors.Is(err, unix.ESRCH) || !gone && err != nil {
			t.Errorf("gone after %d looks: %v", n, err)
		}
		var have unix.Rlimit
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &had, &have); err != nil ||
			have != left {
			t.Errorf("gone after %d looks: the other has %v (%v), want %v", n, have,
				err, left)
		}
	}
}
