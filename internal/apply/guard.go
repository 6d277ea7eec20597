package apply

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// readyFD is the descriptor on which a detached process says that it is up.
const readyFD = 3

// ready is what it says.
const ready = "ready\n"

// Detach starts a program that outlives this one, its terminal and its session: it leads a session of its own, and has no standard
// files. It returns when that program has called Detached.
func Detach(program string, args []string) (pid int, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	cmd := exec.Command(program, args...)
	cmd.Args[0] = "maxconn"
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return 0, err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil || line != ready {
		err = errors.Join(fmt.Errorf("the process that awaits the confirmation did not start: %w", err), cmd.Process.Kill())
		return 0, errors.Join(err, cmd.Wait())
	}
	return cmd.Process.Pid, nil // it is not waited for: whoever adopts it does that
}

// Detached is called by a program that Detach started, once it handles the signals that are to end it. A hangup no longer does.
func Detached() error {
	signal.Ignore(syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	f := os.NewFile(readyFD, "ready")
	if f == nil {
		return errors.New("it was not started by Detach")
	}
	defer f.Close()
	if _, err := io.WriteString(f, ready); err != nil {
		return fmt.Errorf("say that it is up: %w", err)
	}
	return nil
}
