package dial

import (
	"net"
	"sync"
	"time"
	"weak"
)

// A Dialer that has no pool, no Ports and no limits returns a *net.TCPConn as net.Dialer does, and
// not a Conn: many programs do more for that very type (gRPC sets TCP_USER_TIMEOUT on no other).
// Nobody tells when such a connection is closed, so it is looked at: once a second while there are
// dials, and whenever the count matters.

const (
	settleEvery = time.Second           // a look costs some 100 ns for each connection
	settleAgain = 50 * time.Millisecond // at least between two looks when ports are short
)

// loose are the connections of a destination that no Conn reports.
type loose struct {
	mu      sync.Mutex
	conns   []looseConn
	settled time.Time
}

type looseConn struct {
	conn  weak.Pointer[net.TCPConn]
	lease *lease
}

// plain says that connections are those of net.Dialer.
func (c *core) plain(set *settings) bool {
	d := c.dialer
	return d.MaxOpen <= 0 && d.MaxPerSecond <= 0 && !d.Ports.set() && !c.pool.Load().bound &&
		c.choice(set) != ExplicitPort
}

// loosen gives the connection without its Conn.
func (c *Conn) loosen() *net.TCPConn {
	l := &c.lease.to.loose
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, looseConn{weak.Make(c.TCPConn), c.lease})
	return c.TCPConn
}

// settle ends the leases of those that were closed, unless it did so within the time. It says
// whether there were any.
func (l *loose) settle(now time.Time, within time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.conns) == 0 || now.Sub(l.settled) < within {
		return false
	}
	l.settled = now
	before, kept := len(l.conns), l.conns[:0]
	for _, c := range l.conns {
		if conn := c.conn.Value(); conn != nil && open(conn) {
			kept = append(kept, c)
		} else {
			c.lease.dropped.Stop()
			c.lease.end(true) // who closed first cannot be known any more
			c.lease.to.wake(c.lease.pair)
		}
	}
	clear(l.conns[len(kept):])
	l.conns = kept
	return len(kept) < before
}

// open says that a connection was not closed here.
func open(conn *net.TCPConn) bool {
	raw, err := conn.SyscallConn()
	return err == nil && raw.Control(func(uintptr) {}) == nil
}
