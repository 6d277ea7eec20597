package listen

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// SetDeadline makes Accept, and Serve, fail with os.ErrDeadlineExceeded from then on; Serve closes
// the listener then, as it does after every error. The zero time means no deadline. It acts on
// callers that wait already. After Close the error is net.ErrClosed.
func (l *Listener) SetDeadline(t time.Time) error {
	l.resizing.Lock()
	defer l.resizing.Unlock()
	if l.closing.Load() {
		return l.fail("set", net.ErrClosed)
	}
	l.until.set(t)
	for _, s := range l.shards {
		if err := s.wakeAt(t); err != nil {
			return l.fail("set", err)
		}
	}
	return nil
}

// deadline is when Accept gives up.
type deadline struct {
	mu      sync.Mutex
	at      time.Time
	timer   *time.Timer
	passed  chan struct{} // closed when the time has come
	changed chan struct{} // closed, and replaced, by each set
}

func (d *deadline) init() { d.passed, d.changed = make(chan struct{}), make(chan struct{}) }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.passed // the timer has fired and is about to close it
	}
	d.timer, d.at = nil, t
	if isClosed(d.passed) {
		d.passed = make(chan struct{})
	}
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		close(d.passed)
	default:
		passed := d.passed
		d.timer = time.AfterFunc(left, func() { close(passed) })
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

func (d *deadline) changes() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

func (d *deadline) time() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Drain prepares an end that no client notices. It has the kernel ignore new handshakes, so
// that clients go to a successor, and waits until those that had begun and all that is
// queued have been accepted by the callers of Accept or Serve, which go on as before. It
// returns Config.HandshakeGrace after the last of them, so that the server has read what
// clients send at once: net/http closes a connection without an answer if Shutdown has
// begun when its request arrives. Then stop the server:
//
//	// with MaxConnections: idle connections give up their places
//	server.SetKeepAlivesEnabled(false)
//	listener.Drain(ctx)
//	server.Shutdown(ctx) // closes the listener; Serve returns http.ErrServerClosed
//
// and for gRPC, which gives up no place before GracefulStop, so that a server at its limit
// makes Drain wait until the end of its context:
//
//	listener.Drain(ctx)
//	server.GracefulStop()
//
// The error, when the context ends first, is a *net.OpError that wraps the context's. The
// server can be stopped then too: Close deals with who is still queued. A socket that
// others hold as well (Files, SyscallConn, Adopt) is left to them, and Drain returns at
// once, as it does on systems other than Linux and after Close. Nothing takes Drain back:
// in the end Close must be called.
func (l *Listener) Drain(ctx context.Context) error {
	if l.shared.Load() {
		return nil
	}
	var before []progress
	for _, s := range l.shards {
		before = append(before, progress{s, s.accepted.Load(), s.queued()})
	}
	l.turnAway(ctx)
	const first, longest = 500 * time.Microsecond, 10 * time.Millisecond
	for nap := first; !l.empty(before); nap = min(2*nap, longest) {
		timer := time.NewTimer(nap)
		select {
		case <-timer.C:
		case <-l.closed:
			return nil
		case <-ctx.Done():
			timer.Stop()
			return l.fail("drain",
				fmt.Errorf("clients wait for Accept: %w", context.Cause(ctx)))
		}
	}
	return nil
}

// progress is what a shard had accepted, and had yet to accept, when Drain began.
type progress struct {
	shard    *shard
	accepted uint64
	queued   int
}

// empty says that nobody waits who came before the kernel took no more. Where it takes more, as it
// does on Unix sockets, those who were there at the beginning count.
func (l *Listener) empty(before []progress) bool {
	for i, p := range before {
		followed := l.ignoring[i] || p.shard.accepted.Load() < p.accepted+uint64(p.queued)
		if followed && ready(p.shard.raw) {
			return false
		}
	}
	quiet := time.Since(time.Unix(0, l.lastTaken.Load()))
	return l.offered.Load() == 0 && quiet >= l.cfg.HandshakeGrace
}
