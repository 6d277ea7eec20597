package coalesce

import (
	"context"
	"errors"
	"net"
	"time"
)

var errDropped = errors.New("closed without sending")

// closing is the state of a Close that has begun.
type closing struct {
	done   chan struct{} // closed at the end, after err is set
	err    error
	hurry  chan struct{} // receives when what is pending should be dropped
	left   bool          // Close has returned before the end
	closed bool          // the Close of the wrapped connection has begun
}

const (
	// patience is how long Close waits for a peer that takes nothing. It is longer than a
	// round trip, in which a peer that reads may take nothing either.
	patience = 500 * time.Millisecond
	// closeLook is how often Close looks whether the peer has taken something.
	closeLook = 20 * time.Millisecond
	// parting is how long Close lets goroutines end after the wrapped connection was closed.
	parting = 100 * time.Millisecond
)

// Close refuses new writes, sends what was accepted, and closes the wrapped connection. Calls
// that wait in Write return net.ErrClosed with nothing accepted.
//
// It waits as long as the peer takes bytes, and at most for Config.CloseTimeout. It does not wait
// for a peer that has taken nothing for half a second, nor after a write deadline has passed, nor
// while another goroutine is in a large Write, a copy, or a Write that waits for room, since
// Close then means to end that. In these cases it returns an *Error with ErrLingering at once if
// bytes are left, which are sent in the background for what is left of CloseTimeout, as the
// kernel does for those that it has. CloseContext waits for that, and for its outcome.
//
// Its error, an *Error inside a *net.OpError, says how many accepted bytes were not sent.
func (c *Conn) Close() error {
	c.mu.Lock()
	if cl := c.closing; cl != nil {
		c.mu.Unlock()
		return c.awaitClose(cl, true)
	}
	if c.flag&abrupt != 0 {
		c.mu.Unlock()
		return c.CloseNow()
	}
	// (*tls.Conn).Close sets a deadline that has passed already, and means nothing by it.
	abort := c.flag&(direct|tooLate) != 0 || c.gate&gateQueue != 0
	return c.awaitClose(c.startClose(), abort)
}

// CloseContext is Close that waits until all is sent, for as long as Config.CloseTimeout and ctx
// allow. When ctx is done, what is pending is dropped. After a Close that has left bytes behind
// it waits for these, and says what became of them.
func (c *Conn) CloseContext(ctx context.Context) error {
	c.mu.Lock()
	cl := c.closing
	if cl == nil {
		cl = c.startClose()
	} else {
		c.mu.Unlock()
	}
	select {
	case <-cl.done:
	case <-ctx.Done():
		c.drop(cl, context.Cause(ctx))
		<-cl.done
	}
	return cl.err
}

// CloseNow closes without sending what is pending. Its error says how many
// accepted bytes were dropped; there is none if all had been sent. It also cuts a
// Close short that is under way.
func (c *Conn) CloseNow() error {
	c.mu.Lock()
	cl := c.closing
	if cl == nil {
		cl = c.beginClose()
		c.discardUnsent(errDropped) // before the goroutine of linger can send it
		go c.linger(cl)
	}
	c.mu.Unlock()
	c.drop(cl, errDropped)
	<-cl.done
	return cl.err
}

// drop ends a Close that has begun, without sending what is pending.
func (c *Conn) drop(cl *closing, why error) {
	c.mu.Lock()
	c.discardUnsent(why)
	c.mu.Unlock()
	select {
	case cl.hurry <- struct{}{}:
	default:
	}
}

// discardUnsent fails the connection if bytes are left. mu is held.
func (c *Conn) discardUnsent(why error) {
	if c.accepted > c.sent {
		c.fail(why)
	}
}

// startClose begins, sends what can be sent at once, and ends if that was all. mu is
// held, and released.
func (c *Conn) startClose() *closing {
	cl := c.beginClose()
	for c.raw != nil && c.work != nil && c.work.head != nil &&
		c.flag&(writing|stalled) == 0 && c.attemptHead(causeExplicit) {
	}
	if c.raw == nil || c.work != nil {
		go c.linger(cl)
		c.mu.Unlock()
		return cl
	}
	cl.closed = true
	c.mu.Unlock()
	c.endClose(cl, c.inner.Close())
	return cl
}

