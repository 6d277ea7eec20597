//go:build linux

package load

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/load/result"
)

func newSource(a netip.Addr) fastsock.Addr { return fastsock.NewAddr(netip.AddrPortFrom(a, 0)) }

// happened is one event.
func (c *client) happened(ev fastsock.Event) {
	switch {
	case ev.Data == bellData:
	case ev.Data == askData:
		c.startTalking()
	case ev.Data&slotMark != 0:
		i := int32(ev.Data >> 32 & (1<<29 - 1))
		if c.slots[i].stage != unused && uint64(c.slots[i].fd) == ev.Data&fdMask {
			c.advance(i, ev.Ready)
		}
	default:
		c.heldEvent(int(ev.Data&fdMask), ev.Ready)
	}
}

// advance takes the connection of a slot one stage on.
func (c *client) advance(i int32, ready uint32) {
	s := &c.slots[i]
	switch s.stage {
	case handshake:
		c.shaken(i)
	case sending:
		c.send(s, i)
	case answer, goodbye:
		c.read(s, i, ready)
	}
}

// shaken asks how a handshake ended.
func (c *client) shaken(i int32) {
	s := &c.slots[i]
	c.clock = c.now()
	switch e := fastsock.Connect(int(s.fd), s.to); e {
	case 0, syscall.EISCONN:
		if waited := c.clock - s.started; waited >= int64(synStep) {
			c.steps.note(int(s.fd), time.Duration(waited))
		}
		c.connected(s, i)
	case syscall.EALREADY, syscall.EINPROGRESS:
	default:
		c.last = c.clock
		c.fail(result.AtConnect, e)
		c.drop(i)
	}
}

// connected is an established connection, in slot i or (-1) in none yet.
func (c *client) connected(s *slot, i int32) {
	c.opened1(s.due)
	if c.spec.Mode != result.Churn {
		c.keep(s, i)
		return
	}
	switch {
	case len(c.spec.Send) > 0:
		s.stage, s.asked, s.since = sending, c.clock, c.listened
		c.send(s, i)
	case c.spec.Expect > 0:
		c.wait(s, i, answer)
	default:
		c.finish(s, i)
	}
}

// finish ends a connection of churn, or begins to wait for the server to end it.
func (c *client) finish(s *slot, i int32) {
	if serverFirst(c.spec.Close) && s.stage != goodbye {
		c.wait(s, i, goodbye)
		return
	}
	fd := int(s.fd)
	c.open.Add(-1)
	if i >= 0 {
		if c.spec.Close == result.Reuse {
			_ = c.epoll.Remove(fd) // it is still watched as a slot's
		}
		c.release(i)
	}
	if c.spec.Close == result.Reuse && fastsock.Disconnect(fd) == 0 {
		c.spare = append(c.spare, spare{fd, s.to})
		return
	}
	fastsock.Close(fd)
}

// wait lets a connection stay in a slot for something to read.
func (c *client) wait(s *slot, i int32, for_ stage) {
	s.stage = for_
	if i < 0 {
		c.park(*s, fastsock.Readable)
		return
	}
	data := slotMark | uint64(i)<<32 | uint64(s.fd)
	if e := c.epoll.Modify(int(s.fd), fastsock.Readable|fastsock.PeerClosed|fastsock.Edge,
		data); e != 0 {
		c.fail(result.AtWatch, e)
		c.drop(i)
	}
}

// send sends what is left of the request.
func (c *client) send(s *slot, i int32) {
	for int(s.sent) < len(c.spec.Send) {
		n, e := fastsock.Send(int(s.fd), c.spec.Send[s.sent:])
		switch {
		case e == 0:
			s.sent += int32(n)
		case e == syscall.EAGAIN:
			if i < 0 {
				c.park(*s, fastsock.Writable)
			}
			return
		default:
			c.broken(s, i, result.AtSend, e)
			return
		}
	}
	if c.spec.Expect > 0 {
		c.wait(s, i, answer)
		return
	}
	c.finish(s, i)
}

// broken is a connection that failed after it was established.
func (c *client) broken(s *slot, i int32, phase result.Phase, e syscall.Errno) {
	c.fail(phase, e)
	if i >= 0 {
		c.drop(i)
		return
	}
	fastsock.Close(int(s.fd))
	c.open.Add(-1)
}

// read takes what has come: part of an answer, or the end.
func (c *client) read(s *slot, i int32, ready uint32) {
	for {
		n, e := fastsock.Receive(int(s.fd), c.buffer)
		switch {
		case e == syscall.EAGAIN:
			return
		case e == 0 && n > 0 && s.stage == answer:
			if c.got(s, i, n) {
				return
			}
		case e == 0 && n > 0: // more than was expected
		case s.stage == goodbye && (e == 0 || e == syscall.ECONNRESET):
			c.finish(s, i)
			return
		case e == 0:
			c.failNamed(result.AtAnswer, shortName(s.got), 1)
			c.drop(i)
			return
		default:
			c.broken(s, i, result.AtAnswer, e)
			return
		}
	}
}

// shortName is what a failure is called where the server closed within or before its answer.
func shortName(got int32) string {
	if got > 0 {
		return "SHORT"
	}
	return "EOF"
}

// got counts bytes of an answer; true when it is whole and the connection has gone on.
func (c *client) got(s *slot, i int32, n int) bool {
	s.got += int32(n)
	if int(s.got) < c.spec.Expect {
		return false
	}
	c.answers.add(c.now() - s.asked)
	c.answered.Add(1)
	if serverFirst(c.spec.Close) {
		s.stage = goodbye
		return false // what follows may be here already
	}
	c.finish(s, i)
	return true
}

// sweep ends connections that wait too long.
func (c *client) sweep() {
	c.swept = c.clock
	for i := range c.slots {
		s := &c.slots[i]
		if s.stage == unused || c.listened-s.since < int64(c.spec.Timeout) {
			continue
		}
		phase := result.AtConnect
		switch s.stage {
		case handshake:
			c.last = c.clock
		case sending:
			phase = result.AtSend
		case answer:
			phase = result.AtAnswer
		case goodbye:
			phase = result.AtClose
		}
		c.fail(phase, syscall.ETIMEDOUT)
		c.drop(int32(i))
	}
}
