package listen

import (
	"net"
	"sync"
	"time"
)

// SetDeadline makes Accept, and Serve, fail with os.ErrDeadlineExceeded from then on; Serve closes
// the listener then, as it does after every error. The zero time means no deadline. It acts on
// callers that wait already. After Close the error is net.ErrClosed.
func (l *Listener) SetDeadline(t time.Time) error {
	l.resizing.Lock()
	defer l.resizing.Unlock()
	if l.closing.Load() {
		return l.fail("set", net.ErrClosed)
	}
	l.until.set(t)
	for _, s := range l.shards {
		if err := s.wakeAt(t); err != nil {
			return l.fail("set", err)
		}
	}
	return nil
}

// deadline is when Accept gives up.
type deadline struct {
	mu      sync.Mutex
	at      time.Time
	timer   *time.Timer
	passed  chan struct{} // closed when the time has come
	changed chan struct{} // closed, and replaced, by each set
}

func (d *deadline) init() { d.passed, d.changed = make(chan struct{}), make(chan struct{}) }

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.passed // the timer has fired and is about to close it
	}
	d.timer, d.at = nil, t
	if isClosed(d.passed) {
		d.passed = make(chan struct{})
	}
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		close(d.passed)
	default:
		passed := d.passed
		d.timer = time.AfterFunc(left, func() { close(passed) })
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passed
}

func (d *deadline) changes() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

func (d *deadline) time() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
