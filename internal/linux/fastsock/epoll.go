//go:build linux

package fastsock

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Readiness, as epoll_ctl(2) names it.
const (
	Readable   = unix.EPOLLIN
	Writable   = unix.EPOLLOUT
	PeerClosed = unix.EPOLLRDHUP
	HungUp     = unix.EPOLLHUP
	Failed     = unix.EPOLLERR
	Edge       = unix.EPOLLET
)

// Event is what became ready: Data is what was registered.
type Event struct {
	Ready uint32
	Data  uint64
}

// Epoll is one epoll instance. Wait may be called by one thread only.
type Epoll struct {
	fd    int
	ready []unix.EpollEvent
	old   bool // the kernel has no epoll_pwait2
}

// NewEpoll makes one that hands out at most batch events at a time.
func NewEpoll(batch int) (*Epoll, syscall.Errno) {
	r, _, e := syscall.RawSyscall(unix.SYS_EPOLL_CREATE1, unix.EPOLL_CLOEXEC, 0, 0)
	return &Epoll{fd: int(r), ready: make([]unix.EpollEvent, batch)}, e
}

func (p *Epoll) control(op int, fd int, events uint32, data uint64) syscall.Errno {
	ev := unix.EpollEvent{Events: events, Fd: int32(data), Pad: int32(data >> 32)}
	_, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd),
		uintptr(unsafe.Pointer(&ev)), 0, 0)
	return e
}

// Add watches a descriptor.
func (p *Epoll) Add(fd int, events uint32, data uint64) syscall.Errno {
	return p.control(unix.EPOLL_CTL_ADD, fd, events, data)
}

// Modify changes what is watched for.
func (p *Epoll) Modify(fd int, events uint32, data uint64) syscall.Errno {
	return p.control(unix.EPOLL_CTL_MOD, fd, events, data)
}

// Remove ends the watch. Closing a descriptor does so too, unless another table has a copy of it.
func (p *Epoll) Remove(fd int) syscall.Errno { return p.control(unix.EPOLL_CTL_DEL, fd, 0, 0) }

// Close closes the instance.
func (p *Epoll) Close() { Close(p.fd) }

// Wait calls each for what is ready, and waits for the first at most d (0: not at all,
// negative: forever). An interruption by a signal is no event.
func (p *Epoll) Wait(d time.Duration, each func(Event)) (n int, e syscall.Errno) {
	n, e = p.wait(d)
	if e == unix.EINTR {
		return 0, 0
	}
	if e != 0 {
		return 0, e
	}
	for _, ev := range p.ready[:n] {
		each(Event{ev.Events, uint64(uint32(ev.Fd)) | uint64(uint32(ev.Pad))<<32})
	}
	return n, 0
}

func (p *Epoll) wait(d time.Duration) (int, syscall.Errno) {
	most := uintptr(len(p.ready))
	if d == 0 {
		r, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p.ready))), most, 0, 0, 0)
		return int(r), e
	}
	if d > 0 && !p.old {
		t := unix.NsecToTimespec(int64(d))
		r, _, e := syscall.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd),
			uintptr(unsafe.Pointer(unsafe.SliceData(p.ready))), most,
			uintptr(unsafe.Pointer(&t)), 0, 0)
		if e != unix.ENOSYS { // Linux 5.11
			return int(r), e
		}
		p.old = true
	}
	timeout := -1
	if d > 0 {
		timeout = int((d + time.Millisecond - 1) / time.Millisecond)
	}
	r, _, e := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(p.ready))), most, uintptr(timeout), 0, 0)
	return int(r), e
}
