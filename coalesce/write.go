package coalesce

import "net"

// Write accepts p for sending, and returns len(p) and nil once it has copied it;
// nothing of p is kept. When there is no room it does as Config.OnFull says:
// by default it waits until there is, or returns os.ErrDeadlineExceeded after
// the write deadline with nothing accepted.
//
// If len(p) is at least half of BufferSize, Write waits until the kernel has
// taken everything accepted before and p itself, which is not copied. Then the
// count and the error are those of the system call.
//
// A Write of zero bytes only reports a lasting error. After Close it returns
// net.ErrClosed.
func (c *Conn) Write(p []byte) (int, error) {
	if !c.mu.TryLock() {
		c.lock()
	}
	b := c.fill
	// The usual case, some 20 ns: there is a batch with room. Being one, it has a
	// flusher or someone writing, or is left to its owner and the sweeper. A zero length wraps
	// round and goes on below.
	if b == nil || c.gate&^gateLazy != 0 || uint(len(p)-1) >= uint(len(b.data)-b.end) {
		return c.write(p, c.set.OnFull)
	}
	if c.gate != 0 && c.fillsLazy(b, len(p)) {
		return c.write(p, c.set.OnFull)
	}
	b.end += copy(b.data[b.end:], p)
	c.accepted += int64(len(p))
	c.messages++
	if c.messages&3 == 0 && c.gate == 0 && c.flag&(scheduled|writing) == scheduled &&
		(b.end < firstBuffer || c.messages&63 == 0) && c.aged() {
		c.send(causeTakeOver)
		return len(p), nil
	}
	c.mu.Unlock()
	return len(p), nil
}

// lock takes mu when others have it for a moment only: writers, and the flusher between
// two writes. sync.Mutex lets a microsecond pass before it looks again (30 PAUSE instructions,
// runtime.sync_runtime_doSpin), several times as long as any of them need.
func (c *Conn) lock() {
	for range glances {
		if c.mu.TryLock() {
			return
		}
	}
	c.mu.Lock()
}

// glances is how often lock looks, for some 100 ns.
const glances = 64

// fillsLazy says whether n more bytes in b are a reason to send although the
// connection is lazy. mu is held.
func (c *Conn) fillsLazy(b *buffer, n int) bool {
	limit := len(b.data)
	if c.set.ReadDriven {
		limit = min(limit, c.set.MinBatch)
	}
	return b != c.work.head || b.end-b.start+n >= limit
}

// TryWrite accepts p, of any length, if there is room now, and returns ErrFull with
// nothing accepted if there is not. It never waits for the peer.
func (c *Conn) TryWrite(p []byte) error {
	c.mu.Lock()
	_, err := c.write(p, tryOnly)
	return err
}

// WriteNow is Write for a message that should not wait for others: it and all before it
// are handed to the kernel before WriteNow returns, unless the socket is
// full or another write is on its way; then they are next.
func (c *Conn) WriteNow(p []byte) (int, error) {
	n, err := c.Write(p)
	if err != nil {
		return n, err
	}
	c.mu.Lock()
	if c.work != nil && c.work.head != nil {
		c.flag |= urgent
	}
	c.send(causeExplicit)
	return n, nil
}

// WriteBuffers writes the pieces of v as one message: their bytes follow each
// other on the wire. It is Write in all else. v and its pieces are not
// changed.
func (c *Conn) WriteBuffers(v net.Buffers) (int64, error) {
	total := int(length(v))
	c.mu.Lock()
	switch {
	case total >= c.set.large || c.flag&through != 0:
		return c.writeLarge(nil, v)
	case total == 0 || c.refusal("write") != nil || c.gate&gateEager != 0 ||
		!c.mayAppend(total):
		n, err := c.write(join(v, total), c.set.OnFull)
		return int64(n), err
	}
	for _, p := range v {
		c.add(p)
	}
	c.messages++
	c.appended()
	return int64(total), nil
}

func join(v net.Buffers, total int) []byte {
	joined := make([]byte, 0, total)
	for _, p := range v {
		joined = append(joined, p...)
	}
	return joined
}

