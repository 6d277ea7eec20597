package coalesce

import (
	"sync"
	"time"
)

// sweeper sends what the owners of ReadDriven connections left behind: bytes
// that were pending at two ticks in a row. There is one for the process, and its goroutine
// runs while such connections are in use, because a timer for each connection cost
// more than a quarter of the replies of a busy one.
type sweeper struct {
	mu      sync.Mutex
	entries []sweepEntry
	running bool
}

type sweepEntry struct {
	conn *Conn
	mark int64 // when the oldest pending byte of the last tick was born
	idle int   // ticks without anything pending
}

var sweeping sweeper

const (
	tick = time.Millisecond
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
	t := time.NewTicker(tick)
	defer t.Stop()
	for range t.C {
		if !s.round() {
			return
		}
	}
}

// round looks at each connection, and reports whether any is left.
func (s *sweeper) round() bool {
	s.mu.Lock()
	list := s.entries
	s.entries = nil
	s.mu.Unlock()
	kept := list[:0]
	for _, e := range list {
		if e.conn.sweep(&e) {
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
	return s.running
}

// leaveToSweeper makes sure that the sweeper knows of bytes left behind. mu is
// held.
func (c *Conn) leaveToSweeper() {
	if c.flag&swept == 0 {
		c.flag |= swept
		sweeping.add(c)
	}
}

// sweep sends bytes that were pending at the tick before, and reports whether
// the connection should be looked at again.
func (c *Conn) sweep(e *sweepEntry) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.work == nil || c.work.head == nil || c.held > 0 {
		if e.idle++; e.idle > idleTicks || c.gate&(gateClosed|gateFailed) != 0 {
			c.flag &^= swept
			return false
		}
		return true
	}
	e.idle = 0
	if born := c.work.head.born; born != e.mark {
		e.mark = born
		return true
	}
	c.flag |= urgent
	c.dispatch()
	return true
}
