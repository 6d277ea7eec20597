//go:build linux

package load

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/linux/thread"
	"github.com/maxconn/maxconn/internal/load/result"
)

// run is one Connect, Pair or Serve under way: what all its workers share.
type run struct {
	role      string // as in Report
	spec      Spec
	serve     ServeSpec
	space     *space
	start     time.Time
	began     int64         // the same, ns on the clock that all processes share
	due       time.Duration // from one connection to the next, 0: at once
	limit     int64         // connections to open
	until     int64         // ns from start: no connect after it
	next      atomic.Int64  // ticket of the next connection
	listeners atomic.Int64  // workers of pair that have listened
	halted    atomic.Bool   // no further connections, for the reason in why
	ended     atomic.Bool   // workers shall close all and end
	why       atomic.Pointer[string]
	tight     atomic.Pointer[Room] // of the cgroup whose lack of memory halted the run
	over      chan struct{}        // closed with ended
	ending    fastsock.Bell
	asking    fastsock.Bell

	failures failures
	steps    synSteps
	mu       sync.Mutex
	tallies  []*tally
	times    latency // of workers that have ended
	answers  latency
	tables   int          // descriptor tables used
	resent   atomic.Int64 // SYNs, by a raw client
	done     openTime
	workers  sync.WaitGroup
	opening  sync.WaitGroup // workers that have not yet opened all that they will
	talkers  sync.WaitGroup // talk: workers with questions open
	remote   remoteWorkers
	local    bool // the target is an address of this host
}

// openTime is when the last handshake ended, ns from start.
type openTime struct{ last atomic.Int64 }

func (o *openTime) note(at int64) {
	for {
		have := o.last.Load()
		if at <= have || o.last.CompareAndSwap(have, at) {
			return
		}
	}
}

func newRun(role string, s Spec) (*run, error) {
	r := &run{
		role:  role,
		spec:  s,
		limit: math.MaxInt64,
		until: math.MaxInt64,
		over:  make(chan struct{}),
	}
	if s.Connections > 0 {
		r.limit = s.Connections
	}
	if s.Rate > 0 {
		r.due = time.Duration(float64(time.Second) / s.Rate)
	}
	var e syscall.Errno
	if r.ending, e = fastsock.NewBell(); e == 0 {
		r.asking, e = fastsock.NewBell()
	}
	if e != 0 {
		return nil, fmt.Errorf("load: make an eventfd: %w", e)
	}
	if s.Mode == result.Churn && s.Duration > 0 {
		r.until = int64(s.Duration)
	}
	return r, nil
}

// begin starts the clock.
func (r *run) begin() { r.start, r.began = time.Now(), fastsock.Uptime() }

// now is the time since the start, in ns.
func (r *run) now() int64 { return int64(time.Since(r.start)) }

// ticket is the right to open one connection: when it is due, in ns since the start. Not
// ok: there are none left, or not by then. next never passes the limit: a lane that gives its
// ticket back takes it down by one, and its successor must find it.
func (r *run) ticket() (due int64, ok bool) {
	if r.halted.Load() {
		return 0, false
	}
	n := r.next.Load()
	for n < r.limit && !r.next.CompareAndSwap(n, n+1) {
		n = r.next.Load()
	}
	if n >= r.limit {
		return 0, false
	}
	if r.due > 0 {
		due = int64(float64(n) / r.spec.Rate * 1e9)
		if due >= r.until {
			return 0, false
		}
	}
	return due, true
}

// halt ends the opening of connections, and says why.
func (r *run) halt(why string) {
	r.why.CompareAndSwap(nil, &why)
	r.halted.Store(true)
	if r.remote.started > 0 {
		r.end() // worker processes know no halt but the end
	}
}

// end makes all workers close what they hold and finish.
func (r *run) end() {
	r.halted.Store(true)
	if !r.ended.Swap(true) {
		close(r.over)
	}
	r.ending.Ring()
}

// count makes the tally of a new worker.
func (r *run) count() *tally {
	t := &tally{}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tallies = append(r.tallies, t)
	return t
}

// sum adds up one count over all workers.
func (r *run) sum(of func(*tally) *atomic.Int64) (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.tallies {
		n += of(t).Load()
	}
	return n
}

func (r *run) allOpen() int64 { return r.sum(func(t *tally) *atomic.Int64 { return &t.open }) }

func (r *run) allEstablished() int64 {
	return r.sum(func(t *tally) *atomic.Int64 { return &t.established })
}

