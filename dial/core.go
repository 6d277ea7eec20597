package dial

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
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
	sources      map[netip.Addr]*source // the pool's, and former ones that are still in use
	destinations map[netip.AddrPort]*destination
	sweepAt      int       // how many destinations make a sweep worth while
	read         time.Time // when the settings were
}

// counters count dials since the first.
type counters struct {
	dials, waited, rotated, exhausted atomic.Uint64
}

// newCore fails for lack of descriptors only. What else is wrong is each dial's error.
func newCore(d *Dialer) (*core, error) {
	has, err := probe()
	if err != nil {
		return nil, err
	}
	c := &core{
		dialer: d, has: has, sweepAt: 64,
		sources: map[netip.Addr]*source{}, destinations: map[netip.AddrPort]*destination{},
	}
	c.pool.Store(&pool{})
	if err := c.refresh(); lacking(err) {
		return nil, err
	} else if err != nil {
		c.pool.Store(&pool{err: err})
	}
	return c, nil
}

func lacking(err error) bool {
	return slices.ContainsFunc(lackingErrors, func(e error) bool { return errors.Is(err, e) })
}

func (c *core) refresh() error {
	if err := c.reload(time.Now()); err != nil {
		return err
	}
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
	c.forget(p, time.Now())
	return nil
}

// source gives the source of an address, present again.
func (c *core) source(a netip.Addr) *source {
	if c.sources[a] == nil {
		c.sources[a] = &source{addr: a}
	}
	c.sources[a].lostAt.Store(0)
	return c.sources[a]
}

// forget drops the sources that have left the pool and of which nothing is left: addresses
// that come and go, as those of IPv6 privacy do, must not add up.
func (c *core) forget(p *pool, now time.Time) {
	keep := map[*source]bool{}
	for _, s := range slices.Concat(p.v4, p.v6) {
		keep[s] = true
	}
	used := map[*source]bool{}
	for _, t := range c.destinations {
		t.forget(keep, used, now)
	}
	maps.DeleteFunc(c.sources, func(_ netip.Addr, s *source) bool {
		return !keep[s] && !used[s]
	})
}

// reload reads the kernel's settings. What cannot be read for lack of descriptors stays as it was.
func (c *core) reload(now time.Time) error {
	ports, reserved, reuse, err := readSettings()
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.read = now
	c.mu.Unlock()
	explicit := c.dialer.Choice == ExplicitPort
	if want := c.dialer.Ports; want.set() && (explicit || !ports.set()) {
		ports = want
	} else if want.set() {
		// an end outside of the kernel's range is ignored in silence
		// (inet_sk_get_local_port_range)
		ports = want.within(ports)
	}
	if set := newSettings(ports, reserved, reuse); !set.same(c.set.Load()) {
		c.set.Store(set)
	}
	return nil
}

// stale reloads settings that are older than a second, before anybody is told that ports
// are exhausted, and while somebody waits: the range may have been widened. It says whether
// they changed.
func (c *core) stale(now time.Time) bool {
	c.mu.Lock()
	old := now.Sub(c.read) > time.Second
	c.mu.Unlock()
	if !old {
		return false
	}
	before := c.set.Load()
	return c.reload(now) == nil && c.set.Load() != before
}

func (c *core) choice(set *settings) Choice {
	return c.dialer.Choice.settle(c.has, c.pool.Load().bound, set.capacity > 0,
		c.dialer.Ports.set())
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

// sweep forgets destinations of which nothing is left to know. Each sweep is paid for by as
// many new destinations as it looks at.
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
		if p.lingering(now) > 0 {
			return false
		}
	}
	return t.gate.idle(now)
}
