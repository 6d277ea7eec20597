package bench

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// order is what a child is told.
type order struct {
	Role  string // sink, echo, client, tls, stall, awake or busy
	Addr  string
	Conns int
	Size  int // bytes of a message
	Depth int // messages of a client's request
}

// outcome is what a child tells when all connections have ended.
type outcome struct {
	Messages int64
	Lat      histogram
	CPU      int64 // ns
}

// histogram is log-linear: 32 classes for each power of two.
type histogram [64 * 32]int64

func (h *histogram) add(v int64) {
	if v < 0 {
		v = 0
	}
	h[class(v)]++
}

func class(v int64) int {
	if v < 32 {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - 6
	return (shift+1)*32 + int(v>>shift) - 32
}

func lowest(class int) int64 {
	if class < 32 {
		return int64(class)
	}
	shift := class/32 - 1
	return int64(class%32+32) << shift
}

// quantile is the lower bound of the class that holds it.
func (h *histogram) quantile(q float64) int64 {
	total := int64(0)
	for _, n := range h {
		total += n
	}
	want := int64(q * float64(total))
	for i, n := range h {
		if want -= n; want < 0 {
			return lowest(i)
		}
	}
	return 0
}

// end is one connection of a child.
type end struct {
	fd    int
	carry []byte // the beginning of a message that is not complete
	asked int64  // when a client sent its request
	got   int    // bytes of the reply so far
}

type child struct {
	order
	outcome
	ends map[int]*end
	buf  []byte
	ep   int
}

func runChild(text string) error {
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	c := &child{ends: map[int]*end{}, buf: make([]byte, 256<<10)}
	if err := json.Unmarshal([]byte(text), &c.order); err != nil {
		return err
	}
	switch c.Role {
	case "awake":
		return spinForEver()
	case "busy":
		for n := 0; ; n++ {
			runtime.KeepAlive(n)
		}
	}
	if c.Role == "tls" {
		if err := c.readTLS(); err != nil {
			return err
		}
		return c.report()
	}
	var err error
	if c.ep, err = unix.EpollCreate1(0); err != nil {
		return err
	}
	for range c.Conns {
		if err := c.connect(); err != nil {
			return err
		}
	}
	if c.Role == "stall" {
		for {
			unix.Pause()
		}
	}
	if err := c.loop(); err != nil {
		return err
	}
	return c.report()
}

func (c *child) report() error {
	c.CPU = cpuTime()
	return json.NewEncoder(os.Stdout).Encode(c.outcome)
}

func (c *child) connect() error {
	at := netip.MustParseAddrPort(c.Addr)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: int(at.Port()),
		Addr: at.Addr().As4()}); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	unix.SetNonblock(fd, true)
	e := &end{fd: fd}
	c.ends[fd] = e
	if c.Role == "client" {
		c.ask(e)
	}
	return unix.EpollCtl(c.ep, unix.EPOLL_CTL_ADD, fd,
		&unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// loop reads until all connections have ended. RawSyscall keeps the Go
// scheduler out of it: this process has nothing else to do.
func (c *child) loop() error {
	var events [256]unix.EpollEvent
	for len(c.ends) > 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_WAIT, uintptr(c.ep),
			uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), ^uintptr(0), 0,
			0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return fmt.Errorf("epoll_wait: %w", errno)
		}
		for _, ev := range events[:n] {
			c.read(c.ends[int(ev.Fd)])
		}
	}
	return nil
}

func (c *child) read(e *end) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(e.fd),
		uintptr(unsafe.Pointer(&c.buf[0])), uintptr(len(c.buf)))
	switch {
	case errno == unix.EAGAIN || errno == unix.EINTR:
	case errno != 0 || n == 0:
		unix.Close(e.fd)
		delete(c.ends, e.fd)
	default:
		c.take(e, c.buf[:n])
	}
}

func (c *child) take(e *end, p []byte) {
	switch c.Role {
	case "client":
		c.Messages += int64(len(p)) / int64(c.Size)
		if e.got += len(p); e.got >= c.Size*c.Depth {
			c.Lat.add(stamp() - e.asked)
			c.ask(e)
		}
		return
	case "echo":
		c.write(e, p)
	}
	now := int64(0)
	if n := len(e.carry); n > 0 {
		more := min(c.Size-n, len(p))
		e.carry = append(e.carry, p[:more]...)
		p = p[more:]
		if len(e.carry) < c.Size {
			return
		}
		now = c.message(e.carry, now)
		e.carry = e.carry[:0]
	}
	for len(p) >= c.Size {
		now = c.message(p, now)
		p = p[c.Size:]
	}
	e.carry = append(e.carry, p...)
}

// message looks at one message. Those without a stamp are only counted.
func (c *child) message(p []byte, now int64) int64 {
	c.Messages++
	sent := int64(binary.LittleEndian.Uint64(p))
	if sent == 0 {
		return now
	}
	if now == 0 {
		now = stamp()
	}
	c.Lat.add(now - sent)
	return now
}

func (c *child) ask(e *end) {
	e.got, e.asked = 0, stamp()
	c.write(e, c.buf[:c.Size*c.Depth])
}

func (c *child) write(e *end, p []byte) {
	for len(p) > 0 {
		n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(e.fd),
			uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			p = p[n:]
		case unix.EAGAIN, unix.EINTR:
		default:
			return
		}
	}
}

// cpuTime is the CPU time of this process in ns.
func cpuTime() int64 {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		panic(err)
	}
	return ru.Utime.Nano() + ru.Stime.Nano()
}

// writeCalls is the number of write system calls of this process, by the
// kernel's count. The runtime's own to wake its poller are among them.
func writeCalls() int64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(text)) {
		var n int64
		if _, err := fmt.Sscanf(line, "syscw: %d", &n); err == nil {
			return n
		}
	}
	panic("no syscw in /proc/self/io")
}

// busyTime is the CPU time that all processes have used, in ns.
func busyTime() int64 {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		panic(err)
	}
	var user, nice, system, idle, wait, irq, soft int64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d", &user, &nice, &system,
		&idle, &wait, &irq, &soft); err != nil {
		panic(err)
	}
	return (user + nice + system + irq + soft) * 10_000_000 // USER_HZ is 100
}
