//go:build linux

package fastsock

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// UnshareFiles gives the calling thread a descriptor table of its own, a copy of the
// process's (unshare(2), CLONE_FILES), so that RLIMIT_NOFILE binds for this thread alone
// (fs/file.c alloc_fd looks at the table's next free number). The caller has locked its
// goroutine to the thread and never unlocks it: the table goes with the thread. It takes no
// privilege.
//
// The copy keeps the runtime's own descriptors; they must stay open, because the runtime
// may wake its poller from here.
func UnshareFiles() syscall.Errno {
	_, _, e := syscall.RawSyscall(unix.SYS_UNSHARE, unix.CLONE_FILES, 0, 0)
	return e
}

// FineTimers lets waits of the calling thread end when they should, not up to 50 us later
// (prctl(2), PR_SET_TIMERSLACK).
func FineTimers() {
	// without it waits are only less exact
	_, _, _ = syscall.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_TIMERSLACK, 1, 0)
}

// Nap sleeps this thread.
func Nap(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	// shorter after a signal
	_, _, _ = syscall.Syscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

// Yield lets another thread have this CPU, if one wants it.
func Yield() { _, _, _ = syscall.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// Bell is an eventfd that stays readable once rung. Made before UnshareFiles, it has the
// same number in every table.
type Bell int

// NewBell makes one that is silent.
func NewBell() (Bell, syscall.Errno) {
	r, _, e := syscall.RawSyscall(unix.SYS_EVENTFD2, 0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK, 0)
	return Bell(r), e
}

// Ring makes it readable forever.
func (b Bell) Ring() {
	one := uint64(1)
	// EAGAIN after 2^64-2 rings
	_, _, _ = syscall.RawSyscall(unix.SYS_WRITE, uintptr(b), uintptr(unsafe.Pointer(&one)),
		unsafe.Sizeof(one))
}

// Close closes this table's descriptor of it.
func (b Bell) Close() { Close(int(b)) }

// FileLimit is the soft RLIMIT_NOFILE: the number of descriptors that one table may have.
func FileLimit() uint64 {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 1024 // the kernel's default (include/uapi/linux/resource.h INR_OPEN_CUR)
	}
	return r.Cur
}

// CPUTime is what this process has used, in user and kernel mode.
func CPUTime() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// Uptime is the monotonic clock, in ns: the same for all processes of a time namespace
// (clock_gettime(2), CLOCK_MONOTONIC).
func Uptime() int64 {
	var t unix.Timespec
	// fails only for a clock that does not exist
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return t.Nano()
}

// ErrnoName is the name of an errno, such as "ECONNREFUSED".
func ErrnoName(e syscall.Errno) string { return unix.ErrnoName(e) }

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
