package coalesce

import (
	"io"
	"math/bits"
	"net"
	"sync"
	"sync/atomic"
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

// buffer is a piece of the byte stream. Bytes from start to end are pending.
type buffer struct {
	next       *buffer
	data       []byte
	start, end int
	born       int64 // clock() of the first byte
}

func (b *buffer) bytes() []byte { return b.data[b.start:b.end] }

// pools holds idle buffers by size, a power of two from smallestBuffer to
// largestBuffer. It is shared by all connections, since an idle connection has none.
var pools [11]sync.Pool

func pool(size int) *sync.Pool { return &pools[bits.Len(uint(size/smallestBuffer))-1] }

func newBuffer(size int) *buffer {
	b, ok := pool(size).Get().(*buffer)
	if !ok {
		b = &buffer{data: make([]byte, size)}
	}
	b.born = clock()
	return b
}

func (b *buffer) free() {
	b.next, b.start, b.end = nil, 0, 0
	pool(len(b.data)).Put(b)
}

// Budget bounds the memory that the buffers of many connections take
// together. The zero value and nil are no bound. A Budget may be shared by any number of
// connections and goroutines.
type Budget struct {
	limit int64
	used  atomic.Int64
	peak  atomic.Int64
}

// NewBudget returns a Budget of the given number of bytes. When it is used
// up, Write goes to the connection without a copy and waits there, TryWrite
// returns ErrFull.
func NewBudget(bytes int64) *Budget { return &Budget{limit: bytes} }

// Used is the number of bytes taken by buffers now.
func (b *Budget) Used() int64 { return b.used.Load() }

// Peak is the largest that Used ever was. It is never above the bound.
func (b *Budget) Peak() int64 { return b.peak.Load() }

func (b *Budget) take(n int) bool {
	if b == nil || b.limit <= 0 {
		return true
	}
	for {
		used := b.used.Load()
		if used+int64(n) > b.limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+int64(n)) {
			b.raisePeak(used + int64(n))
			return true
		}
	}
}

func (b *Budget) raisePeak(to int64) {
	for {
		peak := b.peak.Load()
		if to <= peak || b.peak.CompareAndSwap(peak, to) {
			return
		}
	}
}

func (b *Budget) release(n int) {
	if b != nil && b.limit > 0 {
		b.used.Add(-int64(n))
	}
}
