package coalesce

// backToBack is the time in nanoseconds after an inline write within which another one shows that
// the writer does not wait for replies. With 5 us a ping-pong over loopback was
// mistaken for that, with 1 us it was not.
const backToBack = 1000

// mayInline says whether the caller may write by itself: nothing is pending
// and nobody writes. Otherwise, and when messages follow each other closely, the connection
// goes back to collecting. mu is held.
func (c *Conn) mayInline(policy Overflow) bool {
	// Requests that come one by one leave nothing to collect.
	lazy := c.gate == gateLazy && c.set.ReadDriven && c.held == 0
	if c.gate != 0 && !lazy || c.raw == nil && (policy != Block || c.callerClock() != 0) {
		return false
	}
	if c.unused() && clock()-c.lastInline >= backToBack {
		return true
	}
	c.collect()
	return false
}

// unused says whether nothing is pending and nobody writes or waits. A flusher
// that has yet to find that out does not count. mu is held.
func (c *Conn) unused() bool {
	w := c.work
	return w == nil || w.head == nil && c.flag&writing == 0 &&
		w.queue.head == nil && w.flushes.head == nil
}

// collect ends inline writing. mu is held.
func (c *Conn) collect() {
	c.flag &^= inline
	c.singles = 0
}

// writeInline writes p in the caller's goroutine. What the socket does not take at once is kept,
// ahead of all that comes meanwhile; the room for it, of the given size, has been taken from the
// Budget. mu is held, and released.
func (c *Conn) writeInline(p []byte, size int) (int, error) {
	w := c.attach()
	c.messages++
	w.seen = c.messages
	c.accepted += int64(len(p))
	c.counts.causes[causeInline]++
	c.flag |= writing
	var n int
	var err error
	if c.raw != nil {
		c.mu.Unlock()
		n, err = w.try.write(c, p)
		c.mu.Lock()
	} else {
		c.beginWait()
		c.mu.Unlock()
		n, err = c.writeInner(p)
		c.mu.Lock()
		err = c.endWait(n, err)
	}
	c.lastInline = clock()
	c.sent += int64(n)
	if c.messages != w.seen {
		c.collect()
	}
	if err == nil && n < len(p) && c.cause == nil {
		b := newBuffer(size)
		b.end = copy(b.data, p[n:])
		c.unpop(b)
		c.flag |= stalled
	} else {
		c.set.Budget.release(size)
	}
	if err != nil || c.cause != nil {
		c.accepted -= int64(len(p) - n)
	}
	c.settle(err)
	defer c.mu.Unlock()
	if c.cause != nil && n < len(p) { // otherwise the failure is of what came later
		return n, c.failure("write")
	}
	return len(p), nil
}

// tailSize is the buffer that holds n bytes.
func (c *Conn) tailSize(n int) int { return max(powerOfTwo(n), c.set.first) }
