//go:build linux

package task

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spec says who makes how many tasks under which limit.
type Spec struct {
	UID    int    // user that makes them; 0: the present one
	Limit  uint64 // RLIMIT_NPROC, soft and hard; 0: as it is
	Cgroup string // path of a cgroup.procs file to join first; "": none
	Most   int    // tasks after which to stop, at most MaxTasks
}

// MaxTasks bounds what Fill makes.
const MaxTasks = 2048

// Result is what came of it. All tasks are gone.
type Result struct {
	Made  int           `json:"made"`  // tasks besides the one that made them
	Errno syscall.Errno `json:"errno"` // why there were not more; 0: Most was reached
	// Load is /proc/loadavg at that moment; its fourth field has all tasks of the host.
	Load string `json:"load"`
}

// Fill makes tasks one after the other until the kernel refuses or there are Most, and ends
// them again.
func Fill(s Spec) (Result, error) {
	f := &filler{
		uid:   s.UID,
		limit: unix.Rlimit{Cur: s.Limit, Max: s.Limit},
		most:  min(s.Most, MaxTasks),
		join:  -1,
	}
	copy(f.load[:], "/proc/loadavg\x00")
	copy(f.zero[:], "0")
	if s.Cgroup != "" {
		procs, err := os.OpenFile(s.Cgroup, os.O_WRONLY, 0)
		if err != nil {
			return Result{}, fmt.Errorf("make tasks: %w", err)
		}
		defer procs.Close()
		f.join = int(procs.Fd())
	}
	r, w, err := os.Pipe()
	if err != nil {
		return Result{}, fmt.Errorf("make tasks: %w", err)
	}
	defer r.Close()
	f.out = int(w.Fd())
	pid, errno := f.start()
	w.Close()
	if errno != 0 {
		return Result{}, fmt.Errorf("make tasks: clone: %w", errno)
	}
	report := make([]byte, reportSize)
	n, err := r.Read(report)
	waitErr := wait(pid)
	if err != nil || n != reportSize {
		return Result{}, fmt.Errorf("make tasks: the maker ended early: %w",
			errors.Join(err, waitErr))
	}
	return parse(report)
}

func parse(b []byte) (Result, error) {
	step, errno := binary.NativeEndian.Uint64(b),
		syscall.Errno(binary.NativeEndian.Uint64(b[8:]))
	if step != 0 {
		return Result{}, fmt.Errorf("make tasks: %s: %w",
			steps[min(step, uint64(len(steps)-1))], errno)
	}
	load := b[24:]
	if n := binary.NativeEndian.Uint64(b[16:]); n <= MaxTasks {
		end := 0
		for end < len(load) && load[end] != 0 && load[end] != '\n' {
			end++
		}
		return Result{Made: int(n), Errno: errno, Load: string(load[:end])}, nil
	}
	return Result{}, errors.New("make tasks: the maker counted wrongly")
}

// wait collects the maker, a child that the runtime does not know of.
func wait(pid int) error {
	for {
		var status unix.WaitStatus
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err != unix.EINTR {
			return err
		}
	}
}
