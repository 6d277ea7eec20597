//go:build linux

package pidfd

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
)

// A child's end of a pipe, copied out of it, writes into the same pipe.
func TestCopy(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command(nstest.Tool(t, "cat"))
	hold, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{w} // descriptor 3
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	p, err := Open(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if !p.Running() {
		t.Error("a running process is said to have ended")
	}
	f, err := p.Copy(3)
	if errors.Is(err, unix.EPERM) {
		t.Skipf("a sandbox forbids it: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Error(err)
	}
	f.Close()
	b := make([]byte, 1)
	if _, err := r.Read(b); err != nil || b[0] != 'x' {
		t.Errorf("read %q, %v", b, err)
	}
	if _, err := p.Copy(99); !errors.Is(err, unix.EBADF) {
		t.Errorf("Copy(99) = %v, want EBADF", err)
	}
	hold.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if p.Running() {
		t.Error("an ended process is said to run")
	}
	if _, err := p.Copy(3); !errors.Is(err, unix.ESRCH) {
		t.Errorf("Copy from an ended process = %v, want ESRCH", err)
	}
}

func TestErrors(t *testing.T) {
	if _, err := Open(1 << 30); !errors.Is(err, unix.ESRCH) ||
		!strings.Contains(err.Error(), "the process is gone") {
		t.Errorf("Open(no process) = %v", err)
	}
	for errno, want := range map[error]string{unix.EPERM: "CAP_SYS_PTRACE", unix.ENOSYS: "5.6",
		unix.EMFILE: "too many"} {
		err := &Error{Op: "copy descriptor 5 of", PID: 7, Err: errno}
		if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v reads %q", errno, err)
		}
	}
}
