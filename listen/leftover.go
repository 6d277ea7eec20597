package listen

import (
	"net"
	"sync"
	"time"
)

// leftovers are connections that were queued when Close was called.
type leftovers struct {
	mu    sync.Mutex
	conns []leftover
	timer *time.Timer
	over  bool // what comes now is reset
}

type leftover struct {
	conn net.Conn
	from *shard
}

// keep puts a connection aside for Accept to return.
func (l *Listener) keep(s *shard, c net.Conn) {
	q := &l.queued
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.over || l.cfg.DrainTimeout < 0 {
		s.atClose.Add(1)
		reset(unwrap(c))
		c.Close()
		return
	}
	q.conns = append(q.conns, leftover{c, s})
	if q.timer == nil {
		q.timer = time.AfterFunc(l.cfg.DrainTimeout, l.expire)
	}
}

// expire resets what nobody asked for.
func (l *Listener) expire() {
	q := &l.queued
	q.mu.Lock()
	defer q.mu.Unlock()
	q.over = true
	for _, c := range q.conns {
		c.from.atClose.Add(1)
		reset(unwrap(c.conn))
		c.conn.Close()
	}
	q.conns = nil
}

// leftover is Accept after Close.
func (l *Listener) leftover() (net.Conn, error) {
	<-l.drained
	for {
		c, ok := l.queued.take()
		if !ok {
			return nil, l.fail("accept", net.ErrClosed)
		}
		if conn := l.admitLate(c); conn != nil {
			return conn, nil
		}
	}
}

func (q *leftovers) take() (leftover, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.conns) == 0 {
		return leftover{}, false
	}
	c := q.conns[0]
	q.conns = q.conns[1:]
	if len(q.conns) == 0 {
		q.conns = nil
	}
	return c, true
}

// admitLate is admit after Close, for a connection that may have its place already. It
// waits for none.
func (l *Listener) admitLate(c leftover) net.Conn {
	if l.places == nil || unwrap(c.conn) != c.conn {
		return c.conn
	}
	if l.cfg.AtLimit != Wait {
		return l.admit(c.from, c.conn)
	}
	select {
	case l.places <- struct{}{}:
		return l.placed(c.conn)
	default:
		c.from.atClose.Add(1)
		reset(c.conn)
		return nil
	}
}

// unwrap gives what is inside of a wrapper that placed made.
func unwrap(c net.Conn) net.Conn {
	if w, ok := c.(wrapper); ok {
		return w.inside()
	}
	return c
}
