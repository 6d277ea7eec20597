//go:build linux

package vm

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// run runs the command to its end and gives its exit status. When it ends, every other process
// of the machine is killed: nothing holds the disk, or the pipes that are read here.
func (j job) run(p *port) (int, error) {
	hello, err := json.Marshal(ready{release()})
	if err != nil {
		return -1, err
	}
	if err := p.send(frameReady, hello); err != nil {
		return -1, err
	}
	var copied sync.WaitGroup
	stdout, err := p.pipe(frameStdout, &copied)
	if err != nil {
		return -1, err
	}
	stderr, err := p.pipe(frameStderr, &copied)
	if err != nil {
		return -1, err
	}
	cmd := exec.Command(j.Argv[0], j.Argv[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = stdout, stderr, "/root"
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
		"TMPDIR=/tmp"}, j.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := limitFiles(); err != nil {
		return -1, err
	}
	err = cmd.Start()
	stdout.Close()
	stderr.Close()
	if err != nil {
		return -1, fmt.Errorf("start %s: %w", j.Argv[0], err)
	}
	code := reap(cmd.Process.Pid)
	syscall.Kill(-1, syscall.SIGKILL) // all but process 1 (kill(2))
	reap(-1)
	copied.Wait()
	return code, nil
}

// limitFiles gives the command the descriptor limits that systemd gives services since
// version 240; the kernel's own hard limit is 4096 (include/uapi/linux/fs.h INR_OPEN_MAX).
// A limit set this way is inherited (syscall.Setrlimit).
func limitFiles() error {
	return os.NewSyscallError("setrlimit",
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 1024, Max: 524288}))
}

// pipe is a command's standard file: what is written comes out as frames.
func (p *port) pipe(kind byte, copied *sync.WaitGroup) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	copied.Go(func() {
		defer r.Close()
		if _, err := io.Copy(stream{p, kind}, r); err != nil {
			p.say(frameStderr, []byte(err.Error()))
		}
	})
	return w, nil
}

// reap waits, as process 1 must, for whatever ends, until it is this process (-1: until
// there are none) and gives its status as a shell does: 128+n after signal n.
func reap(until int) int {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil: // ECHILD
			return -1
		case pid == until && status.Signaled():
			return 128 + int(status.Signal())
		case pid == until:
			return status.ExitStatus()
		}
	}
}
