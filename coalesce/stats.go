package coalesce

import (
	"sync/atomic"
	"time"
)

// cause says why a buffer was sent.
type cause uint8

const (
	causeDry      cause = iota // the flusher ran with less than a buffer
	causeFull                  // a buffer was full
	causeRead                  // the owner called Read
	causeTakeOver              // a writer found old bytes that nobody was sending
	causeInline                // the caller wrote a lone message itself
	causeExplicit              // Flush, Release, WriteNow, Immediate
	causeLarge                 // a large Write, or what was pending before it
	numCauses
)

// counts are what a Conn remembers for Stats. mu guards them.
type counts struct {
	calls       int64
	blocks      int64
	blockedTime int64
	maxAge      int64
	maxPending  int32
	yields      uint32
	refused     uint32
	slow        uint32
	causes      causeCounts
}

func (n *counts) pending(bytes int64) { n.maxPending = max(n.maxPending, int32(bytes)) }

func (n *counts) age(ns int64) { n.maxAge = max(n.maxAge, ns) }

// blocked counts a wait of a writer. mu is held.
func (c *Conn) blocked(d time.Duration) {
	c.attach()
	c.counts.blocks++
	c.counts.blockedTime += int64(d)
	c.rest()
}

// Causes says why bytes were sent, in numbers of writes.
type Causes struct {
	Dry      int64 // the flusher found less than a buffer
	Full     int64 // a buffer was full
	Read     int64 // the owner called Read
	TakeOver int64 // a writer found old bytes that nobody was sending
	Inline   int64 // the caller wrote a lone message itself
	Explicit int64 // Flush, Release, WriteNow, Immediate
	Large    int64 // a large Write, or what was pending before it
}

// Stats are the counts of one connection since it was wrapped, or the sums of many. All
// fields but the maxima only grow, and may be exported as counters.
type Stats struct {
	Messages int64 // Writes accepted
	Accepted int64 // bytes accepted
	Sent     int64 // bytes that the kernel has taken
	Calls    int64 // writes to the wrapped connection; for a socket, system calls

	MaxPending int64         // largest number of bytes found pending by a write
	MaxAge     time.Duration // longest time that a byte was pending before its write began

	Blocked     int64         // Writes that had to wait
	BlockedTime time.Duration // sum of their waits

	Yields        int64 // times the flusher gave way to other goroutines
	YieldsRefused int64 // times it did not, because that had been slow
	Slow          int64 // times a peer took some but not all bytes within WriteTimeout

	Causes Causes
}

// Stats returns the counts of the connection up to now.
func (c *Conn) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := &c.counts
	return Stats{
		Messages: c.messages, Accepted: c.accepted, Sent: c.sent, Calls: n.calls,
		MaxPending: int64(n.maxPending), MaxAge: time.Duration(n.maxAge),
		Blocked: n.blocks, BlockedTime: time.Duration(n.blockedTime),
		Yields: int64(n.yields), YieldsRefused: int64(n.refused), Slow: int64(n.slow),
		Causes: n.causes.export(),
	}
}

type causeCounts [numCauses]int64

func (n *causeCounts) export() Causes {
	return Causes{
		Dry: n[causeDry], Full: n[causeFull], Read: n[causeRead],
		TakeOver: n[causeTakeOver],
		Inline:   n[causeInline], Explicit: n[causeExplicit], Large: n[causeLarge],
	}
}

// Totals sums the statistics of connections that name it in their Config. The
// zero value is ready to use. Connections add to it after each
// write, so that it lags behind by what is pending.
type Totals struct {
	n     [numTotals]atomic.Int64
	sizes [numSizes]atomic.Int64

	maxPending, maxAge atomic.Int64
}

// The sums of Totals, in the order of reported.
const (
	totalMessages = iota
	totalAccepted
	totalSent
	totalCalls
	totalBlocks
	totalBlockedTime
	totalYields
	totalRefused
	totalSlow
	totalCauses
	numTotals = totalCauses + int(numCauses)
)

// reported is what of a connection has been added to its Totals.
type reported [numTotals]int64

func (c *Conn) counted() (r reported) {
	n := &c.counts
	r = reported{
		c.messages, c.accepted, c.sent, n.calls, n.blocks, n.blockedTime,
		int64(n.yields), int64(n.refused), int64(n.slow),
	}
	copy(r[totalCauses:], n.causes[:])
	return r
}

// report adds to Totals what has changed. mu is held.
func (c *Conn) report(w *work) {
	t := c.set.Totals
	if t == nil {
		return
	}
	now := c.counted()
	for i := range now {
		if d := now[i] - w.reported[i]; d != 0 {
			t.n[i].Add(d)
		}
	}
	w.reported = now
	raise(&t.maxPending, int64(c.counts.maxPending))
	raise(&t.maxAge, c.counts.maxAge)
}

func raise(v *atomic.Int64, to int64) {
	for old := v.Load(); to > old && !v.CompareAndSwap(old, to); old = v.Load() {
	}
}

// numSizes is the number of classes of Sizes.
const numSizes = 8

// sizeLimits are the upper bounds of the classes of Sizes, but for the last, which has none.
var sizeLimits = [numSizes - 1]int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10}

// wrote counts a batch of n bytes.
func (t *Totals) wrote(n int) {
	if t == nil || n == 0 {
		return
	}
	i := 0
	for i < len(sizeLimits) && n > sizeLimits[i] {
		i++
	}
	t.sizes[i].Add(1)
}

// Sizes is the number of batches by their length: up to 64 bytes, 256, 1 KiB, 4
// KiB, 16 KiB, 64 KiB, 256 KiB, and above.
func (t *Totals) Sizes() (sizes [8]int64) {
	for i := range sizes {
		sizes[i] = t.sizes[i].Load()
	}
	return sizes
}

// Stats returns the sums, and the largest of the maxima.
func (t *Totals) Stats() Stats {
	n := func(i int) int64 { return t.n[i].Load() }
	var causes causeCounts
	for i := range causes {
		causes[i] = n(totalCauses + i)
	}
	return Stats{
		Messages: n(totalMessages), Accepted: n(totalAccepted), Sent: n(totalSent),
		Calls:      n(totalCalls),
		MaxPending: t.maxPending.Load(), MaxAge: time.Duration(t.maxAge.Load()),
		Blocked: n(totalBlocks), BlockedTime: time.Duration(n(totalBlockedTime)),
		Yields: n(totalYields), YieldsRefused: n(totalRefused), Slow: n(totalSlow),
		Causes: causes.export(),
	}
}
