package coalesce

import (
	"os"
	"time"
)

// expiry is the timer of a write deadline that lies ahead.
type expiry struct {
	timer *time.Timer
	at    time.Time
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
	if c.cause != nil && !c.set.KeepReading && c.closing == nil {
		return c.failure() // the deadline is what keeps readers awake
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
	if c.gate&gateClosed != 0 {
		return c.inner.SetWriteDeadline(t) // most likely net.ErrClosed
	}
	c.stopExpiry()
	c.gate &^= gateExpired
	if !t.IsZero() {
		c.expireAt(t)
	}
	if c.flag&direct != 0 {
		return c.inner.SetWriteDeadline(t)
	}
	return nil
}

func (c *Conn) stopExpiry() {
	if c.expiry != nil {
		c.expiry.timer.Stop()
		c.expiry = nil
	}
}

func (c *Conn) expireAt(t time.Time) {
	d := time.Until(t)
	if d <= 0 {
		c.expire()
		return
	}
	e := &expiry{at: t}
	e.timer = time.AfterFunc(d, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.expiry == e {
			c.expire()
		}
	})
	c.expiry = e
}

// expire sends away all callers that wait. mu is held.
func (c *Conn) expire() {
	c.gate |= gateExpired
	if c.work == nil {
		return
	}
	err := c.opError("write", os.ErrDeadlineExceeded)
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

// callerDeadline is the write deadline, or zero. mu is held.
func (c *Conn) callerDeadline() time.Time {
	switch {
	case c.gate&gateExpired != 0:
		return time.Unix(1, 0)
	case c.expiry != nil:
		return c.expiry.at
	}
	return time.Time{}
}
