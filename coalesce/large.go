package coalesce

import (
	"errors"
	"net"
	"os"
)

// writeLarge sends p, or v if p is nil, without copying it. mu is held, and
// released.
func (c *Conn) writeLarge(p []byte, v net.Buffers) (int64, error) {
	if err := c.refusal("write"); err != nil {
		c.mu.Unlock()
		return 0, err
	}
	if err := c.ownTurn(); err != nil {
		return 0, err
	}
	return c.sendDirect(p, v)
}

// ownTurn waits until the caller may have the connection for itself. mu is
// held, and released.
func (c *Conn) ownTurn() error {
	if c.flag&writing == 0 && c.gate&gateQueue == 0 {
		c.attach()
		c.flag |= writing
		c.gate |= gateTurn
		c.mu.Unlock()
		return nil
	}
	w := newWaiter()
	w.turn = true
	_, err := c.enqueue(w)
	return err
}

// sendDirect sends all that is pending and then p, or v if p is nil, in the
// caller's goroutine and for as long as the write deadline allows. The caller has the
// turn.
func (c *Conn) sendDirect(p []byte, v net.Buffers) (int64, error) {
	c.mu.Lock()
	c.flag |= direct
	if err := c.drain(c.raw != nil); err != nil {
		return 0, c.endDirect("write", err)
	}
	w := c.work
	var last *buffer
	if w.head != nil {
		last = c.swap(causeLarge)
	}
	before, total := c.accepted, int64(len(p))+length(v)
	c.accepted += total
	c.messages++
	w.seen = c.messages
	c.counts.causes[causeLarge]++
	c.openLine()
	c.beginWait()
	c.mu.Unlock()
	n, err := c.writePieces(w, last, p, v)
	c.mu.Lock()
	err = c.endWait(int(n), err)
	n = c.settleLast(last, n, err)
	c.sent += n
	if err != nil {
		c.unaccept(before, total-n)
	}
	return n, c.endDirect("write", err)
}

func length(v net.Buffers) (n int64) {
	for _, p := range v {
		n += int64(len(p))
	}
	return n
}

// openLine lets other writers add behind the owner's bytes. mu is held.
func (c *Conn) openLine() {
	c.gate &^= gateTurn
	c.admit()
}

// drain writes pending bytes, but for a last buffer that is to leave together
// with what comes after it if keepLast. mu is held, and free meanwhile.
func (c *Conn) drain(keepLast bool) error {
	w := c.work
	for c.cause == nil && w.head != nil && (!keepLast || w.head != c.fill) {
		b := c.swap(causeLarge)
		c.beginWait()
		c.mu.Unlock()
		n, err := c.writeWaiting(b.bytes())
		c.mu.Lock()
		err = c.endWait(n, err)
		c.sent += int64(n)
		c.putAway(b, n, err)
		if err != nil {
			return err
		}
	}
	return c.cause
}

// putAway keeps b when it was not written completely and the connection can
// go on. mu is held.
func (c *Conn) putAway(b *buffer, n int, err error) {
	b.start += n
	c.work.flight = nil
	if b.start < b.end && c.cause == nil && (err == nil || c.resumable(err)) {
		c.unpop(b)
		return
	}
	c.give(b)
}

// writePieces writes last, if any, and then p and v, with as few system calls as the
// connection allows.
func (c *Conn) writePieces(w *work, last *buffer, p []byte, v net.Buffers) (int64, error) {
	w.pieces = w.vec[:0]
	if last != nil {
		w.pieces = append(w.pieces, last.bytes())
	}
	if p != nil {
		w.pieces = append(w.pieces, p)
	}
	w.pieces = append(w.pieces, v...)
	defer func() { clear(w.vec[:]); w.pieces = nil }()
	if c.raw != nil {
		n, err := w.try.push(c, w.pieces)
		return int64(n), err
	}
	total := int64(0)
	for _, p := range w.pieces {
		n, err := c.writeInner(p)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// settleLast accounts for the part of n bytes written that was pending before
// the owner's, and returns the rest. mu is held.
func (c *Conn) settleLast(last *buffer, n int64, err error) int64 {
	if last == nil {
		return n
	}
	part := min(n, int64(last.end-last.start))
	c.sent += part
	c.putAway(last, int(part), err)
	return n - part
}

// resumable says whether sending may go on after err: the deadline of a caller passed, and a
// byte stream can go on at any byte.
func (c *Conn) resumable(err error) bool {
	return c.raw != nil && isTimeout(err) && !errors.Is(err, ErrStuck)
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// unaccept subtracts n bytes that are reported to the caller as not written. Flush
// calls made since then wait for so much less. mu is held.
func (c *Conn) unaccept(before, n int64) {
	if n == 0 {
		return
	}
	c.accepted -= n
	for f := c.work.flushes.head; f != nil; f = f.next {
		if f.target > before {
			f.target -= n
		}
	}
}

// endDirect gives up the turn, and returns the error for the caller. mu is
// held, and released.
func (c *Conn) endDirect(op string, err error) error {
	c.gate &^= gateTurn
	c.flag &^= direct
	c.disarm() // of the caller's deadline
	lasting := err
	if err != nil && c.resumable(err) {
		lasting = nil
		c.flag |= tooLate
	}
	c.settle(lasting)
	defer c.mu.Unlock()
	if c.cause != nil && err != nil {
		return c.failure(op)
	}
	return err
}
