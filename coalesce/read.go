package coalesce

import (
	"io"
	"net"
	"os"
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
	n, err := c.inner.Read(p)
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
	case c.held > 0 || c.set.NoFlushOnRead || c.set.Policy == Manual || c.flag&writing != 0:
		c.mu.Unlock()
	case w != nil && w.head != nil:
		c.send(causeRead)
	case c.mayCarry():
		c.carry()
	default:
		c.mu.Unlock()
	}
}

// readError gives a reader the reason why reading was ended.
func (c *Conn) readError(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil && c.closing == nil && !c.set.KeepReading {
		return c.failure()
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

// WriteTo copies input to w until the end, as io.Copy does. Between TCP connections the
// kernel moves the bytes (splice), unless the connection is ReadDriven, whose sending
// needs to see each Read.
func (c *Conn) WriteTo(w io.Writer) (int64, error) {
	if from, ok := c.inner.(*net.TCPConn); ok && !c.set.ReadDriven {
		c.flushForRead()
		n, err := from.WriteTo(w)
		if err != nil {
			err = c.readError(err)
		}
		return n, err
	}
	return io.Copy(w, struct{ io.Reader }{c})
}

// ReadFrom copies from r until the end, as io.Copy does. Files, TCP and Unix
// connections, and io.LimitedReaders of these, are handed to the wrapped connection, where the kernel moves the bytes
// (sendfile, splice), after all that was accepted before; the bytes of no
// other writer come between. Other sources are copied through Write.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) {
	to, ok := c.inner.(io.ReaderFrom)
	if !ok || c.raw == nil || !kernelCanMove(r) {
		b := newBuffer(copySize)
		defer b.free()
		return io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{r}, b.data[:min(copySize, c.set.large-1)])
	}
	c.mu.Lock()
	if err := c.refusal("readfrom"); err != nil {
		c.mu.Unlock()
		return 0, err
	}
	if err := c.ownTurn(); err != nil {
		return 0, err
	}
	return c.moveDirect(to, r)
}

const copySize = 16 << 10

// kernelCanMove says whether sendfile or splice may take bytes from r.
func kernelCanMove(r io.Reader) bool {
	if l, ok := r.(*io.LimitedReader); ok {
		r = l.R
	}
	switch r.(type) {
	case *os.File, *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// moveDirect sends what is pending and then r. The caller has the turn. An
// error is not lasting, for it may be one of r; if it is not, the next write meets it.
func (c *Conn) moveDirect(to io.ReaderFrom, r io.Reader) (int64, error) {
	c.mu.Lock()
	c.beginDirect()
	if err := c.drain(false); err != nil {
		return 0, c.endDirect(err)
	}
	c.openLine()
	c.mu.Unlock()
	n, err := to.ReadFrom(r)
	c.mu.Lock()
	c.accepted += n
	c.sent += n
	c.messages++
	c.work.seen = c.messages
	for f := c.work.flushes.head; f != nil; f = f.next {
		f.target += n
	}
	c.endDirect(nil)
	return n, err
}
