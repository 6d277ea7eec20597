//go:build linux

package load

import (
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
)

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
	fastsock.OnThread(func() {
		defer r.workers.Done()
		w := &worker{run: r, tally: r.count(), opening: true}
		defer w.leave()
		if e := w.prepare(); e != 0 {
			r.fail(AtWorker, e)
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
