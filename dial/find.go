package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// verdict is what came of one socket.
type verdict int

const (
	connected verdict = iota
	noPort            // EADDRNOTAVAIL at connect: the pair is out of ports
	inUse             // EADDRINUSE at bind: others bind the ports of this source
	lost              // EADDRNOTAVAIL at bind: the host has the address no more
	taken             // EADDRNOTAVAIL at connect from a port chosen here: another port will do
	failed            // anything else: no other source would help
)

// errNoPort says inside of this package that no source has a port now.
var errNoPort = errors.New("dial: no source has a port now")

// dialIP connects to one address. A dial that is not patient does not wait for a port.
func (c *core) dialIP(ctx context.Context, network string, to netip.AddrPort, patient bool) (*Conn,
	error) {
	c.count.dials.Add(1)
	t := c.enter(to)
	t.loose.settle(time.Now(), settleEvery)
	if t.gate.limits() {
		if limit, ahead, err := t.gate.enter(ctx); err != nil {
			c.exit(t)
			return nil, opError(network, tcpAddr(to),
				c.limitError(to, limit, ahead, err))
		}
	}
	conn, err := c.find(ctx, network, t, patient)
	if err != nil {
		c.leave(t)
		return nil, err
	}
	return conn, nil
}

func (c *core) limitError(to netip.AddrPort, limit string, ahead int, err error) error {
	e := &LimitError{Destination: to, Limit: limit, Value: c.dialer.MaxPerSecond, Ahead: ahead,
		Err: err}
	if limit == "MaxOpen" {
		e.Value = float64(c.dialer.MaxOpen)
	}
	return e
}

// find tries all sources, and then waits for a port.
func (c *core) find(ctx context.Context, network string, t *destination, patient bool) (conn *Conn,
	err error) {
	try := func(got func()) bool {
		conn, err = c.try(ctx, network, t, got)
		return err != errNoPort
	}
	alone := func() {} // nobody is behind
	began := time.Now()
	// look sees what may have given ports back without a word.
	look := func(now time.Time) bool { return t.loose.settleShort(now) || c.stale(now) }
	if t.line.len() == 0 && (try(alone) || look(began) && try(alone)) {
		return conn, err
	}
	wait := c.dialer.maxWait()
	if !patient || wait < 0 {
		return nil, c.exhausted(network, t, 0, nil)
	}
	c.count.waited.Add(1)
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	again := func(got func()) bool { look(time.Now()); return try(got) }
	if t.line.wait(limited, again) == nil {
		return conn, err
	}
	return nil, c.exhausted(network, t, time.Since(began), ctx.Err())
}

func (d *Dialer) maxWait() time.Duration {
	if d.MaxWait == 0 {
		return defaultWait
	}
	return d.MaxWait
}

// try goes from source to source while it is ports that are short. got is called once a
// port was had.
func (c *core) try(ctx context.Context, network string, t *destination, got func()) (*Conn, error) {
	for others := 0; ; {
		set := c.set.Load()
		if err := set.usable(c.dialer.Ports, c.has); err != nil {
			return nil, opError(network, tcpAddr(t.addr), err)
		}
		sources, now := c.pool.Load().of(t.addr.Addr()), time.Now()
		p := t.choose(sources, set, now)
		if p == nil {
			if err := c.without(sources, t.addr.Addr(), now); err != nil {
				return nil, opError(network, tcpAddr(t.addr), err)
			}
			return nil, errNoPort
		}
		conn, v, err := c.connect(ctx, network, t, p, set, got)
		switch v {
		case connected:
			return conn, nil
		case failed:
			t.drop(p)
			return nil, clarify(err, p.source.addr)
		}
		if v == taken {
			// as many as a source has ports: others have them all
			if others++; others >= set.capacity {
				others, v = 0, noPort
			}
		}
		c.turnAway(t, p, set, v)
		if ctx.Err() != nil {
			return nil, opError(network, tcpAddr(t.addr), ctx.Err())
		}
	}
}

// turnAway notes why a source could not be used.
func (c *core) turnAway(t *destination, p *pair, set *settings, v verdict) {
	switch v {
	case lost:
		p.source.lostAt.Store(time.Now().UnixNano())
		t.drop(p)
	case taken:
		t.drop(p)
		return
	case inUse:
		p.source.inUse.Add(1)
		t.exhaust(p, set, time.Now())
	default:
		t.exhaust(p, set, time.Now())
	}
	c.count.rotated.Add(1)
}

// without says when there is no source at all, as opposed to no port.
func (c *core) without(sources []*source, to netip.Addr, now time.Time) error {
	some := false
	for _, s := range sources {
		if s.serves(to) {
			some = true
			if !s.gone(now) {
				return nil
			}
		}
	}
	return &sourceError{what: to.String(), lost: some, err: c.pool.Load().err}
}

// exhausted describes the pairs at the end of a dial.
func (c *core) exhausted(network string, t *destination, waited time.Duration, err error) error {
	c.count.exhausted.Add(1)
	set := c.set.Load()
	e := &PortsExhaustedError{Destination: t.addr, Ports: set.ports, Waited: waited, Err: err}
	t.mu.Lock()
	t.exhausted++
	e.Pairs = t.pairStats(c.pool.Load().of(t.addr.Addr()), set, time.Now())
	t.mu.Unlock()
	return opError(network, tcpAddr(t.addr), e)
}

// keep makes a Conn of a connection and counts it.
func (c *core) keep(t *destination, p *pair, conn *net.TCPConn) *Conn {
	port := 0
	if local, ok := conn.LocalAddr().(*net.TCPAddr); ok {
		port = local.Port
	}
	t.keep(p, port, time.Now())
	return newConn(conn, &lease{core: c, to: t, pair: p, port: port})
}

// clarify names the source address in an error of net, which does not know that the
// socket was bound, and gives the end of a deadline its one form.
func clarify(err error, from netip.Addr) error {
	op, ok := err.(*net.OpError)
	if !ok {
		return err
	}
	if op.Source == nil && from.IsValid() {
		op.Source = tcpAddr(netip.AddrPortFrom(from, 0))
	}
	op.Err = timely(op.Err)
	return err
}

func tcpAddr(a netip.AddrPort) *net.TCPAddr { return net.TCPAddrFromAddrPort(a) }
