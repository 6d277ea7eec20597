package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// shard is one listening socket.
type shard struct {
	l     *Listener
	inner socket
	raw   syscall.RawConn
	limit atomic.Int64 // of the accept queue, as last set; Unknown
	last  atomic.Pointer[queue]

	// holds one element while somebody waits for a client and then for a place
	turn chan struct{}
	// tells of clients, so that a place is taken only for one who is there; or nil
	bell *bell

	accepted atomic.Uint64
	aborted  atomic.Uint64
	pauses   atomic.Uint64
	atLimit  atomic.Uint64 // refused for MaxConnections
	noFiles  atomic.Uint64 // refused for lack of descriptors
	atClose  atomic.Uint64 // refused because nobody took them in time
}

// errClosing ends accept when Close has begun.
var errClosing = errors.New("closing")

func newShard(l *Listener, inner socket) (*shard, error) {
	raw, err := rawOf(inner)
	if err != nil {
		return nil, err
	}
	s := &shard{l: l, inner: inner, raw: raw, turn: make(chan struct{}, 1)}
	if l.places != nil && l.cfg.AtLimit == Wait {
		s.bell, err = newBell(inner, raw)
	}
	return s, err
}

// rawOf looks through a Listener of this package, which has another holder from now on.
func rawOf(inner socket) (syscall.RawConn, error) {
	l, ours := inner.(*Listener)
	if !ours {
		return inner.SyscallConn()
	}
	if _, err := l.SyscallConn(); err != nil {
		return nil, err
	}
	l.shared.Store(true)
	return l.shards[0].raw, nil
}

// take gives the next connection that may be served, with its place.
func (s *shard) take() (net.Conn, error) {
	if s.bell != nil {
		return s.takeInTurn()
	}
	var wait backoff
	for !s.l.closing.Load() {
		c, err := s.attempt(&wait)
		if err != nil {
			return nil, err
		}
		if c != nil {
			c = s.l.admit(s, c)
		}
		if c != nil {
			return c, nil
		}
	}
	return nil, errClosing
}

// attempt accepts once, and answers what comes instead of a connection: then it returns nothing.
func (s *shard) attempt(wait *backoff) (net.Conn, error) {
	c, err := s.inner.Accept()
	switch {
	case err == nil:
		s.took(c)
		return c, nil
	case s.l.closing.Load():
		return nil, errClosing
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, s.late()
	case lacking(err):
		s.overload(err, wait)
	case transient(err):
		s.aborted.Add(1)
		s.l.warn(err)
		wait.hurry(s)
	default:
		return nil, err
	}
	return nil, nil
}

// late says whether it was the caller's deadline that ended an Accept. Others are set here, to
// look at a queue for a moment.
func (s *shard) late() error {
	if at := s.l.until.time(); !at.IsZero() && !time.Now().Before(at) {
		return s.l.fail("accept", os.ErrDeadlineExceeded)
	}
	return nil
}

// took counts a connection, gives it its settings, and frees it of the filter that it
// inherited while the listener was being closed.
func (s *shard) took(c net.Conn) {
	s.accepted.Add(1)
	s.l.lastTaken.Store(time.Now().UnixNano())
	if s.l.alive != nil {
		if t, ok := c.(interface {
			SetKeepAliveConfig(net.KeepAliveConfig) error
		}); ok {
			t.SetKeepAliveConfig(*s.l.alive)
		}
	}
	if s.l.filtered.Load() {
		heedHandshakes(c)
	}
}

// overload answers an accept that failed for lack of something.
func (s *shard) overload(err error, wait *backoff) {
	s.l.warn(err)
	if s.l.cfg.OnOverload == Wait || !noFile(err) {
		wait.longer(s)
		return
	}
	var message []byte
	if s.l.cfg.OnOverload == RefuseMessage {
		message = s.l.cfg.Message
	}
	switch s.l.reserve.refuse(s.raw, message, &s.noFiles) {
	case refusedOne:
		*wait = backoff{}
	case queueEmpty:
		// accept(2) takes a descriptor before it looks at the queue (net/socket.c
		// __sys_accept4_file), so it fails at once and cannot be used to wait.
		s.pause(idlePause)
	case reserveLost:
		wait.longer(s)
	}
}

const (
	idlePause  = 20 * time.Millisecond // while no client is there to be refused
	firstPause = 5 * time.Millisecond
	longPause  = 100 * time.Millisecond // bounds the time to recover
	// errors that cost no pause: each takes one connection off the queue
	inARow = 8
)

