package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// for all queues; a connection takes some ten microseconds
	drainTime = time.Second
	// for one accept that another holder of the socket was faster at
	stealTime = 50 * time.Millisecond
)

// Close stops listening. It unblocks every Accept, takes out of the queues what is there for later
// calls of Accept and for Serve (see the package comment), and closes the sockets. It waits for no
// connection, and takes Config.HandshakeGrace and then a second at most. Connections that were
// accepted stay open. Further calls return the same error.
func (l *Listener) Close() error {
	l.closer.Do(func() { l.closeErr = l.close() })
	return l.closeErr
}

func (l *Listener) close() error {
	l.turnAway(context.Background())
	l.resizing.Lock()
	l.closing.Store(true)
	close(l.closed)
	l.resizing.Unlock()
	if l.cfg.DrainTimeout > 0 {
		l.drain()
	}
	var errs []error
	for _, s := range l.shards {
		if s.wakeAt(time.Unix(1, 0)) != nil { // then only this wakes those who are blocked
			errs = append(errs, s.close())
		}
	}
	l.pumps.Wait()
	for _, s := range l.shards {
		errs = append(errs, s.close())
	}
	close(l.drained)
	l.reserve.close()
	l.parting.end()
	return oneLine(errs)
}

// oneLine joins errors without the line breaks of errors.Join.
func oneLine(errs []error) (all error) {
	for _, err := range errs {
		switch {
		case all == nil:
			all = err
		case err != nil:
			all = fmt.Errorf("%w; %w", all, err)
		}
	}
	return all
}

// close closes the socket, once.
func (s *shard) close() error {
	if s.last.Load() != nil {
		return nil
	}
	last := readQueue(s.raw)
	s.last.Store(&last)
	if !s.l.shared.Load() {
		s.atClose.Add(uint64(max(last.queued, 0))) // closing resets them
	}
	s.bell.close()
	return s.inner.Close()
}

// turnAway has the kernel take no further clients, and waits for those whose handshake has
// begun. All shards do so before one closes, which would hand its share of clients to the
// others. Without it a client whose handshake ends while a group of shards closes can be
// left without an answer or a reset (Linux 6.18: 2 of 49,726).
func (l *Listener) turnAway(ctx context.Context) {
	l.resizing.Lock()
	l.leaving = true
	l.resizing.Unlock()
	l.turning.Do(func() {
		l.ignoring = make([]bool, len(l.shards))
		if l.shared.Load() {
			return
		}
		l.filtered.Store(true) // before there is one
		any := false
		for i, s := range l.shards {
			l.ignoring[i] = ignoreHandshakes(s.raw) == nil
			any = any || l.ignoring[i]
		}
		if !any || l.cfg.HandshakeGrace <= 0 {
			return
		}
		grace := time.NewTimer(l.cfg.HandshakeGrace)
		defer grace.Stop()
		select {
		case <-grace.C:
		case <-ctx.Done():
		}
	})
}

// drain empties all queues.
func (l *Listener) drain() {
	end := time.Now().Add(drainTime)
	for _, s := range l.shards {
		s.wakeAt(time.Unix(1, 0))
	}
	for i, s := range l.shards {
		s.drain(end, l.ignoring[i])
	}
}

// drain takes what is queued and may be served. A socket that still takes clients, others
// hold it too, is not followed further than it was filled at the start.
func (s *shard) drain(end time.Time, ignoring bool) {
	most := s.queued()
	for n := 0; (ignoring || n < most) && ready(s.raw) && time.Now().Before(end); n++ {
		if s.inner.SetDeadline(time.Now().Add(stealTime)) != nil || !s.reserve() {
			return
		}
		c, err := s.inner.Accept()
		if err == nil {
			s.took(c)
			s.l.keep(s, s.reserved(c))
			continue
		}
		s.unreserve()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
		case transient(err):
			s.aborted.Add(1)
		default:
			return // no descriptors: closing resets the rest
		}
	}
}

// queued is how many are in the accept queue, or how many can be.
func (s *shard) queued() int {
	if n := readQueue(s.raw).queued; n != Unknown {
		return n
	}
	return int(s.limit.Load()) + 1
}

// reserve takes a place for somebody who would else wait for one. Who gets none stays in
// the queue: places may come back only after Close has returned (http.Server.Shutdown
// closes idle connections then), and a client in the queue may have another server to go
// to.
func (s *shard) reserve() bool {
	if !s.l.waits() {
		return true
	}
	select {
	case s.l.places <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s *shard) unreserve() {
	if s.l.waits() {
		<-s.l.places
	}
}

func (s *shard) reserved(c net.Conn) net.Conn {
	if s.l.waits() {
		return s.l.placed(c)
	}
	return c
}

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
