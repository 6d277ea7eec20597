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

// attempt is a write(2) that does not wait, or writes that wait for the peer.
type attempt struct {
	work   *work
	buf    []byte
	pieces [][]byte // of push
	n      int
	calls  int64 // system calls since they were last counted
	err    error
	took   bool // the socket took bytes since push last waited
	once   func(fd uintptr) bool
	all    func(fd uintptr) bool
}

// bind makes the functions for RawConn.Write once, so that writing does not
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
	t.all = t.writeAll
}

// write sends as much of b as the socket takes at once. The caller owns the
// connection for writing; mu is not held.
func (t *attempt) write(c *Conn, b []byte) (int, error) {
	t.buf, t.n, t.err = b, 0, nil
	err := c.raw.Write(t.once)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		// A deadline of an earlier write passed while nothing was written.
		c.mu.Lock()
		c.armed = 1 // also when others have set it
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

// push sends all pieces, and waits for the peer as long as it takes bytes and the deadline of the
// caller allows. It uses the pieces up. The owner calls it, between beginWait and endWait; mu is
// not held.
func (t *attempt) push(c *Conn, pieces [][]byte) (int, error) {
	t.work, t.pieces, t.n, t.err, t.took = c.work, pieces, 0, nil, false
	err := c.raw.Write(t.all)
	for err != nil && isTimeout(err) && c.retries() {
		err = c.raw.Write(t.all)
	}
	t.work, t.pieces = nil, nil
	if err == nil && t.err != nil {
		err = c.opError("write", t.err)
	}
	return t.n, err
}

func (c *Conn) retries() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mayGoOn()
}

// writeAll is called by RawConn.Write whenever the socket may have room.
func (t *attempt) writeAll(fd uintptr) bool {
	for len(t.pieces) > 0 {
		t.calls++
		n, err := t.writeSome(int(fd))
		switch err {
		case nil:
			t.advance(n)
			t.took = true
		case unix.EINTR:
		case unix.EAGAIN:
			if t.took {
				t.work.since.Store(clock())
				t.took = false
			}
			return false
		default:
			t.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// maxPieces is the most that writev takes at once (UIO_MAXIOV in include/uapi/linux/uio.h).
const maxPieces = 1024

func (t *attempt) writeSome(fd int) (int, error) {
	if len(t.pieces) == 1 {
		return unix.Write(fd, t.pieces[0])
	}
	return unix.Writev(fd, t.pieces[:min(len(t.pieces), maxPieces)])
}

// advance drops n bytes, and pieces that are empty then.
func (t *attempt) advance(n int) {
	t.n += n
	for len(t.pieces) > 0 && n >= len(t.pieces[0]) {
		n -= len(t.pieces[0])
		t.pieces[0] = nil
		t.pieces = t.pieces[1:]
	}
	if len(t.pieces) > 0 {
		t.pieces[0] = t.pieces[0][n:]
	}
}