// tryOnly is the policy of TryWrite.
const tryOnly = Overflow(255)

// write is Write for all but the usual case. mu is held, and released.
func (c *Conn) write(p []byte, policy Overflow) (int, error) {
	if err := c.refusal("write"); err != nil || len(p) == 0 {
		c.mu.Unlock()
		return 0, err
	}
	if (len(p) >= c.set.large || c.flag&through != 0) && policy != tryOnly {
		n, err := c.writeLarge(p, nil)
		return int(n), err
	}
	if c.flag&inline != 0 && len(p) < c.set.large && c.mayInline(policy) {
		if size := c.tailSize(len(p)); c.set.Budget.take(size) {
			return c.writeInline(p, size)
		}
	}
	if !c.mayAppend(len(p)) {
		return c.overflow(p, policy)
	}
	c.add(p)
	c.messages++
	if c.gate&(gateEager|gateLazy) == gateEager {
		return c.writeEager(len(p), policy)
	}
	c.appended()
	return len(p), nil
}

// refusal is why nothing may be written at all. mu is held.
func (c *Conn) refusal(op string) error {
	switch {
	case c.gate&gateClosed != 0:
		return c.opError(op, net.ErrClosed)
	case c.cause != nil:
		return c.failure(op)
	case c.gate&gateExpired != 0:
		c.flag |= tooLate
		return c.opError(op, errExpired)
	}
	return nil
}

// mayAppend says whether n bytes may be added now, ahead of writers in line if
// there are any, and takes the buffers for them.
func (c *Conn) mayAppend(n int) bool {
	if c.gate&gateTurn != 0 {
		return false
	}
	if c.gate&gateQueue != 0 {
		if c.work.turns > 0 || c.work.credit < n || !c.room(n) {
			return false
		}
		c.work.credit -= n
		return true
	}
	return c.room(n)
}

// appended makes sure that bytes just added will be sent. mu is held, and
// released.
func (c *Conn) appended() {
	f := c.facts()
	f.aged = f.scheduled && !f.writing && c.aged()
	switch f.afterAppend() {
	case start:
		c.startFlusher()
	case take:
		why := causeTakeOver
		if f.full {
			why = causeFull
		}
		c.send(why)
		return
	case sweep:
		c.leaveToSweeper()
	}
	c.mu.Unlock()
}

// overflow deals with a Write that has no room. mu is held, and released.
func (c *Conn) overflow(p []byte, policy Overflow) (int, error) {
	full := c.work != nil && c.work.chunks >= c.set.maxChunks
	switch {
	case policy == Fail || policy == tryOnly:
		c.rest()
		c.mu.Unlock()
		return 0, c.opError("write", ErrFull)
	case policy == Disconnect && full:
		c.fail(ErrFull)
		err := c.failure("write")
		c.mu.Unlock()
		go c.closeHard() // above TLS it may wait for the peer
		return 0, err
	}
	w := newWaiter()
	w.p = p
	turn, err := c.enqueue(w)
	switch {
	case err != nil:
		return 0, err
	case !turn:
		return len(p), nil
	}
	n, err := c.sendDirect(p, nil)
	return int(n), err
}

// writeEager sends what is pending, and what arrives meanwhile, in the
// caller's goroutine. The last n bytes are the caller's. mu is held, and released.
func (c *Conn) writeEager(n int, policy Overflow) (int, error) {
	upTo := c.accepted
	if c.flag&writing != 0 {
		c.mu.Unlock()
		return n, nil
	}
	for range 2 {
		switch {
		case c.work == nil || c.work.head == nil || c.flag&writing != 0:
		case c.raw != nil && c.flag&stalled == 0:
			c.attemptHead(causeExplicit)
		case c.raw == nil && policy == Block && c.callerClock() == 0:
			c.writeHead(c.work)
		}
	}
	if c.work != nil {
		c.dispatch()
	}
	defer c.mu.Unlock()
	if c.cause != nil {
		told := min(n, int(max(0, c.sent-(upTo-int64(n)))))
		c.accepted -= int64(n - told)
		if told < n { // otherwise the failure is of what came later
			return told, c.failure("write")
		}
	}
	return n, nil
}
