//go:build linux

package load

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/load/result"
)

// mostSamples bounds the series; when it is full, every second one goes and the rest are
// twice as far apart.
const mostSamples = 4096

// watcher samples a run and guards the memory.
type watcher struct {
	*run
	mu      sync.Mutex
	series  []Sample
	every   time.Duration
	cpu     time.Duration // at the start
	keep    int64
	highest int64 // open connections, at any look
	stop    chan struct{}
	stopped chan struct{}
}

func (r *run) watch(every time.Duration, keep int64, progress func(Sample)) *watcher {
	w := &watcher{
		run:     r,
		every:   every,
		keep:    keep,
		cpu:     fastsock.CPUTime(),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	if m, ok := readMemory(); ok && keep == 0 {
		w.keep = keepFree(m)
	}
	go w.loop(progress)
	return w
}

// guardEvery is how often memory is looked at: at 50,000 connections a second 80 MB go
// between two looks.
const guardEvery = 200 * time.Millisecond

func (w *watcher) loop(progress func(Sample)) {
	defer close(w.stopped)
	tick := time.NewTicker(min(guardEvery, w.every))
	defer tick.Stop()
	next := w.every
	for {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		w.highest = max(w.highest, w.allOpen())
		m, ok := readMemory()
		if ok && m.Free < w.keep {
			w.halt(result.StoppedMemory)
		}
		if now := time.Duration(w.now()); now >= next {
			s := w.sample(m)
			if progress != nil {
				progress(s)
			}
			next = now.Truncate(w.every) + w.every
		}
	}
}

// sample takes one and keeps it.
func (w *watcher) sample(m Memory) Sample {
	s := Sample{
		Seconds: float64(w.now()) / 1e9, Attempted: w.sum(func(t *tally) *atomic.Int64 {
			return &t.attempted
		}), Established: w.allEstablished(), Open: w.allOpen(),
		Failed: w.failures.total(), Messages: w.sum(func(t *tally) *atomic.Int64 {
			return &t.messages
		}), Free: m.Free, CPU: (fastsock.CPUTime() - w.cpu).Seconds(),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var before Sample
	if n := len(w.series); n > 0 {
		before = w.series[n-1]
	}
	if d := s.Seconds - before.Seconds; d > 0 {
		s.PerSecond = float64(s.Established-before.Established) / d
	}
	w.series = append(w.series, s)
	if len(w.series) >= mostSamples {
		w.series, w.every = halved(w.series), 2*w.every
	}
	return s
}

// halved keeps every second sample, with the rates over the longer time.
func halved(series []Sample) []Sample {
	out := series[:0]
	var before Sample
	for i := 1; i < len(series); i += 2 {
		s := series[i]
		if d := s.Seconds - before.Seconds; d > 0 {
			s.PerSecond = float64(s.Established-before.Established) / d
		}
		out, before = append(out, s), s
	}
	return out
}

// end stops it and gives the series with a last sample, and how many were ever seen open.
func (w *watcher) end() ([]Sample, int64) {
	close(w.stop)
	<-w.stopped
	m, _ := readMemory()
	w.sample(m)
	return w.series, w.highest
}
