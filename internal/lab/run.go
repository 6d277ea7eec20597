//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

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
