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
