package dial

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Stats is what a Dialer has done and what it has left: plain numbers for JSON, expvar or a metrics
// library. Counters count from the first dial.
type Stats struct {
	// in use: "window", "kernel" or "explicit"
	Choice string     `json:"choice"`
	Ports  *PortRange `json:"ports"` // nil: unknown on this system
	// attempts to connect to an address, those under way included
	Dials  uint64 `json:"dials"`
	Waited uint64 `json:"waited"` // dials that waited for a port
	// times that a source could not be used and the next one was tried
	Rotated uint64 `json:"rotated"`
	// dials that ended with ErrPortsExhausted
	Exhausted    uint64             `json:"exhausted"`
	Sources      []SourceStats      `json:"sources"` // empty when the kernel chooses
	Destinations []DestinationStats `json:"destinations"`
}

// SourceStats is about one source address.
type SourceStats struct {
	Addr  netip.Addr `json:"addr"`
	Open  int        `json:"open"`   // connections and dials, to all destinations
	Gone  bool       `json:"gone"`   // the host did not have it when it was last tried
	InUse uint64     `json:"in_use"` // EADDRINUSE at bind: other programs bind its ports
}

// DestinationStats is about one destination. It is forgotten some time after its last
// connection has left TIME_WAIT.
type DestinationStats struct {
	Addr netip.AddrPort `json:"addr"`
	Open int            `json:"open"` // connections and dials
	// dials that wait for a port or for their turn
	Waiting   int    `json:"waiting"`
	Exhausted uint64 `json:"exhausted"` // dials that ended with ErrPortsExhausted
	// estimate: ports of connections that this Dialer closed first in the last 60 s
	TimeWait int `json:"time_wait"`
	// estimate of the ports left, of all sources; nil: unknown
	Free *int `json:"free,omitempty"`
	// Growth is by how many ports a second the use has grown over the last ten seconds;
	// below zero when it shrank.
	Growth float64 `json:"growth"`
	// SecondsLeft is Free divided by Growth: when ports will be exhausted. It is nil
	// while use does not grow.
	SecondsLeft *float64    `json:"seconds_left,omitempty"`
	Pairs       []PairStats `json:"pairs"`
}

// PairStats is about one source address and one destination: what a source port belongs to.
type PairStats struct {
	Source   netip.Addr `json:"source"` // the zero Addr: the kernel chooses
	Open     int        `json:"open"`
	TimeWait int        `json:"time_wait"` // estimate
	Capacity int        `json:"capacity"`  // ports that may be chosen; -1: unknown
	Full     bool       `json:"full"`      // the kernel had no port less than 100 ms ago
}

// Stats takes a snapshot. Its cost grows with sources times destinations.
func (d *Dialer) Stats() Stats {
	c, err := d.start()
	if err != nil {
		return Stats{Choice: d.Choice.String()} // nothing was dialled
	}
	now := time.Now()
	set, pool := c.set.Load(), c.pool.Load()
	s := Stats{
		Choice: c.choice(set).String(), Dials: c.count.dials.Load(),
		Waited:  c.count.waited.Load(),
		Rotated: c.count.rotated.Load(), Exhausted: c.count.exhausted.Load(),
	}
	if set.ports.set() {
		s.Ports = &PortRange{set.ports.Low, set.ports.High}
	}
	open := map[netip.Addr]int{}
	for _, t := range c.all() {
		t.loose.settle(now, 0)
		one := t.stats(pool.of(t.addr.Addr()), set, now)
		for _, p := range one.Pairs {
			open[p.Source] += p.Open
		}
		s.Destinations = append(s.Destinations, one)
	}
	for _, from := range slices.Concat(pool.v4, pool.v6) {
		if from.addr.IsValid() {
			s.Sources = append(s.Sources,
				SourceStats{from.addr, open[from.addr], from.lostAt.Load() != 0,
					from.inUse.Load()})
		}
	}
	return s
}

// all lists the destinations in the order of their addresses.
func (c *core) all() []*destination {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*destination
	for _, t := range c.destinations {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b *destination) int {
		return cmp.Or(a.addr.Addr().Compare(b.addr.Addr()),
			cmp.Compare(a.addr.Port(), b.addr.Port()))
	})
	return list
}

func (t *destination) stats(sources []*source, set *settings, now time.Time) DestinationStats {
	waiting := t.line.len() + t.gate.queue()
	t.mu.Lock()
	defer t.mu.Unlock()
	s := DestinationStats{
		Addr:      t.addr,
		Waiting:   waiting,
		Exhausted: t.exhausted,
		Pairs:     t.pairStats(sources, set, now),
	}
	for _, p := range s.Pairs {
		s.Open += p.Open
		s.TimeWait += p.TimeWait
	}
	s.Growth = t.growth(set, now)
	if set.capacity >= 0 {
		free := t.free(sources, set, now)
		s.Free = &free
		if s.Growth > 0 {
			left := float64(free) / s.Growth
			s.SecondsLeft = &left
		}
	}
	return s
}

// pairStats are those of the pool and those of former sources that still have connections.
func (t *destination) pairStats(sources []*source, set *settings, now time.Time) []PairStats {
	var all []PairStats
	for _, s := range sources {
		if s.serves(t.addr.Addr()) && t.pairs[s] == nil {
			all = append(all, PairStats{Source: s.addr, Capacity: set.capacity})
		}
	}
	for _, p := range t.pairs {
		if p.open > 0 || slices.Contains(sources, p.source) {
			all = append(all, PairStats{p.source.addr, p.open, p.lingering(now),
				set.capacity, p.resting(set, now)})
		}
	}
	slices.SortFunc(all, func(a, b PairStats) int { return a.Source.Compare(b.Source) })
	return all
}

// free estimates the ports left.
func (t *destination) free(sources []*source, set *settings, now time.Time) (n int) {
	for _, s := range sources {
		p := t.pairs[s]
		switch {
		case s.gone(now) || !s.serves(t.addr.Addr()):
		case p == nil:
			n += set.capacity
		default:
			n += max(0, set.capacity-p.open-p.blocked(set, t.addr.Addr(), now))
		}
	}
	return n
}

// growth is connections made, less ports given back: by connections closed, and at the end
// of their TIME_WAIT.
func (t *destination) growth(set *settings, now time.Time) float64 {
	end := now.Unix()
	n := t.opened.sum(end-growthSeconds+1, end) - t.closed.sum(end-growthSeconds+1, end)
	for _, p := range t.pairs {
		n -= p.thawed(set, t.addr.Addr(), now)
	}
	return float64(n) / growthSeconds
}