func (c *Conn) beginClose() *closing {
	cl := &closing{done: make(chan struct{}), hurry: make(chan struct{}, 1)}
	c.closing = cl
	c.gate |= gateClosed
	if c.flag&direct == 0 {
		c.stopExpiry() // otherwise it is still that of the owner
	}
	c.refuseAll(c.opError("write", net.ErrClosed))
	if c.flag&moving != 0 && c.work.head == nil {
		cl.hurry <- struct{}{} // nothing that was accepted depends on the copy
	}
	return cl
}

// linger closes when nothing is pending and nobody writes, or when it may wait no longer.
func (c *Conn) linger(cl *closing) {
	var timeout <-chan time.Time
	if c.set.CloseTimeout >= 0 {
		t := time.NewTimer(c.set.CloseTimeout)
		defer t.Stop()
		timeout = t.C
	}
	f := c.awaitQuiet()
	select {
	case <-f.ready:
		f.free()
		c.endClose(cl, c.closeInner(cl, timeout))
		return
	case <-cl.hurry:
	case <-timeout:
		c.mu.Lock()
		c.fail(errCloseTimeout)
		c.mu.Unlock()
	}
	err := c.closeHard()
	select { // who was writing is awake now
	case <-f.ready:
		f.free()
	case <-time.After(parting):
	}
	c.endClose(cl, err)
}

// awaitQuiet returns a waiter that is ready when nothing is pending and nobody writes.
func (c *Conn) awaitQuiet() *waiter {
	f := newWaiter()
	f.quiet, f.closer = true, true
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attach().flushes.push(f)
	c.dispatch()
	c.awaken()
	c.rest()
	return f
}

// closeInner closes the wrapped connection, which above TLS may wait for the peer.
func (c *Conn) closeInner(cl *closing, timeout <-chan time.Time) error {
	c.mu.Lock()
	cl.closed = true
	c.mu.Unlock()
	if c.raw != nil {
		return c.inner.Close()
	}
	done := make(chan error, 1)
	go func() { done <- c.inner.Close() }()
	select {
	case err := <-done:
		return err
	case <-cl.hurry:
	case <-timeout:
	}
	return c.closeHard()
}

// closeHard closes the wrapped connection without waiting for the peer. A TLS connection sends a
// last message before it closes the one inside, so that goes first. A Close may be under way
// already.
func (c *Conn) closeHard() error {
	done := make(chan error, 2)
	closeIt := func(one net.Conn) {
		err := one.Close()
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
		done <- err
	}
	if in := inside(c.inner); c.raw == nil && in != nil {
		if own, ok := in.(wrapper); ok {
			in = own.wrapped()
		}
		closeIt(in)
	}
	go closeIt(c.inner)
	select {
	case err := <-done:
		return err
	case <-time.After(parting):
		return nil
	}
}

func (c *Conn) endClose(cl *closing, err error) {
	c.mu.Lock()
	c.stopExpiry()
	cl.err = err
	if c.cause != nil {
		cl.err = c.failure("close")
	}
	c.rest()
	c.mu.Unlock()
	close(cl.done)
}

// awaitClose waits until the end of a Close, but not for a peer that takes nothing.
func (c *Conn) awaitClose(cl *closing, abort bool) error {
	t := time.NewTicker(closeLook)
	defer t.Stop()
	begun := clock()
	for {
		select {
		case <-cl.done:
			return cl.err
		default:
		}
		if err, left := c.leaveClose(cl, abort, begun); left {
			return err
		}
		select {
		case <-cl.done:
			return cl.err
		case <-t.C:
		}
	}
}

// leaveClose says whether Close should return before the end, and what.
func (c *Conn) leaveClose(cl *closing, abort bool, begun int64) (error, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl.closed || c.cause != nil { // the end is near, unless TLS has something to say
		over := clock()-begun > int64(patience)
		if over && c.cause != nil {
			return c.failure("close"), true
		}
		return nil, over
	}
	c.sample()
	since := begun
	if c.work != nil && c.work.since.Load() != 0 {
		since = c.work.since.Load()
	}
	if !abort && clock()-since < int64(patience) {
		return nil, false
	}
	if c.flag&writing == 0 && c.accepted == c.sent {
		return nil, false // a flusher that is about to end
	}
	if !cl.left {
		cl.left = true
		c.inner.SetReadDeadline(epoch) // as if it were closed
	}
	if c.accepted == c.sent {
		return nil, true
	}
	return c.opError("close", c.lasting(errLingering)), true
}
