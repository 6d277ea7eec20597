package coalesce

// backToBack is the time in nanoseconds after an inline write within which another one shows that
// the writer does not wait for replies. With 5 us a ping-pong over loopback was
// mistaken for that, with 1 us it was not.
const backToBack = 1000

// mayInline says whether the caller may write by itself: nothing is pending
// and nobody writes. Otherwise, and when messages follow each other closely, the connection
// goes back to collecting. mu is held.
func (c *Conn) mayInline() bool {
	lazy := c.gate == gateLazy && c.set.ReadDriven && c.held == 0 // requests come one by one: nothing to collect
	if c.gate != 0 && !lazy || c.raw == nil && c.expiry != nil {
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
	return w == nil || w.head == nil && c.flag&writing == 0 && w.queue.head == nil && w.flushes.head == nil
}

// collect ends inline writing. mu is held.
func (c *Conn) collect() {
	c.flag &^= inline
	c.singles = 0
}

// writeInline writes p in the caller's goroutine. mu is held, and released.
func (c *Conn) writeInline(p []byte) (int, error) {
	w := c.attach()
	c.messages++
	w.seen = c.messages
	c.accepted += int64(len(p))
	c.counts.causes[causeInline]++
	c.flag |= writing
	n, err := c.oneWrite(w, p)
	c.lastInline = clock()
	c.sent += int64(n)
	if c.messages != w.seen {
		c.collect()
	}
	if err == nil && n < len(p) && c.cause == nil {
		err = c.keepTail(p[n:])
	}
	c.settle(err)
	defer c.mu.Unlock()
	if c.cause != nil {
		return n, c.failure()
	}
	return len(p), nil
}

// oneWrite makes one system call with p. mu is held, and free meanwhile.
func (c *Conn) oneWrite(w *work, p []byte) (int, error) {
	defer c.mu.Lock()
	if c.raw != nil {
		c.mu.Unlock()
		return w.try.write(c, p)
	}
	c.arm()
	c.counts.calls++
	c.mu.Unlock()
	n, err := c.inner.Write(p)
	if err != nil && isTimeout(err) {
		err = stuck(err)
	}
	return n, err
}

// keepTail keeps what the socket did not take, ahead of all that came
// meanwhile. Without memory for it in the Budget the caller waits for the peer. mu is held,
// and may be free meanwhile.
func (c *Conn) keepTail(tail []byte) error {
	size := max(powerOfTwo(len(tail)), c.set.first)
	if c.set.Budget.take(size) {
		b := newBuffer(size)
		b.end = copy(b.data, tail)
		c.unpop(b)
		c.flag |= stalled
		return nil
	}
	for n := 0; n < len(tail); {
		c.arm()
		c.counts.calls++
		c.mu.Unlock()
		m, err := c.inner.Write(tail[n:])
		c.mu.Lock()
		c.sent += int64(m)
		n += m
		switch {
		case err == nil:
		case isTimeout(err) && m > 0:
			c.armed = 0
		case isTimeout(err):
			return stuck(err)
		default:
			return err
		}
	}
	return nil
}
