package coalesce

import (
	"sync"
	"sync/atomic"
)

// work is what a Conn holds while it has something to send, and gives back
// when idle.
type work struct {
	conn   *Conn
	head   *buffer // oldest pending; the youngest is conn.fill
	flight *buffer // being written
	chunks int     // buffers from head to fill

	queue   waiters // writers, in order of arrival
	turns   int     // those in queue that want the connection for themselves
	flushes waiters // Flush and Close, in order of their targets
	credit  int     // bytes that writers may add ahead of the queue

	seen     int64    // conn.messages at the last swap
	reported reported // what Totals has been told

	try    attempt
	pieces [][]byte  // of a large write
	vec    [4][]byte // their memory, or that of the only one
	// clock at which a write that waits last saw bytes taken; 0 when none waits
	since atomic.Int64
	began int64  // clock at which it began
	run   func() // conn.flusher, bound once since "go w.run()" then allocates nothing
}

// works holds those of idle connections.
var works sync.Pool

func newWork() *work {
	w, ok := works.Get().(*work)
	if !ok {
		w = &work{}
		w.run = func() { w.conn.flusher(w) }
		w.try.bind()
	}
	return w
}

// attach gives an idle conn what it needs to send. mu is held.
func (c *Conn) attach() *work {
	if c.work == nil {
		w := newWork()
		w.conn, w.seen = c, c.messages
		if c.set.Totals != nil {
			w.reported = c.counted()
		}
		c.work = w
	}
	return c.work
}

// rest gives it back when there is nothing to do. mu is held.
func (c *Conn) rest() {
	w := c.work
	if w == nil || w.head != nil || c.flag&(writing|scheduled) != 0 ||
		w.queue.head != nil || w.flushes.head != nil {
		return
	}
	c.report(w)
	c.work, c.fill, w.conn = nil, nil, nil
	w.credit = 0
	w.since.Store(0)
	works.Put(w)
}

// room says whether n more bytes may be accepted, and takes the buffers for
// them. mu is held.
func (c *Conn) room(n int) bool {
	w, b := c.attach(), c.fill
	if b == nil {
		return c.addBuffer(n)
	}
	if n <= len(b.data)-b.end {
		return true
	}
	if len(b.data) < c.set.BufferSize && !c.grow() {
		return false
	}
	b = c.fill
	rest := n - (len(b.data) - b.end)
	if rest <= 0 {
		return true
	}
	need := (rest + c.set.BufferSize - 1) / c.set.BufferSize
	if w.chunks+need > c.set.maxChunks || !c.set.Budget.take(need*c.set.BufferSize) {
		return false
	}
	c.reserve(need)
	return true
}

// reserve links need empty buffers behind fill; append moves on to them.
func (c *Conn) reserve(need int) {
	c.work.chunks += need
	b := c.fill
	for range need {
		b.next = newBuffer(c.set.BufferSize)
		b = b.next
	}
}

// addBuffer takes the first buffers of a batch of at least n bytes.
func (c *Conn) addBuffer(n int) bool {
	size := c.set.first
	if n > size || c.flag&bulky != 0 {
		size = c.set.BufferSize
	}
	need := max(1, (n+size-1)/size)
	if need > c.set.maxChunks {
		return false
	}
	if !c.set.Budget.take(need * size) {
		if size == c.set.first || n > c.set.first || !c.set.Budget.take(c.set.first) {
			return false
		}
		size, need = c.set.first, 1
	}
	b := newBuffer(size)
	c.work.head, c.fill, c.work.chunks = b, b, 1
	c.reserve(need - 1)
	return true
}

// grow replaces the first buffer of a batch, which is the only one, by one of
// full size.
func (c *Conn) grow() bool {
	old := c.fill
	if !c.set.Budget.take(c.set.BufferSize) {
		return false
	}
	b := newBuffer(c.set.BufferSize)
	b.born = old.born
	b.end = copy(b.data, old.bytes())
	c.replace(old, b)
	c.fill = b
	c.set.Budget.release(len(old.data))
	old.free()
	return true
}

// replace puts b at the place of old in the list.
func (c *Conn) replace(old, b *buffer) {
	w := c.work
	if w.head == old {
		w.head = b
		return
	}
	for p := w.head; p != nil; p = p.next {
		if p.next == old {
			p.next = b
			return
		}
	}
}

// add copies p into buffers that room has taken. mu is held.
func (c *Conn) add(p []byte) {
	c.accepted += int64(len(p))
	for {
		b := c.fill
		n := copy(b.data[b.end:], p)
		b.end += n
		p = p[n:]
		if len(p) == 0 {
			return
		}
		c.fill = b.next
	}
}

// pop takes the oldest buffer for writing. mu is held.
func (c *Conn) pop() *buffer {
	w := c.work
	b := w.head
	w.head, w.flight, b.next = b.next, b, nil
	w.chunks--
	if w.head == nil {
		c.fill = nil
	}
	return b
}

// unpop puts back a buffer that was not written completely. mu is held.
func (c *Conn) unpop(b *buffer) {
	w := c.work
	b.next = w.head
	w.head = b
	w.chunks++
	if c.fill == nil {
		c.fill = b
	}
}

// discard gives all pending buffers back. mu is held.
func (c *Conn) discard() {
	for c.work != nil && c.work.head != nil {
		c.give(c.pop())
	}
	if c.work != nil {
		c.work.flight = nil
	}
}

func (c *Conn) give(b *buffer) {
	c.set.Budget.release(len(b.data))
	b.free()
}

// A goroutine that reads replies and hands them to their callers wakes
// goroutines that will write. So before it waits for more input it gives way to them
// and sends what they wrote: one system call, made where the next one is a
// read, and no flusher has to be started, which would wake a thread.

// mayCarry says whether a reader should stand in for the flusher now. mu is
// held.
func (c *Conn) mayCarry() bool {
	if c.gate != 0 || c.raw == nil || c.flag&(writing|scheduled|inline|stalled) != 0 {
		return false
	}
	if c.pass > 0 {
		c.pass--
		return false
	}
	return true
}

// carry gives way, and sends what was written meanwhile without waiting for
// the peer. It learns whether that was of use, if told so. mu is held, and released.
func (c *Conn) carry(learns bool) {
	before := c.messages
	c.flag |= scheduled
	w := c.attach()
	if c.yield() && learns {
		c.learnCarry(c.messages != before)
	}
	for range maxCarried {
		if c.flag&stalled != 0 || c.facts().flusherLooks() != take ||
			!c.attemptHead(causeRead) {
			break
		}
		c.giveWay()
	}
	c.retire(w)
}

// maxCarried is how many batches a reader sends before it reads again.
const maxCarried = 2

// maxVain bounds how many Reads do not give way after some that did in vain:
// 1, 3, 7, up to 127.
const maxVain = 7

// learnCarry is told whether giving way brought messages. mu is held.
func (c *Conn) learnCarry(some bool) {
	if some {
		c.vain = 0
		return
	}
	c.vain = min(c.vain+1, maxVain)
	c.pass = 1<<c.vain - 1
}
