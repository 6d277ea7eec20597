package coalesce

import (
	"context"
	"errors"
	"net"
	"os"
)

var (
	errUnsupported = errors.ErrUnsupported
	errExpired     = os.ErrDeadlineExceeded
)

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
	return c.flushTo(ctx, c.accepted)
}

// flushTo waits until target bytes have been sent. mu is held, and released.
func (c *Conn) flushTo(ctx context.Context, target int64) error {
	for c.cause == nil && c.sent < target && c.flushHere(ctx) {
	}
	if c.cause != nil || c.sent >= target {
		defer c.mu.Unlock()
		if c.cause != nil {
			return c.failure("flush")
		}
		return nil
	}
	if c.gate&gateExpired != 0 {
		defer c.mu.Unlock()
		c.flag |= tooLate
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
	if ctx.Done() != nil || c.callerClock() != 0 {
		return false
	}
	c.writeHead(c.work)
	return true
}

// CloseWrite refuses new writes, sends what was accepted as Flush does, and
// then shuts down the sending side of the wrapped connection. When the write deadline passes
// first, what is pending is still sent, and CloseWrite may be called again. It fails with
// errors.ErrUnsupported, and changes nothing, if the wrapped connection has no CloseWrite.
func (c *Conn) CloseWrite() error {
	half, ok := c.inner.(interface{ CloseWrite() error })
	if !ok {
		return c.opError("close", errUnsupported)
	}
	c.mu.Lock()
	if err := c.refuseHalf(); err != nil {
		c.mu.Unlock()
		return err
	}
	c.gate |= gateClosed
	c.refuseAll(c.opError("write", net.ErrClosed))
	if c.work == nil {
		c.mu.Unlock()
		return c.endHalf(half.CloseWrite())
	}
	f := newWaiter()
	f.quiet = true
	if err := c.await(context.Background(), f); err != nil {
		return err
	}
	c.mu.Lock()
	if c.cause != nil {
		defer c.mu.Unlock()
		return c.failure("close")
	}
	c.mu.Unlock()
	return c.endHalf(half.CloseWrite())
}

// refuseHalf is why CloseWrite cannot be called, if for the first time or again. mu is held.
func (c *Conn) refuseHalf() error {
	closed := c.gate & gateClosed
	if c.closing == nil && c.flag&halved == 0 {
		c.gate &^= gateClosed
	}
	err := c.refusal("close")
	c.gate |= closed
	return err
}

func (c *Conn) endHalf(err error) error {
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.flag |= halved
	c.mu.Unlock()
	return nil
}
