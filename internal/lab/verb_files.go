//go:build linux

package lab

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"github.com/maxconn/maxconn/internal/linux/pidfd"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/tune"
)

// limitFiles lowers or raises the soft limit and keeps the hard one. The Go
// runtime has raised soft to hard when the process started (os/rlimit.go, Go 1.19).
func limitFiles(_ *worker, soft uint64) (nothing, error) {
	var own syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own); err != nil {
		return nothing{}, err
	}
	if soft > own.Max {
		return nothing{}, fmt.Errorf("soft limit %d above the hard limit %d: %w", soft,
			own.Max, syscall.EINVAL)
	}
	return nothing{}, tune.Prlimit(0, soft, own.Max)
}

// fillFiles opens descriptors until the kernel refuses one.
func fillFiles(w *worker, _ nothing) (Opened, error) {
	o := startOpening(maxWithin)
	for o.out.Attempted < maxCount && o.left() > 0 {
		fd, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		o.note(fd, err)
		if err != nil {
			break
		}
	}
	return o.finish(w), nil
}

// Relisten calls listen(2) again on a listener and says what its queue may hold then. The
// kernel keeping less than was asked for is no error here.
func (a *Actor) Relisten(listener Group, backlog int) (Queue, error) {
	return ask[Queue](a.control, "relisten", relistening{listener, backlog}, 0)
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
	return ask[Group](a.control, "borrow", borrowing{from.PID(), fds}, 0)
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

func limitOther(o ofProcess) error { return tune.Prlimit(o.PID, o.Soft, o.Hard) }

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

// Watch registers N descriptors with epoll instances of its own until the kernel refuses
// (ENOSPC among the errors) and keeps them. The group holds all of them.
func (a *Actor) Watch(n int) (Opened, error) {
	return ask[Opened](a.control, "watch", n, maxWithin)
}

// watch counts registrations, not descriptors: the same event source is watched by many instances.
func watch(w *worker, n int) (Opened, error) {
	o := startOpening(maxWithin)
	var r [2]int
	if err := syscall.Pipe2(r[:], syscall.O_CLOEXEC); err != nil {
		return Opened{}, err
	}
	registered := 0
	for range count(n) {
		if o.left() <= 0 {
			break
		}
		fd, err := watchOne(r[0])
		o.out.Attempted++
		if err != nil {
			o.out.Errors[errnoName(err)]++
			break
		}
		o.fds = append(o.fds, fd)
		registered++
	}
	o.fds = append(o.fds, r[0], r[1])
	out := o.finish(w)
	out.Count = registered
	return out, nil
}

// watchOne makes an epoll instance with one registration.
func watchOne(fd int) (int, error) {
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return 0, err
	}
	if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, fd,
		&syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}); err != nil {
		syscall.Close(ep)
		return 0, err
	}
	return ep, nil
}

// WatchGroup registers every socket of a group with one epoll instance, as a server does.
func (a *Actor) WatchGroup(g Group) error { return a.control.call("watchgroup", g, nil, maxWithin) }

func watchGroup(w *worker, g Group) (nothing, error) {
	fds, err := w.group(g)
	if err != nil {
		return nothing{}, err
	}
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nothing{}, err
	}
	w.keep([]int{ep})
	for _, fd := range fds {
		if err := syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, fd,
			&syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}); err != nil {
			return nothing{}, err
		}
	}
	return nothing{}, nil
}

// Memory is what sockets have queued or hold in reserve for it, in bytes: what tcp_mem
// counts. It has nothing of the sockets themselves.
type Memory struct {
	Received int `json:"received"` // sk_rmem_alloc
	Queued   int `json:"queued"`   // sk_wmem_queued
	Reserved int `json:"reserved"` // sk_forward_alloc
}

// Total is the sum.
func (m Memory) Total() int { return m.Received + m.Queued + m.Reserved }

// Memory adds up SO_MEMINFO (Linux 4.12) of the sockets of a group.
func (a *Actor) Memory(g Group) (Memory, error) {
	return ask[Memory](a.control, "memory", g, maxWithin)
}

// include/uapi/asm-generic/socket.h, include/uapi/linux/sock_diag.h enum sk_meminfo
const (
	soMemInfo  = 55
	memVars    = 9
	memRmem    = 0
	memForward = 4
	memQueued  = 5
)

func memory(w *worker, g Group) (sum Memory, err error) {
	fds, err := w.group(g)
	if err != nil {
		return sum, err
	}
	for _, fd := range fds {
		var v [memVars]uint32
		size := uint32(unsafe.Sizeof(v))
		_, _, errno := syscall.Syscall6(syscall.SYS_GETSOCKOPT, uintptr(fd),
			syscall.SOL_SOCKET, soMemInfo,
			uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			return sum, errno
		}
		sum.Received += int(v[memRmem])
		sum.Queued += int(v[memQueued])
		sum.Reserved += int(v[memForward])
	}
	return sum, nil
}
