package dial

import (
	"net"
	"runtime"
	"sync/atomic"
	"time"
)

// Conn is a TCP connection of a Dialer: a *net.TCPConn, with all its methods (ReadFrom, SyscallConn,
// CloseWrite, writev by net.Buffers), that is counted until it is closed. A connection that is dropped without Close is
// closed, and no longer counted, once the garbage collector has found it. So keep and close the Conn, not the TCPConn in it.
type Conn struct {
	*net.TCPConn

	lease   *lease
	dropped runtime.Cleanup
	halved  atomic.Bool // CloseWrite was called, before the peer had closed
	resets  atomic.Bool // SetLinger(0) was called
	closed  atomic.Bool
}

// lease is what a connection holds of its Dialer. It does not refer to the Conn, whose end it sees.
type lease struct {
	core *core
	to   *destination
	pair *pair
	port int
}

func newConn(conn *net.TCPConn, l *lease) *Conn {
	c := &Conn{TCPConn: conn, lease: l}
	c.dropped = runtime.AddCleanup(c, func(l *lease) { l.end(true) }, l)
	return c
}

// end gives the port back, at once or after TIME_WAIT, and the place under the limits.
func (l *lease) end(lingers bool) {
	l.to.release(l.pair, l.port, lingers, time.Now())
	l.core.leave(l.to)
}

// Close closes the connection and gives its port back: at once when the peer closed first, or after
// TIME_WAIT. Closing again does nothing but return net.TCPConn's error.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.TCPConn.Close()
	}
	lingers := !c.resets.Load() && lingers(c.TCPConn, c.halved.Load())
	err := c.TCPConn.Close()
	c.dropped.Stop()
	c.lease.end(lingers)
	runtime.KeepAlive(c) // the cleanup cannot have begun
	return err
}

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
