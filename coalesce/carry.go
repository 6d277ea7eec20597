package coalesce

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