// backoff counts what failed in a row.
type backoff struct {
	next  time.Duration
	quick int
}

func (b *backoff) longer(s *shard) {
	b.next = min(max(2*b.next, firstPause), longPause)
	s.pause(b.next)
}

// hurry pauses only when the errors do not end: they may be no connection's, but the socket's.
func (b *backoff) hurry(s *shard) {
	if b.quick++; b.quick > inARow {
		b.longer(s)
	}
}

// pause sleeps, or until Close.
func (s *shard) pause(d time.Duration) {
	s.pauses.Add(1)
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.l.closed:
	}
}

// file duplicates the socket's descriptor.
func (s *shard) file() (*os.File, error) {
	f, err := duplicate(s.inner, s.raw)
	if err == nil {
		s.unlinkOnClose(false)
	}
	return f, err
}

// unlinkOnClose is that of *net.UnixListener.
func (s *shard) unlinkOnClose(unlink bool) {
	if u, ok := s.inner.(interface{ SetUnlinkOnClose(bool) }); ok {
		u.SetUnlinkOnClose(unlink)
	}
}

// warn passes an error on, at most once a second.
func (l *Listener) warn(err error) {
	if l.cfg.Warn == nil {
		return
	}
	now, last := time.Now().UnixNano(), l.warned.Load()
	if now-last >= int64(time.Second) && l.warned.CompareAndSwap(last, now) {
		l.cfg.Warn(err)
	}
}

// Files gives duplicates of the listening sockets, one for each shard, to pass on to a
// successor ([os/exec.Cmd.ExtraFiles], [net.FileListener], [Config.Adopt]). The caller
// closes them. From then on Close leaves the sockets open for other processes that hold
// them, as it does after Adopt, and the file of a Unix socket stays.
//
// On Linux, unlike those of package net's File method, the duplicates do not become
// blocking when their Fd method is called: that would hold for this Listener too, and
// neither Close nor a deadline could end its Accept. Once Close has begun the error is
// net.ErrClosed.
func (l *Listener) Files() ([]*os.File, error) {
	l.resizing.Lock()
	defer l.resizing.Unlock()
	if l.leaving { // a successor would get a socket that takes no clients
		return nil, l.fail("files", net.ErrClosed)
	}
	var files []*os.File
	for _, s := range l.shards {
		f, err := s.file()
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, l.fail("files", err)
		}
		files = append(files, f)
	}
	l.shared.Store(true)
	return files, nil
}

// File gives a duplicate of the listening socket, as Files does, for programs that know that of
// *net.TCPListener. With several shards it fails: one of them would take away its share of clients.
func (l *Listener) File() (*os.File, error) {
	if err := l.alone("file"); err != nil {
		return nil, err
	}
	files, err := l.Files()
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

// SyscallConn gives access to the socket, as that of *net.TCPListener does: Control works,
// Read and Write do not. With several shards it fails. When the function given to Control
// has duplicated the descriptor (as github.com/cloudflare/tableflip does), Close treats the
// socket from then on as one that others hold too: see [Listener.Files]. A descriptor that
// it passes on without duplicating it is not seen; use Files for that.
func (l *Listener) SyscallConn() (syscall.RawConn, error) {
	if err := l.alone("syscallconn"); err != nil {
		return nil, err
	}
	if l.closing.Load() {
		return nil, l.fail("syscallconn", net.ErrClosed)
	}
	return watched{l.shards[0].raw, l.shards[0]}, nil
}

// watched is a RawConn that notices duplicates.
type watched struct {
	syscall.RawConn
	shard *shard
}

func (w watched) Control(f func(fd uintptr)) error {
	err := w.RawConn.Control(f)
	own := 1
	if w.shard.bell != nil {
		own++
	}
	if n := descriptors(w.RawConn); n == Unknown || n > own {
		w.shard.l.shared.Store(true)
	}
	return err
}

// SetUnlinkOnClose says whether Close removes the file of a Unix socket, as that of
// *net.UnixListener does. For TCP it does nothing.
func (l *Listener) SetUnlinkOnClose(unlink bool) {
	for _, s := range l.shards {
		s.unlinkOnClose(unlink)
	}
}

// alone fails where there are several sockets.
func (l *Listener) alone(op string) error {
	if len(l.shards) == 1 {
		return nil
	}
	return l.fail(op, fmt.Errorf("%d shards, use Files: %w", len(l.shards),
		errors.ErrUnsupported))
}
