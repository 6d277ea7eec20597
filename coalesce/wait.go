package coalesce

import (
	"context"
	"sync"
	"time"
)

// waiter is a goroutine that waits for room, for its turn, or for bytes to
// be sent.
type waiter struct {
	next   *waiter
	ready  chan struct{} // receives once, after err is set
	p      []byte        // a small write: the bytes to accept for it
	turn   bool          // it wants the connection for itself
	quiet  bool          // it waits until nobody writes any more
	closer bool          // the write deadline is not for it
	target int64         // it waits until sent is at least this
	err    error
}

var waiterPool = sync.Pool{New: func() any { return &waiter{ready: make(chan struct{}, 1)} }}

func newWaiter() *waiter { return waiterPool.Get().(*waiter) }

func (w *waiter) free() {
	*w = waiter{ready: w.ready}
	waiterPool.Put(w)
}

// done lets the waiter go on. mu is held, and the waiter is in no list.
func (w *waiter) done(err error) {
	w.err = err
	w.ready <- struct{}{}
}

// waiters is a queue, first in first out.
type waiters struct{ head, tail *waiter }

func (q *waiters) push(w *waiter) {
	if q.tail == nil {
		q.head = w
	} else {
		q.tail.next = w
	}
	q.tail = w
}

func (q *waiters) pop() *waiter {
	w := q.head
	q.head, w.next = w.next, nil
	if q.head == nil {
		q.tail = nil
	}
	return w
}

// remove takes w out, and reports whether it was there.
func (q *waiters) remove(w *waiter) bool {
	var before *waiter
	for p := q.head; p != nil; before, p = p, p.next {
		if p != w {
			continue
		}
		if before == nil {
			q.pop()
			return true
		}
		before.next, w.next = w.next, nil
		if q.tail == w {
			q.tail = before
		}
		return true
	}
	return false
}

// enqueue makes the caller wait in the line of writers. mu is held, and
// released. With a turn granted, the caller owns the connection; a small write may get
// one too, when there is no memory for a copy.
func (c *Conn) enqueue(w *waiter) (turn bool, err error) {
	work := c.attach()
	work.queue.push(w)
	c.gate |= gateQueue
	if w.turn {
		work.turns++
	}
	c.admit() // the first may have room: credit may have kept the caller out
	c.dispatch()
	from := clock()
	c.mu.Unlock()
	<-w.ready
	c.mu.Lock()
	c.blocked(time.Duration(clock() - from))
	c.mu.Unlock()
	turn, err = w.turn, w.err
	w.free()
	return turn, err
}

// turnBytes is how much writers may add ahead of the line after each one that
// was let in, so that a thousand waiting writers cost one wake-up for each
// batch of messages and not one for each message.
const turnBytes = 4 << 10

// admit lets in the first in line: its bytes are accepted for it, or it gets the
// connection. mu is held.
func (c *Conn) admit() {
	w := c.work
	if w == nil || w.queue.head == nil {
		return
	}
	if !c.admitOne() {
		return
	}
	half := int64(c.set.BufferSize / 2)
	for w.queue.head != nil && c.accepted-c.sent < half && c.admitOne() {
	}
	w.credit = turnBytes
}

// admitOne reports whether the first in line was let in.
func (c *Conn) admitOne() bool {
	w := c.work
	first := w.queue.head
	if c.gate&gateTurn != 0 {
		return false
	}
	if !first.turn && !c.room(len(first.p)) {
		if w.head != nil || c.flag&writing != 0 {
			return false // it fits later
		}
		first.turn = true // the Budget is used up: it has to write by itself
		w.turns++
	}
	if first.turn {
		if c.flag&writing != 0 {
			return false
		}
		c.flag |= writing
		c.gate |= gateTurn
	} else {
		c.add(first.p)
		c.messages++
	}
	c.leave(first)
	first.done(nil)
	return true
}

// leave takes the first in line out of it. mu is held.
func (c *Conn) leave(first *waiter) {
	w := c.work
	w.queue.remove(first)
	if first.turn {
		w.turns--
	}
	if w.queue.head == nil {
		c.gate &^= gateQueue
	}
}

// dispatch does what the rule asks for after a write. mu is held.
func (c *Conn) dispatch() {
	switch c.facts().afterWrite() {
	case start:
		c.startFlusher()
	case sweep:
		c.leaveToSweeper()
	}
}

// refuseAll sends away all writers in line. mu is held.
func (c *Conn) refuseAll(err error) {
	for c.work != nil && c.work.queue.head != nil {
		w := c.work.queue.head
		c.leave(w)
		w.done(err)
	}
}

// awaken lets those go on who waited for bytes that are sent now. mu is
// held.
func (c *Conn) awaken() {
	w := c.work
	for f := w.flushes.head; f != nil; f = w.flushes.head {
		busy := c.flag&(writing|scheduled) != 0 || w.head != nil
		if f.quiet && busy || !f.quiet && c.cause == nil && c.sent < f.target {
			return
		}
		w.flushes.pop()
		switch {
		case c.cause != nil && !f.quiet:
			f.done(c.failure("flush"))
		default:
			f.done(nil)
		}
	}
}

// await waits in the line of those who wait for bytes to be sent. mu is held,
// and released.
func (c *Conn) await(ctx context.Context, f *waiter) error {
	c.attach().flushes.push(f)
	c.dispatch()
	c.mu.Unlock()
	select {
	case <-f.ready:
	case <-ctx.Done():
		c.mu.Lock()
		if c.work != nil && c.work.flushes.remove(f) {
			f.err = ctx.Err()
			c.rest()
		} else {
			<-f.ready
		}
		c.mu.Unlock()
	}
	err := f.err
	f.free()
	return err
}
