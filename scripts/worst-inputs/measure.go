package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// figures are what one run of the program took.
type figures struct {
	wall               time.Duration
	seconds, mebibytes float64
	status             int
	killed             bool
}

// longest is when a run is given up.
const longest = 60 * time.Second

// attempts are how often an input is tried that is above its bounds: the least counts, as
// others' work only adds to it.
const attempts = 3

// measurement is what all cases have in common.
type measurement struct {
	program string
	size    int // bytes of an input
	limit   bounds
}

// once runs a case with the size, with a tenth of it, and once more until it is stopped.
// What is over before a signal can meet it is not run again.
func (m measurement) once(dir string, c input) (r result, err error) {
	if err := write(dir, c, m.size); err != nil {
		return r, err
	}
	if r.full, err = runOnce(m.program, dir, c); err != nil || r.full.wall < 2*untilStop {
		return r, err
	}
	if r.stopped, err = stop(m.program, dir, c); err != nil {
		return r, err
	}
	if err := write(dir, c, m.size/10); err != nil {
		return r, err
	}
	r.tenth, err = runOnce(m.program, dir, c)
	return r, err
}

// alone runs a case until it is within its bounds, and returns the run that took least.
func (m measurement) alone(dir string, c input) (best result, err error) {
	for try := range attempts {
		r, err := m.once(dir, c)
		if err != nil {
			return r, err
		}
		if try == 0 || r.full.seconds < best.full.seconds {
			best = r
		}
		if best.above(m.limit) == "" {
			break
		}
	}
	return best, nil
}

// write makes the input; it goes straight to the disk, because the memory of this program
// counts as that of those it starts (ru_maxrss survives execve: fs/exec.c exec_mmap).
func write(dir string, c input, size int) (err error) {
	f, err := os.Create(filepath.Join(dir, "input"))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	c.write(&sized{w: w, left: size})
	return errors.Join(w.Flush(), f.Close())
}

func runOnce(program, dir string, c input) (figures, error) {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	cmd := command(ctx, program, dir, c)
	begin := time.Now()
	err := cmd.Run()
	wall := time.Since(begin)
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		return figures{}, err
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	work := time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	return figures{
		wall:      wall,
		seconds:   min(wall, work).Seconds(),
		mebibytes: float64(usage.Maxrss) / 1024,
		status:    cmd.ProcessState.ExitCode(),
		killed:    ctx.Err() != nil,
	}, nil
}

func command(ctx context.Context, program, dir string, c input) *exec.Cmd {
	args := strings.Fields(strings.ReplaceAll(c.args, "INPUT", filepath.Join(dir, "input")))
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stdout = dir, io.Discard
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "XDG_STATE_HOME=" + dir}
	return cmd
}

// untilStop is what a program gets to come to its work.
const untilStop = 100 * time.Millisecond

// stop starts the program, lets it get to its work, and takes the time that SIGTERM needs
// to end it.
func stop(program, dir string, c input) (time.Duration, error) {
	cmd := command(context.Background(), program, dir, c)
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	// the signal has to meet the work: there is no event in between
	time.Sleep(untilStop)
	begin := time.Now()
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	guard := time.AfterFunc(longest, func() { _ = cmd.Process.Kill() })
	defer guard.Stop()
	_ = cmd.Wait() // whatever its status is
	return time.Since(begin), nil
}
