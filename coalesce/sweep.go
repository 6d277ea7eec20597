package coalesce

import (
	"sync"
	"time"
)

// sweeper sends what the owners of ReadDriven connections left behind: bytes older than a tick.
// There is one for the process, and its goroutine runs while such connections are in use, because
// a timer for each connection cost more than a quarter of the replies of a busy one. So did a
// tick each millisecond (each wakes a thread, which then looks for work): while owners send by
// themselves the ticks become rarer.
type sweeper struct {
	mu      sync.Mutex
	entries []sweepEntry
	running bool
}

type sweepEntry struct {
	conn *Conn
	idle int // ticks without anything pending
}

var sweeping sweeper

const (
	tick    = time.Millisecond
	maxTick = 16 * time.Millisecond
	// idleTicks is after how many of them a connection is forgotten; it comes
	// back with its next deferred write.
	idleTicks = 16
)

func (s *sweeper) add(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, sweepEntry{conn: c})
	if !s.running {
		s.running = true
		go s.run()
	}
}

func (s *sweeper) run() {
	every := tick
	t := time.NewTimer(every)
	defer t.Stop()
	for range t.C {
		late, goOn := s.round()
		if !goOn {
			return
		}
		every = min(2*every, maxTick)
		if late {
			every = tick
		}
		t.Reset(every)
	}
}

// round looks at each connection, and reports whether one was late and whether
// any is left.
func (s *sweeper) round() (late, goOn bool) {
	s.mu.Lock()
	list := s.entries
	s.entries = nil
	s.mu.Unlock()
	kept, now := list[:0], clock()
	for _, e := range list {
		l, keep := e.conn.sweep(&e, now)
		late = late || l
		if keep {
			kept = append(kept, e)
		}
	}
	clear(list[len(kept):])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(kept, s.entries...)
	s.running = len(s.entries) > 0
	if !s.running {
		s.entries = nil
	}
	return late, s.running
}

// leaveToSweeper makes sure that the sweeper knows of bytes left behind. mu is
// held.
func (c *Conn) leaveToSweeper() {
	if c.flag&swept == 0 {
		c.flag |= swept
		sweeping.add(c)
	}
}

// sweep sends bytes older than a tick, and reports whether there were any and
// whether the connection should be looked at again.
func (c *Conn) sweep(e *sweepEntry, now int64) (late, keep bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.work == nil || c.work.head == nil || c.held > 0 {
		if e.idle++; e.idle > idleTicks || c.gate&(gateClosed|gateFailed) != 0 {
			c.flag &^= swept
			return false, false
		}
		return false, true
	}
	e.idle = 0
	if now-c.work.head.born < int64(tick) {
		return false, true
	}
	c.flag |= urgent
	c.dispatch()
	return true, true
}

// backToBack is the time in nanoseconds after an inline write within which another one shows that
// the writer does not wait for replies. With 5 us a ping-pong over loopback was
// mistaken for that, with 1 us it was not.
const backToBack = 1000

// mayInline says whether the caller may write by itself: nothing is pending
// and nobody writes. Otherwise, and when messages follow each other closely, the connection
// goes back to collecting. mu is held.
func (c *Conn) mayInline(policy Overflow) bool {
	// Requests that come one by one leave nothing to collect.
	lazy := c.gate == gateLazy && c.set.ReadDriven && c.held == 0
	if c.gate != 0 && !lazy || c.raw == nil && (policy != Block || c.callerClock() != 0) {
		return false
	}
	if c.unused() && clock()-c.lastInline >= backToBack {
		return true
	}
	c.collect()
	return false
}

// unused says whether nothing is pending and nobody writes or waits. A flusher
// that has yet to find that out does not count. mu is held.
func (c *Conn) unused() bool {
	w := c.work
	return w == nil || w.head == nil && c.flag&writing == 0 &&
		w.queue.head == nil && w.flushes.head == nil
}

// collect ends inline writing. mu is held.
func (c *Conn) collect() {
	c.flag &^= inline
	c.singles = 0
}

// writeInline writes p in the caller's goroutine. What the socket does not take at once is kept,
// ahead of all that comes meanwhile; the room for it, of the given size, has been taken from the
// Budget. mu is held, and released.
func (c *Conn) writeInline(p []byte, size int) (int, error) {
	w := c.attach()
	c.messages++
	w.seen = c.messages
	c.accepted += int64(len(p))
	c.counts.causes[causeInline]++
	c.flag |= writing
	var n int
	var err error
	if c.raw != nil {
		c.mu.Unlock()
		n, err = w.try.write(c, p)
		c.mu.Lock()
	} else {
		c.beginWait()
		c.mu.Unlock()
		n, err = c.writeInner(p)
		c.mu.Lock()
		err = c.endWait(n, err)
	}
	c.lastInline = clock()
	c.sent += int64(n)
	if c.messages != w.seen {
		c.collect()
	}
	if err == nil && n < len(p) && c.cause == nil {
		b := newBuffer(size)
		b.end = copy(b.data, p[n:])
		c.unpop(b)
		c.flag |= stalled
	} else {
		c.set.Budget.release(size)
	}
	if err != nil || c.cause != nil {
		c.accepted -= int64(len(p) - n)
	}
	c.settle(err)
	defer c.mu.Unlock()
	if c.cause != nil && n < len(p) { // otherwise the failure is of what came later
		return n, c.failure("write")
	}
	return len(p), nil
}

// tailSize is the buffer that holds n bytes.
func (c *Conn) tailSize(n int) int { return max(powerOfTwo(n), c.set.first) }
