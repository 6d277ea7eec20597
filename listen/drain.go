package listen

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

const (
	drainTime = time.Second           // for all queues; a connection takes some ten microseconds
	stealTime = 50 * time.Millisecond // for one accept that another holder of the socket was faster at
)

// Close stops listening. It unblocks every Accept, takes out of the queues what is
// there for later calls of Accept and for Serve (see the package comment), and closes the sockets.
// It waits for no connection, and takes Config.HandshakeGrace and then a second at most. Connections that were accepted stay open.
// Further calls return the same error.
func (l *Listener) Close() error {
	l.closer.Do(func() { l.closeErr = l.close() })
	return l.closeErr
}

func (l *Listener) close() error {
	ignoring := l.turnAway()
	l.resizing.Lock()
	l.closing.Store(true)
	close(l.closed)
	l.resizing.Unlock()
	if l.cfg.DrainTimeout > 0 {
		l.drain(ignoring)
	}
	past := time.Unix(1, 0)
	for _, s := range l.shards {
		s.inner.SetDeadline(past) // wakes those who are blocked
	}
	l.pumps.Wait()
	var errs []error
	for _, s := range l.shards {
		last := readQueue(s.raw)
		s.last.Store(&last)
		if !l.shared.Load() {
			s.atClose.Add(uint64(max(last.queued, 0))) // closing resets them
		}
		errs = append(errs, s.inner.Close())
	}
	close(l.drained)
	l.reserve.close()
	l.parting.end()
	return errors.Join(errs...)
}

// turnAway has the kernel take no further clients, and waits for those whose handshake has begun. All shards do so before
// one closes, which would hand its share of clients to the others. Without it a client whose handshake ends while a group of shards
// closes can be left without an answer or a reset (Linux 6.18: 2 of 49,726). It says for which it worked.
func (l *Listener) turnAway() []bool {
	ignoring, any := make([]bool, len(l.shards)), false
	l.resizing.Lock()
	l.leaving = true
	l.resizing.Unlock()
	if l.shared.Load() {
		return ignoring
	}
	l.filtered.Store(true) // before there is one
	for i, s := range l.shards {
		ignoring[i] = ignoreHandshakes(s.raw) == nil
		any = any || ignoring[i]
	}
	if any && l.cfg.HandshakeGrace > 0 {
		time.Sleep(l.cfg.HandshakeGrace)
	}
	return ignoring
}

// drain empties all queues.
func (l *Listener) drain(ignoring []bool) {
	end := time.Now().Add(drainTime)
	for _, s := range l.shards {
		s.inner.SetDeadline(time.Unix(1, 0))
	}
	for i, s := range l.shards {
		s.drain(end, ignoring[i])
	}
}

// drain takes what is queued. A socket that still takes clients, others hold it too, is not followed further than it was
// filled at the start.
func (s *shard) drain(end time.Time, ignoring bool) {
	q := readQueue(s.raw)
	most := q.queued
	if most == Unknown {
		most = int(s.limit.Load()) + 1
	}
	for n := 0; (ignoring || n < most) && ready(s.raw) && time.Now().Before(end); n++ {
		s.inner.SetDeadline(time.Now().Add(stealTime))
		c, err := s.inner.Accept()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			}
			if transient(err) {
				s.aborted.Add(1)
				continue
			}
			return // no descriptors: closing resets the rest
		}
		s.took(c)
		s.l.keep(s, c)
	}
}

// leftovers are connections that were queued when Close was called.
type leftovers struct {
	mu      sync.Mutex
	conns   []leftover
	timer   *time.Timer
	over    bool
	expired chan struct{} // closed when over is set
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
	close(q.expired)
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

// admitLate is admit after Close: who waits for a place does so until the leftovers expire.
func (l *Listener) admitLate(c leftover) net.Conn {
	if _, has := c.conn.(interface{ NetConn() net.Conn }); has || l.places == nil {
		return c.conn // has its place already
	}
	if l.cfg.AtLimit != Wait {
		return l.admit(c.from, c.conn)
	}
	select {
	case l.places <- struct{}{}:
		return l.placed(c.conn)
	case <-l.queued.expired:
		c.from.atClose.Add(1)
		reset(c.conn)
		return nil
	}
}

// unwrap gives the connection of package net.
func unwrap(c net.Conn) net.Conn {
	if w, ok := c.(interface{ NetConn() net.Conn }); ok {
		return w.NetConn()
	}
	return c
}
