//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
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

// maxOutput bounds what is kept of each output of a command; the rest is read and
// dropped.
const maxOutput = 64 << 20

// Run runs a program inside the lab, with the parent's environment and directory,
// until it ends or ctx does; then it is killed and the error is ctx's. An ordinary
// user's program is root of the lab's user namespace. An exit status other than 0
// is no error. As in os/exec, a reader that blocks keeps its goroutine.
func (l *Lab) Run(ctx context.Context, stdin io.Reader, argv ...string) (Output, error) {
	a, err := l.Spawn("run")
	if err != nil {
		return Output{}, err
	}
	defer l.dismiss(a)
	dir, err := os.Getwd()
	if err != nil {
		return Output{}, fmt.Errorf("lab: run: %w", err)
	}
	stop := context.AfterFunc(ctx, a.kill)
	defer stop()
	out, err := a.run(stdin, command{Argv: argv, Env: os.Environ(), Dir: dir})
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	return out, err
}

// runTime is the longest that a command may take, whatever the context says. A load may be
// held for days.
const runTime = 1001 * time.Hour

func (a *Actor) run(stdin io.Reader, c command) (Output, error) {
	in, out, errs, err := stdio(stdin)
	if err != nil {
		return Output{}, fmt.Errorf("lab: run: %w", err)
	}
	var code exited
	err = a.control.call("run", c, &code, runTime,
		int(in.far.Fd()), int(out.far.Fd()), int(errs.far.Fd()))
	for _, p := range []*stream{in, out, errs} {
		p.far.Close()
	}
	in.near.Close() // what the program did not read is not wanted
	return Output{Stdout: out.wait(), Stderr: errs.wait(), Code: code.Code}, err
}

// stream is one of a command's standard files: far is the program's end of a pipe.
type stream struct {
	near, far *os.File
	copied    sync.WaitGroup
	text      bytes.Buffer
}

func stdio(stdin io.Reader) (in, out, errs *stream, err error) {
	var made []*stream
	defer func() {
		if err != nil {
			for _, s := range made {
				s.near.Close()
				s.far.Close()
			}
		}
	}()
	for i := range 3 {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, nil, nil, err
		}
		s := &stream{near: r, far: w}
		if i == 0 {
			s.near, s.far = w, r
		}
		made = append(made, s)
	}
	in, out, errs = made[0], made[1], made[2]
	in.feed(stdin)
	out.collect()
	errs.collect()
	return in, out, errs, nil
}

func (s *stream) feed(from io.Reader) {
	s.copied.Go(func() {
		defer s.near.Close()
		if from != nil {
			io.Copy(s.near, from)
		}
	})
}

func (s *stream) collect() {
	s.copied.Go(func() {
		defer s.near.Close()
		io.Copy(&s.text, io.LimitReader(s.near, maxOutput))
		io.Copy(io.Discard, s.near)
	})
}

// wait gives the collected text once the other end is closed.
func (s *stream) wait() []byte {
	s.copied.Wait()
	return s.text.Bytes()
}

// dismiss ends an actor that was needed for one command.
func (l *Lab) dismiss(a *Actor) {
	if err := a.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		a.kill()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range l.actors {
		if a == b {
			l.actors = append(l.actors[:i], l.actors[i+1:]...)
			a.control.conn.Close()
			a.process.Release()
			return
		}
	}
}
