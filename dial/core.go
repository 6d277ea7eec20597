package dial

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// core is what a Dialer keeps.
type core struct {
	dialer *Dialer
	has    features
	count  counters
	pool   atomic.Pointer[pool]
	set    atomic.Pointer[settings]

	mu           sync.Mutex
	sources      map[netip.Addr]*source // all that there ever were
	destinations map[netip.AddrPort]*destination
	sweepAt      int       // how many destinations make a sweep worth while
	read         time.Time // when the settings were
}

// counters count dials since the first.
type counters struct {
	dials, waited, rotated, exhausted atomic.Uint64
}

func newCore(d *Dialer) *core {
	c := &core{
		dialer: d, has: probe(), sweepAt: 64,
		sources: map[netip.Addr]*source{}, destinations: map[netip.AddrPort]*destination{},
	}
	c.pool.Store(&pool{})
	c.reload(time.Now())
	if err := c.refresh(); err != nil {
		c.pool.Store(&pool{err: err})
	}
	return c
}

func (c *core) refresh() error {
	c.reload(time.Now())
	addrs, err := c.dialer.addresses()
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &pool{bound: len(addrs) > 0}
	if len(addrs) == 0 {
		any := c.source(netip.Addr{})
		p.v4, p.v6 = []*source{any}, []*source{any}
	}
	for _, a := range addrs {
		if a.Is4() {
			p.v4 = append(p.v4, c.source(a))
		} else {
			p.v6 = append(p.v6, c.source(a))
		}
	}
	c.pool.Store(p)
	return nil
}

// source gives the source of an address, present again.
func (c *core) source(a netip.Addr) *source {
	if c.sources[a] == nil {
		c.sources[a] = &source{id: len(c.sources), addr: a}
	}
	c.sources[a].gone.Store(false)
	return c.sources[a]
}

// reload reads the kernel's settings.
func (c *core) reload(now time.Time) {
	c.mu.Lock()
	c.read = now
	c.mu.Unlock()
	ports, reserved, reuse := readSettings()
	explicit := c.dialer.Choice == ExplicitPort
	if want := c.dialer.Ports; want.set() && (explicit || !ports.set()) {
		ports = want
	} else if want.set() {
		ports = want.within(ports) // an end outside of the kernel's range is ignored in silence (inet_sk_get_local_port_range)
	}
	c.set.Store(newSettings(ports, reserved, reuse))
}

// stale reloads settings that are older than a second, before anybody is told that ports are
// exhausted: somebody may have widened the range.
func (c *core) stale(now time.Time) {
	c.mu.Lock()
	old := now.Sub(c.read) > time.Second
	c.mu.Unlock()
	if old {
		c.reload(now)
	}
}

func (c *core) choice() Choice {
	return c.dialer.Choice.settle(c.has, c.pool.Load().bound, c.set.Load().capacity > 0)
}

// enter finds what is known of a destination and counts a user of it.
func (c *core) enter(to netip.AddrPort) *destination {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.destinations[to]
	if t == nil {
		c.sweep(time.Now())
		t = newDestination(to, c.dialer)
		c.destinations[to] = t
	}
	t.users++
	return t
}

// leave is for a dial that failed or a connection that was closed.
func (c *core) leave(t *destination) {
	if t.gate.limits() {
		t.gate.leave()
	}
	c.exit(t)
}

// exit is for a dial that never had its turn.
func (c *core) exit(t *destination) {
	c.mu.Lock()
	t.users--
	c.mu.Unlock()
}

// sweep forgets destinations of which nothing is left to know. Each sweep is paid for by as many new destinations as it
// looks at.
func (c *core) sweep(now time.Time) {
	if len(c.destinations) < c.sweepAt {
		return
	}
	for addr, t := range c.destinations {
		if t.users == 0 && t.forgotten(now) {
			delete(c.destinations, addr)
		}
	}
	c.sweepAt = 64 + 2*len(c.destinations)
}

func (t *destination) forgotten(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.pairs {
		if p != nil && p.lingering(now) > 0 {
			return false
		}
	}
	return t.gate.idle(now)
}
