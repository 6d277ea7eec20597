package dial

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// gate lets dials through one after the other, in the order in which they came, as a
// limit of open connections and a rate allow.
type gate struct {
	maxOpen int     // 0: any number
	rate    float64 // a second; 0: any rate

	mu      sync.Mutex
	open    int
	tokens  float64 // of the rate: up to burst
	filled  time.Time
	waiting list.List // of *turn
	timer   *time.Timer
}

// turn is one dial that waits. Its channel is closed when it may go; given says so under the lock.
type turn struct {
	ready chan struct{}
	given bool
}

func newGate(maxOpen int, rate float64) *gate {
	return &gate{maxOpen: max(0, maxOpen), rate: max(0, rate), tokens: burst(rate)}
}

// longestNap keeps the time until the next turn, at one dial in a thousand years, within a
// time.Duration.
const longestNap = time.Hour

// burst is how many dials may go at once after a pause.
func burst(rate float64) float64 { return max(1, rate/10) }

// limits says whether the gate can hold anybody up.
func (g *gate) limits() bool { return g.maxOpen > 0 || g.rate > 0 }

// enter waits for a turn; leave gives it back. The limit that held it up last, and how many
// were ahead, come with the context's error.
func (g *gate) enter(ctx context.Context) (limit string, ahead int, err error) {
	g.mu.Lock()
	ahead = g.waiting.Len()
	t := &turn{ready: make(chan struct{})}
	e := g.waiting.PushBack(t)
	g.pump(time.Now())
	given := t.given
	g.mu.Unlock()
	if given {
		return "", 0, nil
	}
	select {
	case <-t.ready:
		return "", 0, nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	limit = g.holds()
	if t.given {
		g.open--
		g.tokens++ // as if it had not come
	} else {
		g.waiting.Remove(e)
	}
	g.pump(time.Now())
	return limit, ahead, ctx.Err()
}

func (g *gate) leave() {
	g.mu.Lock()
	g.open--
	g.pump(time.Now())
	g.mu.Unlock()
}

func (g *gate) holds() string {
	if g.rate == 0 || g.maxOpen > 0 && g.open >= g.maxOpen {
		return "MaxOpen"
	}
	return "MaxPerSecond"
}

// pump lets through who may go, and sets the timer when it is the rate that holds up the first.
func (g *gate) pump(now time.Time) {
	g.fill(now)
	for e := g.waiting.Front(); e != nil; e = g.waiting.Front() {
		if g.maxOpen > 0 && g.open >= g.maxOpen {
			return
		}
		if g.rate > 0 && g.tokens < 1 {
			g.wake(time.Duration(min((1-g.tokens)/g.rate, longestNap.Seconds()) *
				float64(time.Second)))
			return
		}
		t := g.waiting.Remove(e).(*turn)
		g.open++
		g.tokens--
		t.given = true
		close(t.ready)
	}
}

func (g *gate) fill(now time.Time) {
	if g.rate > 0 {
		g.tokens = min(burst(g.rate), g.tokens+g.rate*now.Sub(g.filled).Seconds())
		g.filled = now
	}
}

// wake pumps again after d. One timer at a time is under way; it does nothing once nobody waits.
func (g *gate) wake(d time.Duration) {
	if g.timer != nil {
		g.timer.Reset(d)
		return
	}
	g.timer = time.AfterFunc(d, func() {
		g.mu.Lock()
		g.pump(time.Now())
		g.mu.Unlock()
	})
}

func (g *gate) queue() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waiting.Len()
}

// idle says that a new gate would be no different: nobody is through or waits, and the rate
// is all there.
func (g *gate) idle(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fill(now)
	return g.open == 0 && g.waiting.Len() == 0 && (g.rate == 0 || g.tokens >= burst(g.rate))
}

// probeEvery is how often the first in line asks the kernel whether a port has come back
// that this program does not see: one whose TIME_WAIT has ended, or another program's.
const probeEvery = 100 * time.Millisecond

// line is where dials wait for a port. The first in it tries; the others wait for their place.
type line struct {
	mu    sync.Mutex
	spots list.List     // of chan struct{}, told once that they are first
	freed chan struct{} // a port was given back
}

func newLine() *line { return &line{freed: make(chan struct{}, 1)} }

func (l *line) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spots.Len()
}

// tell has the first in line look again.
func (l *line) tell() {
	select {
	case l.freed <- struct{}{}:
	default:
	}
}

// wait queues up and, once first, has try called at once and whenever there may be a port,
// until it says that it is done. try calls leave as soon as it has a port, so that the next
// need not wait for a handshake. The error is ctx's.
func (l *line) wait(ctx context.Context, try func(leave func()) (done bool)) error {
	e, first := l.join()
	leave := sync.OnceFunc(func() { l.leave(e) })
	defer leave()
	select {
	case <-first:
	case <-ctx.Done():
		return ctx.Err()
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for !try(leave) {
		select {
		case <-l.freed:
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (l *line) join() (*list.Element, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first := make(chan struct{}, 1)
	e := l.spots.PushBack(first)
	if l.spots.Front() == e {
		first <- struct{}{}
	}
	return e, first
}

func (l *line) leave(e *list.Element) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.spots.Front() == e
	l.spots.Remove(e)
	if next := l.spots.Front(); was && next != nil {
		next.Value.(chan struct{}) <- struct{}{}
	}
}
