//go:build linux

package main

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Someone who chooses the environment, the arguments and the descriptors of maxconn cannot
// make it one of the processes that do as they are told: no worker of a lab, no worker of a
// load, none that rolls a run back.
func TestRolesAreNotForTheTaking(t *testing.T) {
	order := `{"id":1,"verb":"name","args":"taken"}` + "\n"
	for what, c := range map[string]struct {
		env  string
		args []string
	}{
		"a worker of a lab, as it was once": {"MAXCONN_LAB_WORKER=1", []string{"version"}},
		"a worker of a lab": {"MAXCONN_ROLE=lab-worker:3:x",
			[]string{"version"}},
		"a worker of a load": {"MAXCONN_ROLE=load-worker:3:x",
			[]string{"load", "worker"}},
		"a worker of a load, by its verb": {"A=", []string{"load", "worker"}},
		"one that awaits a confirmation": {
			"MAXCONN_ROLE=await-confirmation:3:x",
			[]string{"await-confirmation", "1"},
		},
		"the same, by its verb": {"A=", []string{"await-confirmation", "1"}},
		"the init of a machine": {"MAXCONN_VM_ROLE=init", []string{"version"}},
	} {
		t.Run(what, func(t *testing.T) {
			if said := answers(t, order, c.env, c.args); said != "" {
				t.Errorf("it did as it was told: %q", said)
			}
		})
	}
}

// answers starts maxconn with a socket that orders come from, and gives what it says there until it
// ends.
func answers(t *testing.T, order, env string, args []string) string {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	if _, err := ours.WriteString(order); err != nil {
		t.Fatal(err)
	}
	// The test binary is maxconn where it is called so (testscript.Main).
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: append([]string{"maxconn"}, args...)}
	cmd.Env = append(os.Environ(), env)
	cmd.ExtraFiles = []*os.File{theirs, theirs, theirs}
	cmd.Stdin = strings.NewReader(order)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	end := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer end.Stop()
	said := make([]byte, 1<<10)
	n, _ := ours.Read(said) // an end without a word is 0, or a connection that was reset
	if n > 0 {
		_ = cmd.Process.Kill() // a worker waits for more
	}
	_ = cmd.Wait()
	return string(said[:max(n, 0)])
}
