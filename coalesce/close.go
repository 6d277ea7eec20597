package coalesce

import (
	"context"
	"errors"
	"net"
	"os"
	"time"
)

var (
	errUnsupported = errors.ErrUnsupported
	errExpired     = os.ErrDeadlineExceeded
	errDropped     = errors.New("closed without sending")
)

// closing is the state of a Close that has begun.
type closing struct {
	done chan struct{} // closed at the end, after err is set
	err  error
}

// Flush returns when the kernel has every byte that was accepted before the
// call, or with the lasting error, or with os.ErrDeadlineExceeded after the
// write deadline. That the kernel has the bytes does not mean that the peer has
// them. If nobody is writing, the bytes are written in the caller's
// goroutine.
func (c *Conn) Flush() error { return c.FlushContext(context.Background()) }

// FlushContext is Flush that stops waiting when ctx is done. The bytes are sent all
// the same.
func (c *Conn) FlushContext(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	target := c.accepted
	for c.cause == nil && c.sent < target && c.flushHere(ctx) {
	}
	if c.cause != nil || c.sent >= target {
		defer c.mu.Unlock()
		if c.cause != nil {
			return c.failure()
		}
		return nil
	}
	if c.gate&gateExpired != 0 {
		defer c.mu.Unlock()
		return c.opError("flush", errExpired)
	}
	f := newWaiter()
	f.target = target
	return c.await(ctx, f)
}

// flushHere writes one buffer in the caller's goroutine, and reports whether
// it may be called again. mu is held, and free meanwhile.
func (c *Conn) flushHere(ctx context.Context) bool {
	if c.work == nil || c.work.head == nil || c.flag&writing != 0 {
		return false
	}
	if c.raw != nil {
		return c.flag&stalled == 0 && c.attemptHead(causeExplicit)
	}
	if ctx.Done() != nil || c.callerDeadline() != (time.Time{}) {
		return false
	}
	c.writeHead(c.work)
	return true
}

// Close refuses new writes, sends what was accepted for at most
// Config.CloseTimeout, and closes the wrapped connection. Calls that wait in
// Write return net.ErrClosed with nothing accepted. Its error, an *Error, says how many
// accepted bytes were not sent. It returns when no goroutine of the Conn is
// left. A second Close waits for the first and returns the same.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.closing != nil {
		return c.joinClose()
	}
	cl := c.beginClose()
	if c.work != nil {
		timer := c.closeTimer()
		c.awaitQuiet()
		if timer != nil {
			timer.Stop()
		}
	} else {
		c.mu.Unlock()
	}
	err := c.inner.Close()
	c.endClose(cl, err)
	return cl.err
}

// CloseNow closes without sending what is pending. Its error says how many
// accepted bytes were dropped; there is none if all had been sent. It also cuts a
// Close short that is under way.
func (c *Conn) CloseNow() error {
	c.mu.Lock()
	if c.closing != nil {
		if c.accepted > c.sent {
			c.fail(errDropped)
		}
		c.inner.Close()
		return c.joinClose()
	}
	cl := c.beginClose()
	if c.accepted > c.sent {
		c.fail(errDropped)
	}
	err := c.inner.Close()
	if c.work != nil {
		c.awaitQuiet()
	} else {
		c.mu.Unlock()
	}
	c.endClose(cl, err)
	return cl.err
}

// CloseWrite refuses new writes, sends what was accepted as Flush does, and
// then shuts down the sending side of the wrapped connection. It fails with
// errors.ErrUnsupported, and changes nothing, if that has no CloseWrite.
func (c *Conn) CloseWrite() error {
	half, ok := c.inner.(interface{ CloseWrite() error })
	if !ok {
		return c.opError("closewrite", errUnsupported)
	}
	c.mu.Lock()
	if err := c.refusal("closewrite"); err != nil {
		c.mu.Unlock()
		return err
	}
	c.gate |= gateClosed
	c.refuseAll(c.opError("write", net.ErrClosed))
	if c.work == nil {
		c.mu.Unlock()
		return half.CloseWrite()
	}
	f := newWaiter()
	f.quiet = true
	if err := c.await(context.Background(), f); err != nil {
		return err
	}
	if err := c.Err(); err != nil {
		return err
	}
	return half.CloseWrite()
}

func (c *Conn) beginClose() *closing {
	cl := &closing{done: make(chan struct{})}
	c.closing = cl
	c.gate |= gateClosed
	c.stopExpiry()
	c.refuseAll(c.opError("write", net.ErrClosed))
	return cl
}

// joinClose waits for the Close that has begun. mu is held, and released.
func (c *Conn) joinClose() error {
	cl := c.closing
	c.mu.Unlock()
	<-cl.done
	return cl.err
}

func (c *Conn) closeTimer() *time.Timer {
	if c.set.CloseTimeout < 0 {
		return nil
	}
	return time.AfterFunc(c.set.CloseTimeout, func() {
		c.mu.Lock()
		c.fail(errCloseTimeout)
		c.mu.Unlock()
		c.inner.Close() // wakes whoever is writing
	})
}

// awaitQuiet waits until nothing is pending and nobody writes. mu is held, and
// released.
func (c *Conn) awaitQuiet() {
	f := newWaiter()
	f.quiet, f.closer = true, true
	w := c.attach()
	w.flushes.push(f)
	c.dispatch()
	c.awaken()
	c.rest()
	c.mu.Unlock()
	<-f.ready
	f.free()
}

func (c *Conn) endClose(cl *closing, err error) {
	c.mu.Lock()
	cl.err = err
	if c.cause != nil {
		cl.err = c.failure()
	}
	c.rest()
	c.mu.Unlock()
	close(cl.done)
}
