package coalesce

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// rawConn returns the raw form of connections whose Write is no more than
// write(2) on a non-blocking socket. Types that embed one of these may do more
// in their Write, and are left to it.
func rawConn(c net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	switch c := c.(type) {
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	case *net.UnixConn:
		if a := c.LocalAddr(); a != nil && a.Network() == "unix" {
			raw, _ = c.SyscallConn()
		}
	}
	return raw
}

// attempt is one write(2) that does not wait.
type attempt struct {
	buf   []byte
	n     int
	calls int64 // system calls since they were last counted
	err   error
	once  func(fd uintptr) bool
}

// bind makes the function for RawConn.Write once, so that writing does not
// allocate.
func (t *attempt) bind() {
	t.once = func(fd uintptr) bool {
		for {
			t.calls++
			n, err := unix.Write(int(fd), t.buf)
			if err == unix.EINTR {
				continue
			}
			t.n = max(n, 0)
			if err != nil && err != unix.EAGAIN {
				t.err = os.NewSyscallError("write", err)
			}
			return true // also when the socket is full: never wait here
		}
	}
}

// write sends as much of b as the socket takes at once. The caller owns the
// connection for writing; mu is not held.
func (t *attempt) write(c *Conn, b []byte) (int, error) {
	t.buf, t.n, t.err = b, 0, nil
	err := c.raw.Write(t.once)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		// A deadline of an earlier write passed while nothing was written.
		c.mu.Lock()
		c.disarm()
		c.mu.Unlock()
		err = c.raw.Write(t.once)
	}
	t.buf = nil
	if err == nil && t.err != nil {
		err = c.opError("write", t.err)
	}
	return t.n, err
}
