package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

// At the limit, a client that waits stays in the kernel's queue: there a successor that
// holds the same sockets finds it, or one of its SO_REUSEPORT group (tcp_migrate_req), and
// nobody has to be reset whom this program has accepted and cannot serve. So the order is:
// a client is there, a place is had for it, it is accepted. One caller at a time does this
// for a shard.

// bell is a second descriptor of a listening socket, to wait until a client is there. Package
// net's own cannot: its RawConn does not read (net/rawconn.go rawListener).
type bell struct {
	file *os.File
	raw  syscall.RawConn
}

func newBell(inner socket, raw syscall.RawConn) (*bell, error) {
	if !onLinux {
		return nil, nil // there, one client is accepted and waits for its place
	}
	f, err := duplicate(inner, raw)
	if err != nil {
		return nil, err
	}
	rc, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &bell{f, rc}, nil
}

// close is for a nil bell too.
func (b *bell) close() {
	if b != nil {
		b.file.Close()
	}
}

// wait returns when a client is there, or at the deadline.
func (b *bell) wait() error {
	return b.raw.Read(func(fd uintptr) bool { return readyFd(int(fd)) })
}

// takeInTurn waits for a client and a place, and then accepts.
func (s *shard) takeInTurn() (net.Conn, error) {
	passed := s.l.until.wait()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-s.l.closed:
		return nil, errClosing
	case <-passed:
		return nil, s.l.fail("accept", os.ErrDeadlineExceeded)
	}
	var wait backoff
	for !s.l.closing.Load() {
		c, err := s.takeOne(&wait)
		if c != nil || err != nil {
			return c, err
		}
	}
	return nil, errClosing
}

func (s *shard) takeOne(wait *backoff) (net.Conn, error) {
	if err := s.bell.wait(); s.l.closing.Load() {
		return nil, errClosing
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, s.late()
	} else if err != nil {
		return nil, s.l.fail("accept", err)
	}
	if err := s.place(); err != nil {
		return nil, err
	}
	// another holder of the socket may be faster, and then nobody is there
	if s.l.shared.Load() {
		s.acceptUntil(time.Now().Add(stealTime))
		defer func() { s.acceptUntil(s.l.until.time()) }()
	}
	c, err := s.attempt(wait)
	if c == nil {
		<-s.l.places
		return nil, err
	}
	return s.l.placed(c), nil
}

// acceptUntil bounds an Accept, but for one that Close has bounded.
func (s *shard) acceptUntil(t time.Time) {
	s.l.resizing.Lock()
	defer s.l.resizing.Unlock()
	if !s.l.closing.Load() {
		s.inner.SetDeadline(t)
	}
}

// wakeAt ends at t what waits for a client.
func (s *shard) wakeAt(t time.Time) error {
	if s.bell != nil {
		s.bell.file.SetReadDeadline(t)
	}
	return s.inner.SetDeadline(t)
}

// place waits for a place.
func (s *shard) place() error {
	l := s.l
	select {
	case l.places <- struct{}{}:
		return nil
	default:
	}
	l.warn(fmt.Errorf("%w: %d are open, policy %v", ErrLimit, l.cfg.MaxConnections,
		l.cfg.AtLimit))
	select {
	case l.places <- struct{}{}:
		return nil
	case <-l.closed:
		return errClosing
	case <-l.until.wait():
		return l.fail("accept", os.ErrDeadlineExceeded)
	}
}
