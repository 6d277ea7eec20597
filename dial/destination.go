package dial

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"
)

// restTime is how long a pair that the kernel said is out of ports is left alone.
const restTime = 100 * time.Millisecond

// windowTries is how many windows in a row may be found full before the kernel is asked to
// search the whole range: many short searches would cost more than the long one.
const windowTries = 4

// destination is what is known of one address and port that is dialled.
type destination struct {
	addr  netip.AddrPort
	gate  *gate
	line  *line
	loose loose
	users int // dials and open connections; under core.mu

	mu             sync.Mutex
	pairs          map[*source]*pair
	opened, closed *ring  // connections made; ports given back at once
	exhausted      uint64 // dials that failed for want of a port
}

// pair is a source address and a destination: what a source port belongs to.
type pair struct {
	source *source
	open   int                 // connections and dials
	held   [windowCount]uint16 // of them, by window of their port
	lately *ring               // ports that went into TIME_WAIT
	rest   time.Time           // full until then, or until the settings change
	full   *settings           // that it was full of
	// the window that is being filled; ExplicitPort: the port tried last
	cursor int
	tries  int      // windows to try before the whole range
	taken  *portSet // ExplicitPort: ports that this dialer holds
}

func newDestination(addr netip.AddrPort, d *Dialer) *destination {
	return &destination{
		addr: addr, gate: newGate(d.MaxOpen, d.MaxPerSecond), line: newLine(),
		pairs: map[*source]*pair{}, opened: newRing(growthSeconds + 2),
		closed: newRing(growthSeconds + 2),
	}
}

// pair gives the pair of a source, made on first use.
func (t *destination) pair(s *source, set *settings) *pair {
	p := t.pairs[s]
	if p == nil {
		p = &pair{source: s, tries: windowTries}
		if n := set.ports.size(); n > 0 {
			// RFC 6056: not where everybody begins
			p.cursor = windowOf(int(set.ports.Low) + rand.IntN(n))
		}
		t.pairs[s] = p
	}
	return p
}

// choose takes the source with most ports left, one of them at random, and counts a dial on
// it. It gives nil when all are full, resting or gone.
func (t *destination) choose(sources []*source, set *settings, now time.Time) *pair {
	t.mu.Lock()
	defer t.mu.Unlock()
	var best *source
	var most, equals int
	for _, s := range sources {
		left, ok := t.left(s, set, now)
		switch {
		case !ok || best != nil && left < most:
			continue
		case best == nil || left > most:
			best, most, equals = s, left, 1
		default:
			if equals++; rand.IntN(equals) == 0 {
				best = s
			}
		}
	}
	if best == nil {
		return nil
	}
	p := t.pair(best, set)
	p.open++
	return p
}

// left estimates the free ports of a source. It is false when there can be none: the kernel
// said so, or as many connections as ports are open. TIME_WAIT is only a guess, so it
// cannot rule a source out.
func (t *destination) left(s *source, set *settings, now time.Time) (int, bool) {
	if s.gone(now) || !s.serves(t.addr.Addr()) {
		return 0, false
	}
	p := t.pairs[s]
	if p == nil {
		return max(0, set.capacity), set.capacity != 0
	}
	if p.resting(set, now) {
		return 0, false
	}
	if set.capacity < 0 {
		return -p.open, true
	}
	return set.capacity - p.open - p.blocked(set, t.addr.Addr(), now), p.open < set.capacity
}

// exhaust lets a pair rest; cause to do so is an error of the kernel, or that every port is
// held here.
func (t *destination) exhaust(p *pair, set *settings, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.open--
	p.rest, p.full, p.tries = now.Add(restTime), set, 0
}

// resting: the kernel had no port a moment ago, and nothing has changed since.
func (p *pair) resting(set *settings, now time.Time) bool {
	return p.full == set && now.Before(p.rest)
}

// forget drops the pairs of sources that are not to be kept, and notes which of those are
// still in use.
func (t *destination) forget(keep, used map[*source]bool, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, p := range t.pairs {
		switch {
		case keep[s]:
		case p.open > 0 || p.lingering(now) > 0:
			used[s] = true
		default:
			delete(t.pairs, s)
		}
	}
}

// drop uncounts a dial that came to nothing.
func (t *destination) drop(p *pair) {
	t.mu.Lock()
	p.open--
	t.mu.Unlock()
	t.line.tell()
}

// keep counts a connection on its port.
func (t *destination) keep(p *pair, port int, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.held[windowOf(port)]++
	p.source.lostAt.Store(0)
	t.opened.add(now.Unix())
}

// release gives a port back, at once or after TIME_WAIT.
func (t *destination) release(p *pair, port int, lingers bool, now time.Time) {
	t.mu.Lock()
	p.open--
	p.held[windowOf(port)]--
	if p.taken != nil {
		p.taken.remove(port)
	}
	if lingers {
		if p.lately == nil {
			p.lately = newRing(timeWaitSeconds + growthSeconds + 2)
		}
		p.lately.add(now.Unix())
	} else {
		p.rest = time.Time{}
		t.closed.add(now.Unix())
	}
	t.mu.Unlock()
	t.line.tell()
}

// wake has a pair tried again at once: it may have a port.
func (t *destination) wake(p *pair) {
	t.mu.Lock()
	p.rest = time.Time{}
	t.mu.Unlock()
}

// window gives the window to take a port from; whole is true when the whole range is to be
// searched. It is not ok when this dialer's own connections hold every port.
func (t *destination) window(p *pair, set *settings) (w int, whole, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first, last := windowOf(int(set.ports.Low)), windowOf(int(set.ports.High))
	for range last - first + 1 {
		if p.cursor < first || p.cursor > last || p.held[p.cursor] >= set.sizes[p.cursor] {
			p.cursor = set.next(p.cursor)
			continue
		}
		return p.cursor, p.tries <= 0, true
	}
	return 0, false, false
}

// windowFull moves on from a window in which the kernel found no port.
func (t *destination) windowFull(p *pair, w int, set *settings) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.cursor == w {
		p.cursor = set.next(w)
	}
}

// found says that the search of the whole range ended at a port: windows may be worth a try again.
func (t *destination) found(p *pair, port int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.cursor, p.tries = windowOf(port), min(p.tries+1, windowTries)
}

// port gives the next port for ExplicitPort, and holds it until unport or release.
func (t *destination) port(p *pair, set *settings) (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	low, n := int(set.ports.Low), set.ports.size()
	if p.taken == nil {
		p.taken, p.cursor = &portSet{}, low+rand.IntN(n)
	}
	for range n {
		p.cursor = low + max(0, p.cursor-low+1)%n
		if !p.taken.has(p.cursor) && !set.reserved.has(p.cursor) {
			p.taken.add(p.cursor)
			return p.cursor, true
		}
	}
	return 0, false
}

// unport gives back a port that could not be had.
func (t *destination) unport(p *pair, port int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.taken.remove(port)
}
