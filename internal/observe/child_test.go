package observe_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/observe"
)

// Some tests look from inside another process: this test binary again, told by childEnv what to be.
const childEnv = "MAXCONN_OBSERVE_CHILD"

// childMain ends the process if it is a child.
func childMain() {
	var err error
	switch role := os.Getenv(childEnv); role {
	case "":
		return
	case "look":
		err = look("")
	case "apart", "apart listening":
		err = apart(strings.Replace(role, "apart", "inside", 1))
	case "tables":
		err = tables()
	case "leak":
		err = leak()
	case "serve":
		err = serve()
	case "inside":
		err = inside()
	case "inside listening":
		var l net.Listener
		if l, err = net.Listen("tcp4", "127.0.0.1:0"); err == nil {
			defer l.Close()
			err = inside()
		}
	default:
		err = fmt.Errorf("no such role: %s", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func look(root string) error {
	s, err := observe.Observe(context.Background(), observe.Options{Root: root})
	if err == nil {
		_, err = os.Stdout.Write(s.Text())
	}
	return err
}

// apart goes on in a new pid namespace, in the same network namespace.
func apart(role string) error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"="+role)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID |
		syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

// inside looks with a /proc of its own.
func inside() error {
	dir, err := os.MkdirTemp("", "proc")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", dir, "proc", 0, ""); err != nil {
		return err
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	return look(dir)
}

// seenBy is what a child of this role sees of the scene; a shell command, unless "", is put before
// it.
func (s scene) seenBy(role, shell string) (host.Snapshot, error) {
	s.Helper()
	s.Setenv(childEnv, role)
	defer s.Setenv(childEnv, "")
	own, err := os.Executable() // Args[0] may be /proc/self/exe, which is the shell's own there
	if err != nil {
		return host.Snapshot{}, err
	}
	argv := []string{own}
	if shell != "" {
		argv = []string{"/bin/sh", "-c", shell + `; exec "$0"`, own}
	}
	out, err := s.Lab.Run(context.Background(), nil, argv...)
	if err != nil {
		return host.Snapshot{}, err
	}
	if out.Code != 0 {
		return host.Snapshot{}, fmt.Errorf("exit status %d: %s", out.Code,
			bytes.TrimSpace(out.Stderr))
	}
	return host.Parse(out.Stdout)
}

func whyProcesses(s host.Snapshot) string {
	r, _ := s.Lookup(host.All(host.ProcessKind))
	return r.Err
}
