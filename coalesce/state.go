package coalesce

import (
	"runtime"
	"sync/atomic"
	"time"
)

// The rule of who sends, as pure functions of a few facts, so that a test can
// walk through all states. The invariant: bytes that are pending and due, with
// nobody writing and no flusher started, are impossible, because a caller that adds
// bytes asks afterAppend and one that stops writing asks afterWrite, both under the
// lock.

// facts are what the decision of who sends depends on.
type facts struct {
	pending   bool // there are bytes that nobody is writing
	full      bool // a whole buffer of them, or MinBatch in ReadDriven
	aged      bool // the oldest is older than MaxDelay
	writing   bool // someone is writing to the connection
	scheduled bool // a flusher has been started and has not ended
	lazy      bool // held, Manual or ReadDriven
	// someone waits for it: Flush, Close, a blocked writer; or the socket was full
	wanted   bool
	eager    bool // Immediate
	backstop bool // lazy bytes may stay only as long as the sweeper lets them (ReadDriven)
}

// action is what the goroutine that asked does next.
type action uint8

const (
	nothing action = iota
	start          // start a flusher
	take           // write now, in this goroutine
	end            // end the flusher, then ask afterWrite
	sweep          // tell the sweeper
)

// due says whether pending bytes may be left alone.
func (f facts) due() bool { return f.pending && (!f.lazy || f.wanted || f.full) }

// afterAppend is asked by a writer that has added bytes.
func (f facts) afterAppend() action {
	switch {
	case f.writing:
		return nothing
	case !f.due():
		return f.leave()
	case f.eager || f.full || f.scheduled && f.aged:
		return take
	case f.scheduled:
		return nothing
	}
	return start
}

// afterWrite is asked by a caller that has just stopped writing, or ended a flusher, or
// waits for bytes to be sent.
func (f facts) afterWrite() action {
	switch {
	case f.writing || f.scheduled:
		return nothing
	case f.due():
		return start
	}
	return f.leave()
}

// leave is what to do about bytes that are not due.
func (f facts) leave() action {
	if f.pending && f.backstop && !f.scheduled {
		return sweep
	}
	return nothing
}

// flusherLooks is asked by the flusher each time round. When someone else is
// writing it ends: that one asks afterWrite.
func (f facts) flusherLooks() action {
	if f.writing || !f.due() {
		return end
	}
	return take
}

// epoch is what clock counts from.
var epoch = time.Now()

// clock is a monotonic time in nanoseconds. time.Since costs half of time.Now.
func clock() int64 { return int64(time.Since(epoch)) }

// guard keeps flushers from giving way while that is slow, which is when
// CPU-bound goroutines fill the run queues: one runtime.Gosched can then take 10 to 20 ms. It
// is one for the process because scheduler pressure is.
type guard struct {
	until   atomic.Int64 // no yields before this clock
	penalty atomic.Int64 // how long the last bad yield forbade them, ns
	good    atomic.Int32 // good yields since the last bad one, up to manyGood
}

// yields is the guard of this process.
var yields guard

// maxPenalty bounds how long a bad yield forbids others.
const maxPenalty = int64(time.Second)

func (g *guard) allows(now int64) bool { return now >= g.until.Load() }

// yield lets all goroutines that are ready run once, and reports the time after it.
func (g *guard) yield(now int64, slow time.Duration) int64 {
	runtime.Gosched()
	after := clock()
	g.judge(after-now, after, int64(slow))
	return after
}

// manyGood is after how many good yields a bad one does not count: it was the kernel then, which
// gave the processor to another program for a time slice, and would do so without any yield.
const manyGood = 256

// judge doubles the penalty after a slow yield and halves it after a good one. Slow yields that
// were under way together count once: a thousand flushers that are ready at the same time are one
// moment of pressure, and not a reason to forbid yields for a second.
func (g *guard) judge(took, now, slow int64) {
	if took <= slow {
		g.relax()
		if g.good.Load() < manyGood {
			g.good.Add(1)
		}
		return
	}
	until := g.until.Load()
	if now-took < until {
		return
	}
	if g.good.Swap(0) >= manyGood {
		g.until.CompareAndSwap(until, now) // others that were under way do not count either
		return
	}
	penalty := min(max(2*g.penalty.Load(), 10*slow), maxPenalty)
	if g.until.CompareAndSwap(until, now+penalty) {
		g.penalty.Store(penalty)
	}
}

// relax halves the penalty.
func (g *guard) relax() {
	if penalty := g.penalty.Load(); penalty != 0 {
		g.penalty.Store(penalty / 2)
	}
}
