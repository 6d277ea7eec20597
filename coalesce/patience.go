package coalesce

import (
	"fmt"
	"math"
	"net"
	"os"
	"time"
)

// How long a write waits for the peer. A watcher looks from time to time at what the peer has
// taken, while a write waits, and ends the write when that was nothing for WriteTimeout: never
// earlier, and at most a tenth of it later. The write itself does not show that: the kernel lets
// a writer go on when a third of the socket's buffer is free (sk_stream_is_writeable in
// include/net/sock.h), and a TLS connection when all of a record has been taken.

// bound is how long the peer may take nothing in the write that is under way, or 0 for no bound:
// writes in the goroutine of a caller are bounded by its deadline, unless the Config says that
// it must not wait for a slow peer. mu is held.
func (c *Conn) bound() int64 {
	if c.set.WriteTimeout < 0 || c.flag&direct != 0 && c.set.OnFull == Block {
		return 0
	}
	return int64(c.set.WriteTimeout)
}

// beginWait is called by the owner before a write that may wait for the peer, and endWait after
// it. mu is held.
func (c *Conn) beginWait() {
	now := clock()
	c.work.since.Store(now)
	c.work.began = now
	c.arm()
	c.startWatch()
}

// endWait is told that n bytes were sent, and returns what err means. mu is held.
func (c *Conn) endWait(n int, err error) error {
	if n > 0 && c.set.WriteTimeout > 0 && clock()-c.work.began > int64(c.set.WriteTimeout) {
		c.counts.slow++
	}
	c.work.since.Store(0)
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

// mayGoOn says whether a write that was out of time may go on, since the deadline that has passed
// was neither the caller's nor the watcher's. It is then set anew. mu is held.
func (c *Conn) mayGoOn() bool {
	at := c.callerClock()
	if c.flag&direct != 0 && at != 0 && at <= clock() || c.watch != nil && c.watch.fired ||
		c.cause != nil {
		return false
	}
	c.armed = 1 // not zero: it has to be set anew
	c.arm()
	return true
}

// errStuck is the failure of a connection whose peer takes nothing.
var errStuck = fmt.Errorf("%w: %w", ErrStuck, os.ErrDeadlineExceeded)

// arm sets the write deadline of the wrapped connection: that of the caller, if it is the owner.
// mu is held.
func (c *Conn) arm() {
	at := c.callerClock()
	switch {
	case c.flag&direct == 0 || at == 0:
		c.disarm()
	case c.armed != at:
		c.armed = at
		c.inner.SetWriteDeadline(epoch.Add(time.Duration(at)))
	}
}

// disarm removes the write deadline of the wrapped connection. mu is held.
func (c *Conn) disarm() {
	if c.armed != 0 {
		c.armed = 0
		c.inner.SetWriteDeadline(time.Time{})
	}
}

// writeInner writes p with the Write of the wrapped connection. The owner calls it, between
// beginWait and endWait; mu is not held.
func (c *Conn) writeInner(p []byte) (total int, err error) {
	w := c.work
	for err == nil && total < len(p) {
		c.mu.Lock()
		piece := p[total:min(len(p), total+c.pieceSize())]
		c.mu.Unlock()
		if total > 0 {
			w.since.Store(clock())
		}
		w.try.calls++
		var n int
		n, err = c.inner.Write(piece)
		total += n
	}
	return total, err
}

// smallPiece is what is written at once when the peer is slow and nothing else shows what it
// takes.
const smallPiece = 4 << 10

// pieceSize is how much to give to the wrapped connection in one Write: where the socket cannot
// be found, a Write that has not ended looks like one of which nothing was taken. mu is held.
func (c *Conn) pieceSize() int {
	switch {
	case c.bound() == 0:
		return math.MaxInt
	case c.watch.slow && !c.watch.seen:
		return smallPiece
	}
	return c.set.BufferSize
}

// watcher ends a write when the peer has taken nothing for too long.
type watcher struct {
	timer *time.Timer
	mark  progress
	seen  bool // mark is valid
	slow  bool // a write has lasted until a tick
	fired bool
}

// startWatch sees to it that there is a watcher, which stays for a while, since writes mostly
// follow each other. mu is held.
func (c *Conn) startWatch() {
	if c.watch != nil {
		return
	}
	w := &watcher{}
	c.watch = w
	w.timer = time.AfterFunc(c.watchEvery(), func() { c.look(w) })
}

// watchEvery is a small part of the time that the peer has. Close asks the watcher too.
func (c *Conn) watchEvery() time.Duration {
	if c.set.WriteTimeout < 0 {
		return patience
	}
	return c.set.WriteTimeout / 25
}

// look is the tick of the watcher.
func (c *Conn) look(w *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watch != w || w.fired {
		return
	}
	if c.work == nil || c.work.since.Load() == 0 {
		c.watch = nil
		return
	}
	c.sample()
	w.slow = true
	next := c.watchEvery()
	if limit := c.bound(); limit != 0 {
		left := time.Duration(c.work.since.Load() + limit - clock())
		if left <= 0 {
			w.fired = true
			c.inner.SetWriteDeadline(epoch)
			return
		}
		next = min(next, left)
	}
	w.timer.Reset(next)
}

// sample takes note of what the peer has taken since the last time. mu is held.
func (c *Conn) sample() {
	w := c.watch
	if w == nil || c.work == nil || c.work.since.Load() == 0 {
		return
	}
	mark, ok := progressOf(c.inner)
	if ok && (!w.seen || mark != w.mark) {
		c.work.since.Store(clock())
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
	case wrapper:
		return c.wrapped()
	case interface{ NetConn() net.Conn }:
		return c.NetConn()
	}
	return nil
}

// wrapper is a Conn, or a type with a Conn inside.
type wrapper interface{ wrapped() net.Conn }

func (c *Conn) wrapped() net.Conn { return c.inner }

// shows says whether what the peer has taken can be seen.
func (c *Conn) shows() bool {
	_, ok := progressOf(c.inner)
	return ok
}