// fail counts a failure.
func (r *run) fail(phase result.Phase, e syscall.Errno) { r.failNamed(phase, errnoName(e), 1) }

func (r *run) failNamed(phase result.Phase, errno string, n int64) {
	r.failures.add(phase, errno, n, float64(r.now())/1e9, r.allOpen)
}

func errnoName(e syscall.Errno) string {
	if e == 0 {
		return "EOF"
	}
	if name := fastsock.ErrnoName(e); name != "" {
		return name
	}
	return fmt.Sprintf("errno %d", int(e))
}

// finished takes over what a worker measured.
func (r *run) finished(times, answers *latency) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.times.merge(times)
	r.answers.merge(answers)
}

// newTable counts the tables in use.
func (r *run) newTable() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tables++
}

// opened is closed when all lanes have opened what they were to open.
func (r *run) opened() <-chan struct{} { return after(&r.opening) }

func after(g *sync.WaitGroup) <-chan struct{} {
	c := make(chan struct{})
	go func() { g.Wait(); close(c) }()
	return c
}

// await waits for one of the things that end a phase: it happened, the time is over, or the
// context ends. Then halted is its reason and the result is false.
func (r *run) await(ctx context.Context, happened <-chan struct{}, most time.Duration) bool {
	var over <-chan time.Time
	if most > 0 {
		t := time.NewTimer(most)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-happened:
	case <-over:
	case <-r.over: // everything is closed already
		return false
	case <-ctx.Done():
		r.halt(result.StoppedByUser)
		return false
	}
	return true
}

// worker is a thread with a descriptor table, an epoll instance and a tally.
type worker struct {
	*run
	*tally
	times   latency
	answers latency
	epoll   *fastsock.Epoll
	own     bool // the table is the worker's own
	opening bool // it may open connections, or has handshakes under way
	clock   int64
	last    int64 // clock when the last handshake ended, well or not
}

// What epoll gives back for descriptors that are no connections.
const (
	bellData   = ^uint64(0)
	askData    = ^uint64(0) - 1
	listenData = uint64(1) << 63 // and the descriptor
)

const batch = 256 // events, accepts, or connects in one go

// launch starts a worker on a thread of its own. The thread is never given back: its descriptor
// table goes with it, and whatever was left open in that.
func (r *run) launch(work func(w *worker)) {
	r.workers.Add(1)
	r.opening.Add(1)
	thread.Run(func() {
		defer r.workers.Done()
		w := &worker{run: r, tally: r.count(), opening: true}
		defer w.leave()
		if e := w.prepare(); e != 0 {
			r.fail(result.AtWorker, e)
			return
		}
		work(w)
		w.epoll.Close()
		r.finished(&w.times, &w.answers)
	})
}

// prepare makes the table and the epoll instance.
func (w *worker) prepare() (e syscall.Errno) {
	if !w.spec.OneTable {
		// Where a filter forbids it (seccomp), the process's table has to do.
		w.own = fastsock.UnshareFiles() == 0
	}
	w.newTable()
	fastsock.FineTimers()
	if !w.spec.NoHistogram {
		w.times = newLatency()
	}
	if w.epoll, e = fastsock.NewEpoll(batch); e != 0 {
		return e
	}
	return w.epoll.Add(int(w.ending), fastsock.Readable, bellData)
}

// leave says that this worker has nothing more to open, once.
func (w *worker) leave() {
	if w.opening {
		w.opening = false
		w.run.opening.Done()
	}
}

// full says whether the errno means that this table is, and another one would help.
func (w *worker) full(e syscall.Errno) bool { return e == syscall.EMFILE && w.own }

// nap waits until the time has come, in steps that let the end of the run be seen. The
// clock is up to date after it.
func (w *worker) nap(until int64) {
	for w.clock = w.now(); w.clock < until && !w.halted.Load(); w.clock = w.now() {
		fastsock.Nap(time.Duration(min(until-w.clock, int64(100*time.Millisecond))))
	}
}

// opened1 counts a connection that was due and was established by now.
func (w *worker) opened1(since int64) {
	w.last = w.clock
	w.times.record(w.clock - since)
	w.established.Add(1)
	w.open.Add(1)
}

// exhausted says whether the errno of a socket() or bind() means that something has run
// out, so that trying again at once is in vain.
func exhausted(e syscall.Errno) bool {
	switch e {
	case syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.EADDRNOTAVAIL,
		syscall.ENOSPC:
		return true
	}
	return false
}
