package coalesce

import (
	"net"
	"os"
	"time"
)

// expiry is the write deadline of callers. Once made it stays with the connection, so that to
// set another deadline allocates nothing.
type expiry struct {
	timer *time.Timer
	at    int64 // clock; 0 for none that lies ahead
}

// SetDeadline sets the read and the write deadline.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline for Read on the wrapped connection.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return c.opError("set", net.ErrClosed)
	}
	if c.cause != nil && !c.set.KeepReading {
		return c.failure("set") // the deadline is what keeps readers awake
	}
	return c.inner.SetReadDeadline(t)
}

// SetWriteDeadline bounds how long callers of Write and Flush wait, now and later. A Write of
// less than half of BufferSize that is out of time has accepted nothing and may be
// repeated; a larger one says how much was sent. Bytes accepted before are sent
// all the same; how long that may take is Config.WriteTimeout. The zero time
// is no deadline.
//
// On a connection other than *net.TCPConn and *net.UnixConn, a deadline that
// expires in the middle of a large Write makes the connection fail, since for
// example TLS cannot resume a record.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing != nil {
		return c.opError("set", net.ErrClosed)
	}
	c.gate &^= gateExpired
	c.flag &^= tooLate
	if t.IsZero() {
		c.stopExpiry()
	} else {
		c.expireAt(t)
	}
	if c.flag&direct != 0 && c.work != nil && c.work.since.Load() != 0 {
		c.arm()
	}
	return nil
}

func (c *Conn) stopExpiry() {
	if c.expiry != nil && c.expiry.at != 0 {
		c.expiry.at = 0
		c.expiry.timer.Stop()
	}
}

func (c *Conn) expireAt(t time.Time) {
	d := time.Until(t)
	if d <= 0 {
		c.stopExpiry()
		c.expire()
		return
	}
	e := c.expiry
	if e == nil {
		e = &expiry{}
		c.expiry = e
		e.timer = time.AfterFunc(d, c.expired)
	} else {
		e.timer.Reset(d)
	}
	e.at = clock() + int64(d)
}

// expired is called by the timer, and may come late, when another deadline has been set.
func (c *Conn) expired() {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.expiry.at
	if at == 0 {
		return
	}
	if left := at - clock(); left > 0 {
		c.expiry.timer.Reset(time.Duration(left))
		return
	}
	c.expiry.at = 0
	c.flag |= tooLate
	c.expire()
}

// expire sends away all callers that wait. mu is held.
func (c *Conn) expire() {
	c.gate |= gateExpired
	if c.work == nil {
		return
	}
	err := c.opError("write", os.ErrDeadlineExceeded)
	if c.work.queue.head != nil || c.work.flushes.head != nil {
		c.flag |= tooLate
	}
	c.refuseAll(err)
	var rest waiters
	for f := c.work.flushes.head; f != nil; f = c.work.flushes.head {
		c.work.flushes.pop()
		if f.closer {
			rest.push(f) // Close has a timeout of its own
		} else {
			f.done(err)
		}
	}
	c.work.flushes = rest
	c.rest()
}

// callerClock is the write deadline of callers on the clock, or 0. mu is held.
func (c *Conn) callerClock() int64 {
	switch {
	case c.gate&gateExpired != 0:
		return 1
	case c.expiry != nil:
		return c.expiry.at
	}
	return 0
}
