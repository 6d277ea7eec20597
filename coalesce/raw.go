package coalesce

import (
	"context"
	"net"
	"syscall"
	"time"
)

// The ways around the buffer. The standard library and programs reach the socket of a connection
// as follows; each one is ordered after what was written before, or not offered.
//
//   - SyscallConn: Write takes a turn of its own and sends what is pending first; Control sends
//     what is pending first; Read does not send.
//   - (*os.File).WriteTo, which io.Copy calls, asks SyscallConn for something that has
//     internal/poll's FD (os/zero_copy_linux.go, getPollFDAndNetwork). rawSocket has none, so it
//     falls back to ReadFrom of this package, which calls sendfile in its turn.
//   - (*net.TCPConn).WriteTo falls back to ReadFrom likewise (net/tcpsock_posix.go, writeTo).
//   - ReadFrom, and with it http.ResponseWriter's (net/http/server.go, response.ReadFrom): a turn.
//   - net.Buffers.WriteTo looks for an unexported method (net/net.go, buffersWriter), and falls
//     back to Write.
//   - WriteTo and Read do not send.
//   - File, Fd: not offered.
//   - NetConn ends the collecting of writes. tls.Conn.NetConn and http.Hijacker give the Conn.
type rawSocket struct {
	conn  *Conn
	inner syscall.RawConn
}

// SyscallConn returns a raw form of the connection, for socket options and for system calls that
// send. It fails with errors.ErrUnsupported when the wrapped connection has none.
//
// Control sends what is pending before it calls f, and Write also keeps others from writing until
// it ends; both wait for that as Flush does. Do not write to the Conn in f. To look at the socket
// of a connection whose peer takes nothing, use SyscallConn of the wrapped connection.
func (c *Conn) SyscallConn() (syscall.RawConn, error) {
	s, ok := c.inner.(syscall.Conn)
	if !ok {
		return nil, c.opError("raw-control", errUnsupported)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	return rawSocket{c, raw}, nil
}

func (r rawSocket) Control(f func(fd uintptr)) error {
	if err := r.conn.settlePending(); err != nil {
		return err
	}
	return r.inner.Control(f)
}

func (r rawSocket) Read(f func(fd uintptr) bool) error {
	r.conn.flushForRead()
	return r.inner.Read(f)
}

func (r rawSocket) Write(f func(fd uintptr) bool) error {
	_, err := r.conn.move("raw-write", func() (int64, error) { return 0, r.inner.Write(f) })
	return err
}

// settlePending sends what is pending, as Flush does. A connection that has failed has
// nothing pending.
func (c *Conn) settlePending() error {
	c.mu.Lock()
	w := c.work
	if c.cause != nil || c.closing != nil || w == nil || w.head == nil && w.flight == nil {
		c.mu.Unlock()
		return nil
	}
	err := c.flushTo(context.Background(), c.accepted)
	if err != nil && c.Err() != nil {
		return nil
	}
	return err
}

// NetConn returns the wrapped connection. Since its user may write to it, what is pending
// is sent first, as Flush does, and from then on each Write is sent before it returns: nothing is
// collected any more. What TryWrite accepts is sent soon, as ever.
func (c *Conn) NetConn() net.Conn {
	c.mu.Lock()
	c.flag |= through
	c.gate |= gateEager
	c.collect()
	c.mu.Unlock()
	c.settlePending()
	return c.inner
}

// CloseRead shuts down the reading side of the wrapped connection. This and the methods below
// fail with errors.ErrUnsupported if the wrapped connection does not have them.
func (c *Conn) CloseRead() error {
	if s, ok := c.inner.(interface{ CloseRead() error }); ok {
		return s.CloseRead()
	}
	return c.opError("close", errUnsupported)
}

// SetLinger is net.TCPConn's. With 0, Close drops what is pending, as the kernel then does.
func (c *Conn) SetLinger(seconds int) error {
	s, ok := c.inner.(interface{ SetLinger(int) error })
	if !ok {
		return c.opError("set", errUnsupported)
	}
	if err := s.SetLinger(seconds); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flag &^= abrupt
	if seconds == 0 {
		c.flag |= abrupt
	}
	return nil
}

// SetNoDelay is net.TCPConn's.
func (c *Conn) SetNoDelay(on bool) error {
	if s, ok := c.inner.(interface{ SetNoDelay(bool) error }); ok {
		return s.SetNoDelay(on)
	}
	return c.opError("set", errUnsupported)
}

// SetKeepAlive is net.TCPConn's.
func (c *Conn) SetKeepAlive(on bool) error {
	if s, ok := c.inner.(interface{ SetKeepAlive(bool) error }); ok {
		return s.SetKeepAlive(on)
	}
	return c.opError("set", errUnsupported)
}

// SetKeepAlivePeriod is net.TCPConn's.
func (c *Conn) SetKeepAlivePeriod(d time.Duration) error {
	if s, ok := c.inner.(interface{ SetKeepAlivePeriod(time.Duration) error }); ok {
		return s.SetKeepAlivePeriod(d)
	}
	return c.opError("set", errUnsupported)
}

// SetKeepAliveConfig is net.TCPConn's.
func (c *Conn) SetKeepAliveConfig(config net.KeepAliveConfig) error {
	s, ok := c.inner.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	})
	if ok {
		return s.SetKeepAliveConfig(config)
	}
	return c.opError("set", errUnsupported)
}

// SetReadBuffer is net.TCPConn's.
func (c *Conn) SetReadBuffer(bytes int) error {
	if s, ok := c.inner.(interface{ SetReadBuffer(int) error }); ok {
		return s.SetReadBuffer(bytes)
	}
	return c.opError("set", errUnsupported)
}

// SetWriteBuffer is net.TCPConn's.
func (c *Conn) SetWriteBuffer(bytes int) error {
	if s, ok := c.inner.(interface{ SetWriteBuffer(int) error }); ok {
		return s.SetWriteBuffer(bytes)
	}
	return c.opError("set", errUnsupported)
}
