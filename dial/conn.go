package dial

import (
	"net"
	"sync/atomic"
	"time"
)

// Conn is a TCP connection of a Dialer: a *net.TCPConn, with all its methods (ReadFrom, SyscallConn,
// CloseWrite, writev by net.Buffers), that is counted until it is closed. A connection that is dropped without Close is
// closed by the Go runtime but stays counted.
type Conn struct {
	*net.TCPConn

	to     *destination
	pair   *pair
	core   *core
	port   int
	halved atomic.Bool // CloseWrite was called
	resets atomic.Bool // SetLinger(0) was called
	closed atomic.Bool
}

// Close closes the connection and gives its port back: at once when the peer closed first, or after
// TIME_WAIT. Closing again does nothing but return net.TCPConn's error.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return c.TCPConn.Close()
	}
	lingers := !c.resets.Load() && lingers(c.TCPConn, c.halved.Load())
	err := c.TCPConn.Close()
	c.to.release(c.pair, c.port, lingers, time.Now())
	c.core.leave(c.to)
	return err
}

// CloseWrite is that of net.TCPConn.
func (c *Conn) CloseWrite() error {
	c.halved.Store(true)
	return c.TCPConn.CloseWrite()
}

// SetLinger is that of net.TCPConn.
func (c *Conn) SetLinger(sec int) error {
	c.resets.Store(sec == 0)
	return c.TCPConn.SetLinger(sec)
}
