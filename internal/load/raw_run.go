//go:build linux

package load

import (
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/packet"
	"github.com/maxconn/maxconn/internal/load/result"
)

// Times of the raw client. It resends when nothing at all was answered for a while, so that
// a server that is slow is not asked twice.
const (
	rawResend = int64(300 * time.Millisecond)
	rawIdle   = 2 * time.Millisecond
)

func (c *rawClient) churn() bool { return c.spec.Mode == result.Churn }

// work is the worker.
func (c *rawClient) work(w *worker) {
	c.worker = w
	c.clock = w.now()
	c.moved = c.clock
	for c.round() {
	}
	c.giveUp()
	c.done.note(c.clock)
	c.leave()
	for !c.ended.Load() {
		if c.receive(batch) == 0 {
			c.ring.Wait(50 * time.Millisecond)
		}
		_ = c.ring.Flush()
	}
	c.resetAll()
}

// round sends what the window has room for, and takes the answers. False at the end of opening.
func (c *rawClient) round() bool {
	did := c.begin(2 * batch)
	_ = c.ring.Flush()
	did += c.receive(1 << 16)
	_ = c.ring.Flush()
	if did == 0 {
		c.ring.Wait(rawIdle)
	}
	c.clock = c.now()
	if c.clock-c.moved > rawResend && c.sent > c.ended_ {
		c.resend()
	}
	switch {
	case c.halted.Load() || c.clock >= c.until:
		return false
	case c.clock-c.moved > int64(c.spec.Timeout) && c.sent > c.ended_:
		return false
	}
	return c.mayBegin() || c.sent > c.ended_
}

// mayBegin says whether further connections are wanted.
func (c *rawClient) mayBegin() bool { return c.sent < c.limit && (c.churn() || c.sent < c.all) }

// begin sends first SYNs, at most n.
func (c *rawClient) begin(n int) (did int) {
	most := c.limit
	if c.due > 0 {
		most = min(most, int64(float64(c.clock)/1e9*c.spec.Rate)+1)
	}
	for did < n && c.sent < most && c.sent-c.ended_ < c.window && c.mayBegin() {
		k := c.sent % c.all
		s := c.tuple(k)
		if c.churn() {
			unmark(c.shaken, k)
			unmark(c.failed, k)
		}
		s.Seq, s.Flags = initial(s, c.sent/c.all), packet.SYN
		c.emit(s)
		c.sent++
		did++
	}
	c.attempted.Store(c.sent)
	if did > 0 && c.sent == c.ended_+int64(did) {
		c.moved = c.clock // nothing was under way
	}
	return did
}

// receive takes at most n frames.
func (c *rawClient) receive(n int) (did int) {
	for ; did < n; did++ {
		f := c.ring.Next()
		if f == nil {
			return did
		}
		if s, ok := packet.ParseSegment(f); ok {
			c.answered1(s)
		} else if a, ok := packet.ParseARP(f); ok {
			c.attendARP(a)
		}
		c.ring.Done()
		if did&255 == 255 {
			_ = c.ring.Flush()
		}
	}
	return did
}

// answered1 takes one answer.
func (c *rawClient) answered1(s packet.Segment) {
	k := c.number(s)
	if k < 0 {
		return
	}
	reply := packet.Segment{
		From:     s.To,
		To:       s.From,
		FromPort: s.ToPort,
		ToPort:   s.FromPort,
		Seq:      s.Ack,
		Ack:      s.Seq + 1,
	}
	switch {
	case s.Flags&packet.RST != 0:
		c.reset(k)
	case s.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK:
		c.shake(k, reply)
	case s.Flags&packet.FIN != 0 && bit(c.shaken, k) && !c.churn():
		reply.Flags = packet.RST | packet.ACK
		c.emit(reply)
		c.lost(k, "EOF")
	}
}

// shake ends a handshake. Its SYN-ACK may come twice.
func (c *rawClient) shake(k int64, reply packet.Segment) {
	if !bit(c.shaken, k) && !bit(c.failed, k) {
		mark(c.shaken, k)
		c.ended_++
		c.moved = c.clock
		c.established.Add(1)
		if !c.churn() {
			c.open.Add(1)
		}
	}
	reply.Flags = packet.ACK
	c.emit(reply)
	if c.churn() {
		reply.Flags = packet.RST | packet.ACK
		c.emit(reply)
	}
}

// reset is a connection that was refused, or ended while it was held.
func (c *rawClient) reset(k int64) {
	switch {
	case bit(c.failed, k):
	case !bit(c.shaken, k):
		mark(c.failed, k)
		c.ended_++
		c.moved = c.clock
		c.fail(result.AtConnect, syscall.ECONNREFUSED)
	case !c.churn():
		c.lost(k, "ECONNRESET")
	}
}

func (c *rawClient) lost(k int64, errno string) {
	unmark(c.shaken, k)
	mark(c.failed, k)
	c.open.Add(-1)
	c.failNamed(result.AtHeld, errno, 1)
}

// resend sends the SYNs again that were not answered, at most a window of them.
func (c *rawClient) resend() {
	if c.churn() {
		c.moved = c.clock
		c.failNamed(result.AtConnect, "ETIMEDOUT", c.sent-c.ended_)
		c.ended_ = c.sent
		return
	}
	for ; c.low < c.sent && (bit(c.shaken, c.low) || bit(c.failed, c.low)); c.low++ {
	}
	n := int64(0)
	for k := c.low; k < c.sent && n < c.window; k++ {
		if bit(c.shaken, k) || bit(c.failed, k) {
			continue
		}
		s := c.tuple(k)
		s.Seq, s.Flags = initial(s, 0), packet.SYN
		c.emit(s)
		n++
	}
	c.resent.Add(n)
	_ = c.ring.Flush()
	for end := c.now() + rawResend; c.now() < end && c.receive(batch) == 0; {
		c.ring.Wait(rawIdle)
	}
	_ = c.ring.Flush()
}

// giveUp counts what was never answered.
func (c *rawClient) giveUp() {
	if left := c.sent - c.ended_; left > 0 && c.clock < c.until {
		c.failNamed(result.AtConnect, "ETIMEDOUT", left)
	}
}

// resetAll ends every connection, also such as were never answered here: else the server's
// ends become orphans that nobody answers, for minutes.
func (c *rawClient) resetAll() {
	round := int64(0)
	if c.churn() {
		round = max(c.sent-1, 0) / c.all
	}
	for k := range min(c.sent, c.all) {
		if bit(c.failed, k) || c.churn() && bit(c.shaken, k) {
			continue
		}
		s := c.tuple(k)
		r := round
		if c.churn() && k > (c.sent-1)%c.all {
			r--
		}
		s.Seq, s.Flags = initial(s, r)+1, packet.RST
		c.emit(s)
	}
	_ = c.ring.Flush()
	c.open.Store(0)
	// The kernel sends what is in the ring while the socket is open; frames of the
	// server's meanwhile are of no interest.
	c.ring.Wait(10 * time.Millisecond)
}
