package dial

import (
	"fmt"
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

// Choice says who chooses source ports, and how.
type Choice int

const (
	// AutoPort is MovingWindow where the kernel has IP_LOCAL_PORT_RANGE, else
	// KernelPort; and ExplicitPort where the kernel could not do what is asked: Ports
	// without IP_LOCAL_PORT_RANGE, or a pool of addresses without
	// IP_BIND_ADDRESS_NO_PORT. What the kernel has is tried at the first dial.
	AutoPort Choice = iota

	// MovingWindow has the kernel choose out of at most 512 ports at a time
	// (IP_LOCAL_PORT_RANGE, Linux 6.3 and distributions that backported it to older
	// ones), so that its search stays short however full the range is.
	MovingWindow

	// KernelPort has the kernel choose out of the whole range. Past half of the range
	// each connect(2) searches that half. On Linux 4.2 and later the port is chosen by
	// the destination. Of a range with an odd number of ports one may stay unused: the
	// kernel rounds down to an even number.
	KernelPort

	// ExplicitPort chooses the port here and binds it with SO_REUSEADDR, on any Linux.
	// Its cost is flat too. But a port taken this way, until its TIME_WAIT ends, is
	// taken from every program on the host that lets the kernel choose, whatever its
	// destination; and the 60 s of TIME_WAIT are not kept when TCP timestamps are on
	// (net/ipv4/tcp_ipv4.c, tcp_twsk_unique), nor is FIN_WAIT_2 of a connection that was
	// closed here: a peer that has not closed its end yet, and writes, gets EPIPE. Reserved
	// ports are left out.
	ExplicitPort
)

// String gives the name in lower case.
func (c Choice) String() string {
	names := [...]string{"auto", "window", "kernel", "explicit"}
	if c < 0 || int(c) >= len(names) {
		return fmt.Sprintf("Choice(%d)", int(c))
	}
	return names[c]
}

// features are what this kernel has.
type features struct {
	lateBind bool // IP_BIND_ADDRESS_NO_PORT
	window   bool // IP_LOCAL_PORT_RANGE
	explicit bool // binding inside of Control, as ExplicitPort needs it
}

// settle gives the choice that can be had; an explicit wish that cannot is KernelPort.
// ranged: it is known which ports there are. narrowed: Dialer.Ports is set.
func (c Choice) settle(f features, pool, ranged, narrowed bool) Choice {
	wanted := c == ExplicitPort || narrowed && !f.window || c == AutoPort && pool && !f.lateBind
	switch {
	case (c == AutoPort || c == MovingWindow) && f.window && ranged:
		return MovingWindow
	case wanted && f.explicit && ranged:
		return ExplicitPort
	}
	return KernelPort
}

// ring counts events by the second, for as many seconds as it has buckets. Seconds only grow; an
// event of the past is counted in the newest second.
type ring struct {
	newest  int64
	buckets []uint32
}

func newRing(seconds int) *ring { return &ring{buckets: make([]uint32, seconds)} }

func (r *ring) add(second int64) {
	r.advance(second)
	r.buckets[r.newest%int64(len(r.buckets))]++
}

func (r *ring) advance(second int64) {
	if second-r.newest >= int64(len(r.buckets)) {
		clear(r.buckets)
		r.newest = second
	}
	for r.newest < second {
		r.newest++
		r.buckets[r.newest%int64(len(r.buckets))] = 0
	}
}

// sum counts the events of the seconds from..to, both included. A nil ring has none.
func (r *ring) sum(from, to int64) (n int) {
	if r == nil {
		return 0
	}
	for s := max(from, r.newest-int64(len(r.buckets))+1); s <= min(to, r.newest); s++ {
		if s >= 0 {
			n += int(r.buckets[s%int64(len(r.buckets))])
		}
	}
	return n
}
