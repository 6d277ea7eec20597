//go:build linux

package load

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/load/result"
)

// tally is what one worker counts while it works. One thread writes, anyone reads; counts
// are since the run began.
type tally struct {
	attempted   atomic.Int64 // connects begun
	established atomic.Int64
	// established and not closed, at this end; of Pair: at the client's end
	open     atomic.Int64
	answered atomic.Int64
	messages atomic.Int64
	skipped  atomic.Int64 // ports that could not be bound
	_        [64]byte     // another worker's tally stands on another cache line
}

// latency is the times of one worker, in nanoseconds to within 1 %. It is HdrHistogram's
// own: recording takes 9 to 11 ns here (BenchmarkRecord on a busy machine), a third of a
// thousandth of a connection, so a structure of our own would win nothing.
type latency struct {
	times *hdrhistogram.Histogram // nil: not wanted
	over  int64                   // times beyond the last bucket
}

// Bounds of what is measured, in nanoseconds: below the one nothing is told apart, above
// the other all is one. A rate that is far beyond what can be reached makes connections
// wait for most of the run, so the bound is longer than any run.
const (
	shortest = int64(time.Microsecond)
	longest  = int64(forEver)
)

func newLatency() latency { return latency{times: hdrhistogram.New(shortest, longest, 2)} }

func (l *latency) record(d int64) {
	if l.times != nil && l.times.RecordValue(max(d, 0)) != nil {
		l.over++
	}
}

// add records where it may be the first.
func (l *latency) add(d int64) {
	if l.times == nil {
		*l = newLatency()
	}
	l.record(d)
}

func (l *latency) merge(o *latency) {
	if o.times == nil {
		return
	}
	if l.times == nil {
		*l = newLatency()
	}
	l.times.Merge(o.times)
	l.over += o.over
}

type failureKey struct {
	phase result.Phase
	errno string
}

// failures collects them for all workers.
type failures struct {
	mu  sync.Mutex
	all map[failureKey]*result.Failure
}

// add counts n failures; first and open matter for the first of its kind.
func (f *failures) add(phase result.Phase, errno string, n int64, first float64,
	open func() int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[failureKey]*result.Failure{}
	}
	key := failureKey{phase, errno}
	have, ok := f.all[key]
	if !ok {
		have = &result.Failure{Phase: phase, Errno: errno, First: first, Open: open()}
		f.all[key] = have
	}
	have.Count += n
}

// list is a copy, in order of appearance.
func (f *failures) list() []result.Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]result.Failure, 0, len(f.all))
	for _, one := range f.all {
		out = append(out, *one)
	}
	sortFailures(out)
	return out
}

// total is all failures so far.
func (f *failures) total() (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.all {
		n += one.Count
	}
	return n
}

// synStep is the shortest time in which the kernel may have sent a SYN again: the first
// retransmission timeout is 1 s (include/net/tcp.h TCP_TIMEOUT_INIT), a little less is for
// the rounding of timers.
const synStep = 900 * time.Millisecond

// synSteps counts them.
type synSteps struct {
	mu  sync.Mutex
	all []result.SYNStep
}

// stepped looks at a connection that took long. It asks the kernel how often the SYN was
// sent again.
func (w *worker) stepped(fd int) {
	// clock is the time of the connect here, or of a little before it.
	if waited := w.now() - w.clock; waited >= int64(synStep) {
		w.steps.note(fd, time.Duration(waited))
	}
}

func (s *synSteps) note(fd int, waited time.Duration) {
	again, e := fastsock.Retransmits(fd)
	if e != 0 || again == 0 {
		return // slow for another reason
	}
	s.add(result.SYNStep{
		Seconds: int(waited.Round(time.Second) / time.Second), Retransmits: int(again),
		Connections: 1,
	})
}

func (s *synSteps) add(step result.SYNStep) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.all, func(o result.SYNStep) bool {
		return o.Seconds == step.Seconds && o.Retransmits == step.Retransmits
	})
	if i < 0 {
		i, s.all = len(s.all), append(s.all,
			result.SYNStep{Seconds: step.Seconds, Retransmits: step.Retransmits})
	}
	s.all[i].Connections += step.Connections
}

// list is sorted by time.
func (s *synSteps) list() []result.SYNStep {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.all)
	slices.SortFunc(out, func(a, b result.SYNStep) int {
		return a.Seconds*1000 + a.Retransmits - b.Seconds*1000 - b.Retransmits
	})
	return out
}
