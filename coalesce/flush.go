package coalesce

import (
	"context"
	"errors"
	"net"
	"os"
)

// startFlusher starts the goroutine that writes what is pending. mu is held.
func (c *Conn) startFlusher() {
	if c.flag&scheduled != 0 {
		return
	}
	c.flag |= scheduled
	go c.work.run()
}

// flusher writes until nothing is due, and ends.
func (c *Conn) flusher(w *work) {
	c.mu.Lock()
	c.giveWay()
	for c.facts().flusherLooks() == take {
		c.writeHead(w)
		c.giveWay()
	}
	c.retire(w)
}

// retire ends the turn of the flusher, a goroutine or a Read. mu is held, and released.
func (c *Conn) retire(w *work) {
	c.flag &^= scheduled
	c.dispatch()
	if w.flushes.head != nil {
		c.awaken()
	}
	c.rest()
	c.mu.Unlock()
}

// giveWay lets other writers add to a small batch. mu is held.
func (c *Conn) giveWay() {
	head := c.work.head
	if head == nil || head.end-head.start >= c.set.MinBatch || head != c.fill ||
		c.flag&(writing|stalled|urgent) != 0 || c.gate&gateEager != 0 {
		return
	}
	c.yield()
}

// yield lets goroutines that are ready run, and again if they wrote, unless
// the guard forbids it. mu is held, and free meanwhile.
func (c *Conn) yield() (allowed bool) {
	now := clock()
	if !yields.allows(now) {
		c.counts.refused++
		return false
	}
	for range maxYields {
		before := c.messages
		c.counts.yields++
		c.mu.Unlock()
		now = yields.yield(now, c.set.MaxDelay)
		c.mu.Lock()
		if c.messages == before || !yields.allows(now) {
			break
		}
	}
	return true
}

// maxYields is how often the flusher gives way before a write as long as that
// brings messages. With 64 callers on one connection the second time saved a third of
// the system calls, at no higher p50 and p99.
const maxYields = 2

// writeHead writes the oldest buffer completely, waiting for the peer if it
// must. mu is held, and free meanwhile.
func (c *Conn) writeHead(w *work) {
	why := causeDry
	if c.work.head != c.fill {
		why = causeFull
	}
	b := c.swap(why)
	try := c.raw != nil && c.flag&stalled == 0
	c.mu.Unlock()
	n, err := 0, error(nil)
	if try {
		n, err = w.try.write(c, b.bytes())
	}
	waited := err == nil && n < b.end-b.start
	if waited {
		c.lock()
		c.beginWait()
		c.mu.Unlock()
		m := 0
		m, err = c.writeWaiting(b.bytes()[n:])
		n += m
	}
	c.lock()
	if waited {
		err = c.endWait(n, err)
	}
	c.flag &^= stalled
	c.finish(b, n, err)
}

// writeWaiting writes p completely, waiting for the peer if it must. The owner calls it, between
// beginWait and endWait; mu is not held.
func (c *Conn) writeWaiting(p []byte) (int, error) {
	if c.raw == nil {
		return c.writeInner(p)
	}
	w := c.work
	w.vec[0] = p
	return w.try.push(c, w.vec[:1])
}

// swap takes the oldest buffer and the right to write. mu is held.
func (c *Conn) swap(why cause) *buffer {
	w := c.work
	c.counts.pending(c.accepted - c.sent)
	c.counts.age(clock() - w.head.born)
	c.counts.causes[why]++
	b := c.pop()
	if b.end-b.start > firstBuffer {
		c.flag |= bulky
	} else if w.head == nil {
		c.flag &^= bulky
	}
	c.learn(c.messages - w.seen)
	w.seen = c.messages
	c.flag |= writing
	c.flag &^= urgent
	return b
}

// singlesToInline is the number of flushes of one message after which the next
// one is written by its caller.
const singlesToInline = 8

// learn is told how many messages a flush carried. mu is held.
func (c *Conn) learn(messages int64) {
	switch {
	case messages > 1:
		c.singles = 0
		c.flag &^= inline
	case messages == 1 && c.singles < singlesToInline:
		c.singles++
		if c.singles == singlesToInline {
			c.flag |= inline
		}
	}
}

// attemptHead writes the oldest buffer once, without waiting for the peer. The
// connection must be raw and nobody writing. mu is held, and free meanwhile. It reports
// whether all of the buffer went out.
func (c *Conn) attemptHead(why cause) bool {
	w := c.work
	b := c.swap(why)
	c.mu.Unlock()
	n, err := w.try.write(c, b.bytes())
	c.mu.Lock()
	all := n == b.end-b.start
	if err == nil && !all {
		c.flag |= stalled
	}
	c.finish(b, n, err)
	return all
}

// finish accounts for a write of b of which n bytes went out, gives up the
// right to write and does all that waited for it. mu is held.
func (c *Conn) finish(b *buffer, n int, err error) {
	c.sent += int64(n)
	c.set.Totals.wrote(n)
	c.putAway(b, n, err)
	c.settle(err)
}

// settle ends a time of writing: it records a failure, lets waiters go on and
// starts a flusher if one is needed. mu is held.
func (c *Conn) settle(err error) {
	c.flag &^= writing | polled
	c.counts.calls += c.work.try.calls
	c.work.try.calls = 0
	if err != nil {
		c.fail(err)
	}
	w := c.work
	if w.flushes.head != nil {
		c.awaken()
	}
	half := int64(c.set.MaxPending) / 2
	if w.queue.head != nil && (c.accepted-c.sent <= half || w.queue.head.turn) {
		c.admit()
	}
	c.dispatch()
	if c.set.Totals != nil {
		c.report(w)
	}
	c.rest()
}

// fail records the first failure and drops what is pending. mu is held.
func (c *Conn) fail(err error) {
	if c.cause != nil {
		return
	}
	c.cause = err
	c.gate |= gateFailed
	c.discard()
	c.refuseAll(c.failure("write"))
	if c.work != nil && c.work.flushes.head != nil {
		c.awaken()
	}
	if !c.set.KeepReading && c.closing == nil {
		c.stopReading()
	}
}

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
