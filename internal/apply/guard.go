package apply

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/role"
)

// The descriptors that a detached process inherits: the one on which it says that it is up, and the
// network namespace that its run is about, so that it looks up no path that may lead elsewhere by
// then.
const (
	readyFD     = 3
	namespaceFD = 4
)

// ready is what it says.
const ready = "ready\n"

// guardRole is the role of a detached process (package role).
const guardRole = "await-confirmation"

// Detach starts a program that outlives this one, its terminal and its session: it leads a session
// of its own, and has no standard files. It inherits the network namespace of the engine. Detach
// returns when that program has called Detached.
func (e *Engine) Detach(program string, args []string) (pid int, err error) {
	if e.held == nil {
		return 0, errors.New("the network namespace of the run is not held")
	}
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	cmd := exec.Command(program, args...)
	cmd.Args[0] = "maxconn"
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{w, e.held.File()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	granted, err := role.Grant(cmd, guardRole)
	if err != nil {
		return 0, errors.Join(err, w.Close())
	}
	err = cmd.Start()
	w.Close()
	granted()
	if err != nil {
		return 0, err
	}
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil || line != ready {
		err = errors.Join(
			fmt.Errorf("the process that awaits the confirmation did not start: %w",
				err),
			cmd.Process.Kill(),
		)
		return 0, errors.Join(err, cmd.Wait())
	}
	return cmd.Process.Pid, nil // it is not waited for: the process that adopts it does that
}

// Inherited is an engine in the network namespace that the parent has handed over, for a program
// that Detach started. name is the path by which the parent found the namespace, "" for its own.
func Inherited(dir string, name netns.Path) (*Engine, error) {
	taken, err := role.Take(guardRole)
	if err == nil && !taken {
		err = errors.New("only apply starts it")
	}
	if err != nil {
		return nil, fmt.Errorf("await a confirmation: %w", err)
	}
	syscall.CloseOnExec(readyFD)
	syscall.CloseOnExec(namespaceFD)
	held, err := netns.Inherit(os.NewFile(namespaceFD, "network namespace"), name)
	if err != nil {
		return nil, err
	}
	return openHeld(dir, held)
}

// Detached is called by a program that Detach started, once it handles the signals that are
// to end it. A hangup no longer does.
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

// Remote says whether this program was started over the network, where a setting that
// breaks connections would lock the user out: by what sshd leaves in the environment, or,
// because sudo removes that, by an sshd among the ancestors.
func Remote(env func(string) string) bool {
	if env("SSH_CONNECTION") != "" || env("SSH_TTY") != "" {
		return true
	}
	const generations = 32
	for pid, n := os.Getppid(), 0; pid > 1 && n < generations; n++ {
		name, parent := ancestor(pid)
		if strings.HasPrefix(name, "sshd") || name == "dropbear" || name == "in.telnetd" {
			return true
		}
		pid = parent
	}
	return false
}

// ancestor is the name of a process and its parent; 0 where that cannot be read.
func ancestor(pid int) (name string, parent int) {
	p, err := procfs.Root("").Open(pid)
	if err != nil {
		return "", 0
	}
	defer p.Close()
	name, _ = p.Comm()
	status, _ := p.Read("status")
	_, rest, _ := bytes.Cut(status, []byte("\nPPid:\t"))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	parent, _ = strconv.Atoi(string(line))
	return name, parent
}
