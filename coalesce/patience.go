package coalesce

import (
	"fmt"
	"net"
	"os"
	"time"
)

// How long a write waits for the peer. A write of a socket that this package makes itself (push)
// sees each byte that is taken. For all other writes there is a watcher, which looks at what the peer
// has acknowledged, since the call does not say how far it is. Both end a write when the peer has taken nothing
// for WriteTimeout: never earlier, and at most a tenth of it later.

// bound is how long the peer may take nothing in the write that is under way, or 0 for no bound:
// writes in the goroutine of a caller are bounded by its deadline, unless the Config says that
// it must not wait for a slow peer. mu is held.
func (c *Conn) bound() int64 {
	if c.set.WriteTimeout < 0 || c.flag&direct != 0 && c.set.OnFull == Block {
		return 0
	}
	return int64(c.set.WriteTimeout)
}

// beginWait is called before a write that may wait for the peer. mu is held.
func (c *Conn) beginWait() {
	c.work.since = clock()
	c.work.began = c.work.since
	c.arm()
	if c.blind() {
		c.startWatch()
	}
}

// blind says whether the write that is under way does not show which bytes are taken. mu is held.
func (c *Conn) blind() bool { return c.raw == nil || c.flag&moving != 0 }

// waits is called when the socket is full, with what happened since the last time.
func (c *Conn) waits(took bool) {
	if !took {
		return
	}
	c.mu.Lock()
	c.work.since = clock()
	c.arm()
	c.mu.Unlock()
}

// endWait is called after a write that may have waited, and has sent n bytes. mu is held.
func (c *Conn) endWait(n int) {
	if n > 0 && c.set.WriteTimeout > 0 && clock()-c.work.began > int64(c.set.WriteTimeout) {
		c.counts.slow++
	}
	c.work.since = 0
}

// judge says what it means that the write deadline of the socket has passed: the caller's
// has, or the peer is stuck. Otherwise the deadline was another one; it is set anew, and the write may go
// on. mu is held.
func (c *Conn) judge() error {
	now := clock()
	if at := c.callerClock(); c.flag&direct != 0 && at != 0 && at <= now {
		return c.opError("write", os.ErrDeadlineExceeded)
	}
	if limit := c.bound(); limit != 0 && now-c.work.since >= limit {
		return errStuck
	}
	if c.cause != nil {
		return c.cause
	}
	c.armed = 1 // not zero: it has to be set anew
	c.arm()
	return nil
}

// errStuck is the failure of a connection whose peer takes nothing.
var errStuck = fmt.Errorf("%w: %w", ErrStuck, os.ErrDeadlineExceeded)

// arm sets the write deadline of the wrapped connection to that of the caller, if it is the owner, or to
// the time at which the peer will be stuck. Setting one costs more than asking, so the latter may be up
// to a twentieth late. mu is held.
func (c *Conn) arm() {
	want, late := int64(0), int64(0)
	if limit := c.bound(); limit != 0 && !c.blind() {
		want, late = c.work.since+limit, limit/20
	}
	if at := c.callerClock(); c.flag&direct != 0 && at != 0 && (want == 0 || at < want) {
		want, late = at, 0
	}
	switch {
	case want == 0:
		c.disarm()
	case c.armed < want || c.armed > want+late:
		c.armed = want + late
		c.inner.SetWriteDeadline(epoch.Add(time.Duration(c.armed)))
	}
}

// disarm removes the write deadline of the wrapped connection. mu is held.
func (c *Conn) disarm() {
	if c.armed != 0 {
		c.armed = 0
		c.inner.SetWriteDeadline(time.Time{})
	}
}

// writeInner writes p with the Write of the wrapped connection. The caller owns it for writing; mu
// is not held.
func (c *Conn) writeInner(p []byte) (int, error) {
	c.mu.Lock()
	c.beginWait()
	c.counts.calls++
	c.mu.Unlock()
	n, err := c.inner.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endWait(n)
	return n, c.blindError(err)
}

// blindError is the error of a write that the watcher may have ended. mu is held.
func (c *Conn) blindError(err error) error {
	fired := c.watch != nil && c.watch.fired
	if fired {
		c.watch = nil
		c.armed = 1
		c.disarm()
	}
	switch {
	case err == nil || !isTimeout(err):
		return err
	case fired:
		return errStuck
	case c.cause != nil:
		return c.cause
	}
	return err
}

// watcher ends a write when the peer has taken nothing for too long.
type watcher struct {
	timer *time.Timer
	mark  progress
	seen  bool // mark is valid
	fired bool
}

// startWatch sees to it that there is a watcher, which stays for a while, since writes mostly
// follow each other. mu is held.
func (c *Conn) startWatch() {
	if c.watch != nil || c.bound() == 0 {
		return
	}
	w := &watcher{}
	c.watch = w
	w.timer = time.AfterFunc(time.Duration(c.bound()/watchTicks), func() { c.look(w) })
}

// watchTicks is how often a watcher looks in the time that the peer has.
const watchTicks = 25

// look is the tick of the watcher.
func (c *Conn) look(w *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.bound()
	if c.watch != w || limit == 0 || c.work == nil || c.work.since == 0 || w.fired {
		if c.watch == w && !w.fired {
			c.watch = nil
		}
		return
	}
	c.sample()
	left := c.work.since + limit - clock()
	if left <= 0 {
		w.fired = true
		c.inner.SetWriteDeadline(epoch)
		return
	}
	w.timer.Reset(min(time.Duration(limit/watchTicks), time.Duration(left)))
}

// sample takes note of what the peer has taken since the last time. mu is held.
func (c *Conn) sample() {
	w := c.watch
	if w == nil || c.work == nil || c.work.since == 0 {
		return
	}
	mark, ok := progressOf(c.inner)
	if ok && (!w.seen || mark != w.mark) {
		c.work.since = clock()
	}
	w.mark, w.seen = mark, ok
}

// progress is a value that changes when the peer takes bytes.
type progress struct {
	acked  uint64
	queued int
}

// inside is the connection that c encloses, or nil. To look at that one is safe; to
// write to it is not, for c may be a TLS connection.
func inside(c net.Conn) net.Conn {
	switch c := c.(type) {
	case *Conn:
		return c.inner
	case interface{ NetConn() net.Conn }:
		return c.NetConn()
	}
	return nil
}
