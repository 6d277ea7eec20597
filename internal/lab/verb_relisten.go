//go:build linux

package lab

import (
	"fmt"
	"os"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/pidfd"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/tune"
)

// Relisten calls listen(2) again on a listener and says what its queue may hold then. The
// kernel keeping less than was asked for is no error here.
func (a *Actor) Relisten(listener Group, backlog int) (Queue, error) {
	var out Queue
	err := a.order("relisten", relistening{listener, backlog}, &out)
	return out, err
}

type relistening struct {
	Listener Group `json:"listener"`
	Backlog  int   `json:"backlog"`
}

func relisten(w *worker, r relistening) (Queue, error) {
	fd, err := w.listener(r.Listener)
	if err != nil {
		return Queue{}, err
	}
	if err := syscall.Listen(fd, r.Backlog); err != nil {
		return Queue{}, fmt.Errorf("listen() again: %w", err)
	}
	return queue(w, r.Listener)
}

// Borrow copies the sockets of another actor's group into this one (pidfd_getfd, Linux
// 5.6), as `maxconn apply` does with a listener. Both then hold the same sockets.
func (a *Actor) Borrow(from *Actor, g Group) (Group, error) {
	var fds []int
	if err := from.order("numbers", g, &fds); err != nil {
		return 0, err
	}
	var out Group
	err := a.order("borrow", borrowing{from.PID(), fds}, &out)
	return out, err
}

type borrowing struct {
	PID int   `json:"pid"`
	FDs []int `json:"fds"`
}

func numbers(w *worker, g Group) ([]int, error) { return w.group(g) }

func borrow(w *worker, b borrowing) (Group, error) {
	p, err := pidfd.Open(b.PID)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	var own []int
	for _, fd := range b.FDs {
		file, err := p.Copy(fd)
		if err != nil {
			return 0, err
		}
		copied, err := keepOpen(file)
		if err != nil {
			return 0, err
		}
		own = append(own, copied)
	}
	return w.keep(own), nil
}

// keepOpen gives a descriptor that no finalizer closes.
func keepOpen(f *os.File) (int, error) {
	defer f.Close()
	fd, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(fd), nil
}

// Prlimit sets RLIMIT_NOFILE of a running actor from another process, the first worker.
func (l *Lab) Prlimit(a *Actor, soft, hard uint64) error {
	return l.order("prlimit", ofProcess{a.PID(), soft, hard}, nil)
}

type ofProcess struct {
	PID  int    `json:"pid"`
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

func limitOther(_ *worker, o ofProcess) (nothing, error) {
	return nothing{}, tune.Prlimit(o.PID, o.Soft, o.Hard)
}

// Files reads the soft and the hard RLIMIT_NOFILE of an actor.
func (a *Actor) Files() (soft, hard uint64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", a.pid))
	if err != nil {
		return 0, 0, err
	}
	limits, err := procfs.ParseLimits(text)
	if err != nil {
		return 0, 0, err
	}
	open, ok := limits.Named("Max open files")
	if !ok {
		return 0, 0, fmt.Errorf("lab: %s: no limit of open files in /proc/%d/limits",
			a.name, a.pid)
	}
	return open.Soft.N, open.Hard.N, nil
}

// Raise has the actor set its own RLIMIT_NOFILE, both values.
func (a *Actor) Raise(soft, hard uint64) error {
	return a.order("prlimit", ofProcess{0, soft, hard}, nil)
}
