package coalesce

import (
	"io"
	"net"
	"time"
)

// Read reads from the wrapped connection. Before that it sends what is
// pending, in this goroutine, without waiting for the peer. If nothing is, but
// input made other goroutines write lately, it gives way to them once or twice first.
//
// When sending has failed, Read returns the input that has already arrived
// (on connections of other types than *net.TCPConn and *net.UnixConn it may not), and
// then the lasting error.
func (c *Conn) Read(p []byte) (int, error) {
	c.flushForRead()
	n, err, done := c.busyPoll(p)
	if !done {
		n, err = c.inner.Read(p)
	}
	if c.set.BusyPoll > 0 && n > 0 {
		c.mu.Lock()
		c.flag &^= polled
		c.mu.Unlock()
	}
	if err != nil {
		err = c.readError(err)
	}
	return n, err
}

// flushForRead sends what is pending unless someone else already does.
func (c *Conn) flushForRead() {
	c.mu.Lock()
	w := c.work
	switch {
	case !c.leavesToRead():
		c.mu.Unlock()
	case w != nil && w.head != nil:
		c.send(causeRead)
	case c.mayCarry():
		c.carry(true)
	default:
		c.mu.Unlock()
	}
}

// leavesToRead says whether a Read may send what is pending. mu is held.
func (c *Conn) leavesToRead() bool {
	return c.held == 0 && !c.set.NoFlushOnRead && c.set.Policy != Manual && c.flag&writing == 0
}

// readError gives a reader the reason why reading was ended.
func (c *Conn) readError(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == io.EOF && c.cause == nil:
	case c.closing != nil && c.closing.left && isTimeout(err):
		return c.opError("read", net.ErrClosed)
	case c.cause != nil && c.closing == nil && !c.set.KeepReading:
		return c.failure("read")
	}
	return err
}

// stopReading wakes goroutines that wait in Read. Linux hands out input that
// has arrived before a shutdown for reading (tcp_recvmsg_locked in net/ipv4/tcp.c looks at
// the queue first), so nothing is lost; elsewhere a deadline has to do. mu is held.
func (c *Conn) stopReading() {
	if r, ok := c.inner.(interface{ CloseRead() error }); ok && c.raw != nil {
		r.CloseRead()
		return
	}
	c.inner.SetReadDeadline(time.Unix(1, 0))
}

// WriteTo copies input to w until the end, as io.Copy does. A wrapped connection that knows how
// does this itself, so that the kernel may move the bytes (splice), unless the connection is
// ReadDriven, whose sending needs to see each Read.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	from, ok := c.inner.(io.WriterTo)
	if _, unix := c.inner.(*net.UnixConn); !ok && !unix || c.set.ReadDriven {
		return io.Copy(w, struct{ io.Reader }{c})
	}
	c.flushForRead()
	var n int64
	var err error
	if ok {
		n, err = from.WriteTo(w)
	} else {
		n, err = io.Copy(w, c.inner)
	}
	if err != nil {
		err = c.readError(err)
	}
	return n, err
}
