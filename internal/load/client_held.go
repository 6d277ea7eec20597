//go:build linux

package load

import (
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/load/result"
)

// keep holds a connection: from now on it is a bit in a set, and watched for its end.
func (c *client) keep(s *slot, i int32) {
	fd := int(s.fd)
	var e syscall.Errno
	if i >= 0 {
		c.release(i)
		e = c.epoll.Modify(fd, watchHeld, uint64(fd))
	} else {
		e = c.epoll.Add(fd, watchHeld, uint64(fd))
	}
	if e != 0 {
		c.fail(result.AtWatch, e)
	}
	c.held.add(fd)
}

// heldEvent is the end of a held connection, or something to read.
func (c *client) heldEvent(fd int, ready uint32) {
	if !c.held.has(fd) {
		return
	}
	for {
		n, e := fastsock.Receive(fd, c.buffer)
		switch {
		case e == syscall.EAGAIN:
			return
		case e != 0 || n == 0:
			c.lose(fd, e)
			return
		}
		c.talking.heard(c, fd, n)
	}
}

// lose is a connection that ended, not by us.
func (c *client) lose(fd int, e syscall.Errno) {
	c.fail(result.AtHeld, e)
	c.talking.lost(c, fd)
	c.held.drop(fd)
	fastsock.Close(fd)
	c.open.Add(-1)
}

// closeAll resets what is held and gives up what is under way.
func (c *client) closeAll() {
	if c.talking != nil {
		c.drain()
		c.talking.finish(c)
	}
	for i := range c.slots {
		if c.slots[i].stage != unused {
			c.drop(int32(i))
		}
	}
	c.held.each(func(fd int) { fastsock.Close(fd) })
	for _, s := range c.spare {
		fastsock.Close(s.fd)
	}
	c.open.Store(0)
	if c.opening {
		c.openedAll()
	}
}

// drain takes the events that are there: answers that came in time and were not read yet.
func (c *client) drain() {
	for range c.held.n/batch + 1 {
		if n, e := c.epoll.Wait(0, c.happened); n < batch || e != 0 {
			return
		}
	}
}

// talking is the questions of one worker in Talk: when each held connection asked, by
// descriptor, 0 where no answer is wanted.
type talking struct {
	asked []int64
	got   []int32
	left  int
	over  bool
	next  int // descriptors below it have not been asked yet
}

// startTalking makes ready to ask on every held connection; ask does it.
func (c *client) startTalking() {
	_ = c.epoll.Remove(int(c.asking))
	n := 64 * len(c.held.bits)
	c.talking = &talking{asked: make([]int64, n), got: make([]int32, n), left: c.held.n,
		next: n}
	if c.held.n == 0 {
		c.talking.finish(c)
	}
}

// ask sends a batch of questions, and says how long to wait for events then: answers are
// read in between, so that none waits for all the questions.
func (t *talking) ask(c *client, wait time.Duration) time.Duration {
	if t == nil || t.next == 0 {
		return wait
	}
	for n := 0; n < batch && t.next > 0; {
		t.next--
		if !c.held.has(t.next) {
			continue
		}
		n++
		t.asked[t.next] = c.now()
		if _, e := fastsock.Send(t.next, c.spec.Send); e != 0 {
			c.fail(result.AtSend, e)
			t.close(c, t.next)
		}
	}
	return 0
}

// heard counts an answer's bytes.
func (t *talking) heard(c *client, fd, n int) {
	if t == nil || fd >= len(t.asked) || t.asked[fd] == 0 {
		return
	}
	if t.got[fd] += int32(n); int(t.got[fd]) < c.spec.Expect {
		return
	}
	c.answers.add(c.now() - t.asked[fd])
	c.answered.Add(1)
	t.close(c, fd)
}

// close ends one question.
func (t *talking) close(c *client, fd int) {
	t.asked[fd] = 0
	if t.left--; t.left == 0 {
		t.finish(c)
	}
}

func (t *talking) lost(c *client, fd int) {
	if t != nil && fd < len(t.asked) && (t.asked[fd] != 0 || fd < t.next) {
		t.close(c, fd)
	}
}

// finish says that this worker waits for no answer, once; those that never came are failures.
func (t *talking) finish(c *client) {
	if t.over {
		return
	}
	t.over = true
	if t.left > 0 {
		c.failNamed(result.AtAnswer, "ETIMEDOUT", int64(t.left))
	}
	c.talkers.Done()
}

// chat is messages on held connections, spread evenly over them and over time.
type chat struct {
	last int64 // when the last were sent
	owed float64
	at   int // descriptor after which to go on
}

// before sends what is due and says how long to wait at most for events.
func (h *chat) before(c *client, wait time.Duration) time.Duration {
	if c.spec.MessageRate == 0 || c.held.n == 0 {
		return wait
	}
	const tick = 10 * time.Millisecond
	all := c.allOpen()
	if h.last > 0 && all > 0 {
		h.owed += c.spec.MessageRate * float64(c.held.n) / float64(all) *
			float64(c.clock-h.last) / 1e9
	}
	h.last = c.clock
	for ; h.owed >= 1 && c.held.n > 0; h.owed-- {
		h.say(c)
	}
	if wait < 0 || wait > tick {
		return tick
	}
	return wait
}

// say sends one message on the next connection.
func (h *chat) say(c *client) {
	fd := c.held.after(h.at)
	h.at = fd
	message := c.spec.Send
	if len(message) == 0 {
		message = c.buffer[:1]
		message[0] = '\n'
	}
	switch _, e := fastsock.Send(fd, message); e {
	case 0:
		c.messages.Add(1)
	case syscall.EAGAIN: // its buffer is full: the peer does not read
		c.fail(result.AtSend, e)
	default:
		c.lose(fd, e)
	}
}

// after is the next descriptor of the set behind fd, the first one behind the last. The set
// is not empty.
func (d *descriptors) after(fd int) int {
	for i := range 64 * len(d.bits) {
		if next := (fd + 1 + i) % (64 * len(d.bits)); d.has(next) {
			return next
		}
	}
	return fd
}
