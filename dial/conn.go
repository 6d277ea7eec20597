package dial

import (
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Conn is a TCP connection of a Dialer: a *net.TCPConn, with all its methods, that is counted until
// it is closed. io.Copy from and to it makes the system calls that it would make with the
// *net.TCPConn, which NetConn returns: sendfile(2), splice(2). A connection that is dropped without
// Close is closed, and no longer counted, once the garbage collector has found that nothing refers
// to the *net.TCPConn; so is one of which only that was closed. Until then it counts as open.
type Conn struct {
	*net.TCPConn

	lease  *lease
	halved atomic.Bool // CloseWrite was called, before the peer had closed
	resets atomic.Bool // SetLinger(0) was called
	closed atomic.Bool
}

// lease is what a connection holds of its Dialer. It does not refer to the connection,
// whose end it sees.
type lease struct {
	core    *core
	to      *destination
	pair    *pair
	port    int
	ended   sync.Once
	dropped runtime.Cleanup
}

func newConn(conn *net.TCPConn, l *lease) *Conn {
	l.dropped = runtime.AddCleanup(conn, func(l *lease) { l.end(true) }, l)
	return &Conn{TCPConn: conn, lease: l}
}

// end gives the port back, at once or after TIME_WAIT, and the place under the limits.
func (l *lease) end(lingers bool) {
	l.ended.Do(func() {
		l.to.release(l.pair, l.port, lingers, time.Now())
		l.core.leave(l.to)
	})
}

// Close closes the connection and gives its port back: at once when the peer closed first, or after
// TIME_WAIT. Closing again does nothing but return net.TCPConn's error.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.TCPConn.Close()
	}
	lingers := !c.resets.Load() && lingers(c.TCPConn, c.halved.Load())
	err := c.TCPConn.Close()
	c.lease.dropped.Stop()
	c.lease.end(lingers)
	return err
}

// NetConn returns the *net.TCPConn. Closing that instead of the Conn is seen late; see Conn.
func (c *Conn) NetConn() net.Conn { return c.TCPConn }

// CloseWrite is that of net.TCPConn.
func (c *Conn) CloseWrite() error {
	if whole(c.TCPConn) {
		c.halved.Store(true)
	}
	return c.TCPConn.CloseWrite()
}

// SetLinger is that of net.TCPConn.
func (c *Conn) SetLinger(sec int) error {
	c.resets.Store(sec == 0)
	return c.TCPConn.SetLinger(sec)
}

// Package net moves bytes inside of the kernel only between types that it knows
// (net/splice_linux.go spliceFrom, spliceTo). So a copy takes away what stands between,
// from either side.

// ReadFrom copies from r as that of net.TCPConn does, with its system calls.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	switch r := r.(type) {
	case *net.TCPConn, *net.UnixConn:
		return c.TCPConn.ReadFrom(r)
	case *io.LimitedReader:
		if own, ok := r.R.(*Conn); ok {
			part := &io.LimitedReader{R: own.TCPConn, N: r.N}
			defer func() { r.N = part.N }()
			return c.TCPConn.ReadFrom(part)
		}
	case io.WriterTo: // maybe another wrapper, which knows what it has inside
		return r.WriteTo(c.TCPConn)
	}
	return c.TCPConn.ReadFrom(r)
}

// WriteTo copies to w as that of net.TCPConn does, with its system calls.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	if to, ok := w.(io.ReaderFrom); ok {
		return to.ReadFrom(c.TCPConn)
	}
	return c.TCPConn.WriteTo(w)
}
