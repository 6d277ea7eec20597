package dial

import (
	"container/list"
	"context"
	"sync"
	"time"
)

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
