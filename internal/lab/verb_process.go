//go:build linux

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/role"
)

// maxComm is TASK_COMM_LEN without the terminating zero (include/linux/sched.h).
const maxComm = 15

// nameSelf names the process as others see it in /proc/PID/comm. Writing the file
// names the main thread whichever thread writes; prctl(PR_SET_NAME) would name
// only the calling one.
func nameSelf(_ *worker, name string) (nothing, error) {
	if name == "" || len(name) > maxComm {
		return nothing{}, fmt.Errorf("name %q: a process name has 1 to %d bytes", name,
			maxComm)
	}
	return nothing{}, os.WriteFile("/proc/self/comm", []byte(name), 0)
}

type spawned struct {
	PID int `json:"pid"`
}

// spawnWorker starts a worker in the same namespaces. The descriptor passed with
// the request is its end of the control socket.
func spawnWorker(w *worker, name string) (spawned, error) {
	if len(w.passed) != 1 {
		return spawned{}, fmt.Errorf("spawn %s: %d descriptors came along, want 1", name,
			len(w.passed))
	}
	control := os.NewFile(uintptr(w.passed[0]), "control")
	w.passed = nil
	defer control.Close()
	cmd, granted, err := workerCommand(name, control)
	if err != nil {
		return spawned{}, err
	}
	defer granted()
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return spawned{}, err
	}
	w.children.Go(func() { cmd.Wait() })
	return spawned{cmd.Process.Pid}, nil
}

// workerCommand is a copy of this program that Main will make a worker.
// /proc/self/exe is right even when the program's file was replaced, removed, or
// lies where this user may not look. granted is to be called once it was started.
func workerCommand(name string, control *os.File) (cmd *exec.Cmd, granted func(), err error) {
	cmd = &exec.Cmd{
		Path:        "/proc/self/exe",
		Args:        []string{"maxconn-lab: " + name},
		ExtraFiles:  []*os.File{control},
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
		WaitDelay:   closeGrace,
	}
	granted, err = role.Grant(cmd, workerRole)
	return cmd, granted, err
}

// reapWorkers waits for the end of all workers that this one started.
func reapWorkers(w *worker, _ nothing) (nothing, error) {
	done := make(chan struct{})
	go func() { w.children.Wait(); close(done) }()
	select {
	case <-done:
		return nothing{}, nil
	case <-time.After(closeGrace):
		return nothing{}, fmt.Errorf("workers still run after %v", closeGrace)
	}
}

type command struct {
	Argv []string `json:"argv"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir"`
}

type exited struct {
	Code int `json:"code"`
}

// runCommand runs a program with the three descriptors that came along and waits
// for it. The parent bounds the time: it kills this worker, and the program dies with it.
func runCommand(w *worker, c command) (exited, error) {
	if len(c.Argv) == 0 || len(w.passed) != 3 {
		return exited{}, fmt.Errorf("run: %d words and %d descriptors", len(c.Argv),
			len(w.passed))
	}
	path, err := exec.LookPath(c.Argv[0])
	if err != nil {
		return exited{}, err
	}
	files := make([]*os.File, 0, 3)
	for _, fd := range w.passed {
		files = append(files, os.NewFile(uintptr(fd), "stdio"))
	}
	w.passed = nil
	p, err := os.StartProcess(path, c.Argv, &os.ProcAttr{
		Dir: c.Dir, Env: c.Env, Files: files,
		Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	for _, f := range files {
		f.Close()
	}
	if err != nil {
		return exited{}, err
	}
	state, err := p.Wait()
	if err != nil {
		return exited{}, err
	}
	return exited{exitCode(state)}, nil
}

// exitCode follows the shell: 128 and the number of the signal.
func exitCode(s *os.ProcessState) int {
	if ws, ok := s.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return s.ExitCode()
}
