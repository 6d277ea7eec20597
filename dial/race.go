package dial

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"
	"weak"
)

// fallbackDelay is net.Dialer's: how long one family may take before the other is tried as
// well (RFC 6555).
const fallbackDelay = 300 * time.Millisecond

// leastShare is net's: no address of several gets less time, if there is that much.
const leastShare = 2 * time.Second

type outcome struct {
	conn   *Conn
	err    error
	second bool
}

// race dials the first list and, when that fails or takes long, the second beside it. The
// first connection wins; the other is closed.
func (c *core) race(ctx context.Context, network string, first, second []netip.AddrPort) (*Conn,
	error) {
	if len(second) == 0 {
		return c.serial(ctx, network, first)
	}
	delay := c.dialer.Base.FallbackDelay
	if delay < 0 {
		return c.serial(ctx, network, append(first, second...))
	}
	if delay == 0 {
		delay = fallbackDelay
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// not buffered: who finds nobody listening closes its connection
	results := make(chan outcome)
	over := make(chan struct{}) // not ctx: that may end while the outcome is waited for
	defer close(over)
	start := func(list []netip.AddrPort, is bool) {
		conn, err := c.serial(ctx, network, list)
		select {
		case results <- outcome{conn, err, is}:
		case <-over:
			if conn != nil {
				conn.Close()
			}
		}
	}
	go start(first, false)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	return await(results, timer, func() { go start(second, true) })
}

// await starts the second list when the timer fires or the first list has failed, and takes
// what comes. When both fail the error is the first list's.
func await(results <-chan outcome, timer *time.Timer, start func()) (*Conn, error) {
	var firstErr error
	started, failures := false, 0
	for {
		select {
		case <-timer.C:
		case r := <-results:
			if r.err == nil {
				return r.conn, nil
			}
			if !r.second {
				firstErr = r.err
			}
			if failures++; failures == 2 {
				return nil, firstErr
			}
		}
		if !started {
			started = true
			start()
		}
	}
}

// serial dials one address after the other, each with its share of the time that is left.
// Only for the last it waits for ports.
func (c *core) serial(ctx context.Context, network string, list []netip.AddrPort) (*Conn, error) {
	var firstErr error
	for i, to := range list {
		conn, err := c.share(ctx, network, to, len(list)-i)
		if err == nil {
			return conn, nil
		}
		if firstErr == nil {
			firstErr = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, firstErr
}

// share dials with a share of the time: one of the addresses that are left.
func (c *core) share(ctx context.Context, network string, to netip.AddrPort, left int) (*Conn,
	error) {
	if end, ok := ctx.Deadline(); ok && left > 1 {
		rest := time.Until(end)
		part := max(rest/time.Duration(left), min(rest, leastShare))
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, part)
		defer cancel()
	}
	return c.dialIP(ctx, network, to, left == 1)
}

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
