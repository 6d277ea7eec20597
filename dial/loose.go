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
	settleEvery = time.Second // a look costs some 100 ns for each connection
	// cheapLook is what a look may cost each dial that finds no port: less than connect() takes
	// to find none. Longer ones have pauses of settlePause times their length between them.
	cheapLook   = 500 * time.Microsecond
	settlePause = 4
)

// loose are the connections of a destination that no Conn reports.
type loose struct {
	mu      sync.Mutex
	conns   []looseConn
	settled time.Time     // when the last look began
	took    time.Duration // how long it lasted
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
	return now.Sub(l.settled) >= within && l.look(now)
}

// settleShort is settle for a dial that finds no port, and would fail because of a connection that
// was closed a moment ago.
func (l *loose) settleShort(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	pause := time.Duration(0)
	if l.took > cheapLook {
		pause = settlePause * l.took
	}
	return now.Sub(l.settled) >= pause && l.look(now)
}

// look is settle without a pause. mu is held.
func (l *loose) look(now time.Time) bool {
	if len(l.conns) == 0 {
		return false
	}
	l.settled = now
	begun := time.Now()
	defer func() { l.took = time.Since(begun) }()
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
