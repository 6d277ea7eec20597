package coalesce

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// buffer is a piece of the byte stream. Bytes from start to end are pending.
type buffer struct {
	next       *buffer
	data       []byte
	start, end int
	born       int64 // clock() of the first byte
}

func (b *buffer) bytes() []byte { return b.data[b.start:b.end] }

// pools holds idle buffers by size, a power of two from smallestBuffer to
// largestBuffer. It is shared by all connections, since an idle connection has none.
var pools [11]sync.Pool

func pool(size int) *sync.Pool { return &pools[bits.Len(uint(size/smallestBuffer))-1] }

func newBuffer(size int) *buffer {
	b, ok := pool(size).Get().(*buffer)
	if !ok {
		b = &buffer{data: make([]byte, size)}
	}
	b.born = clock()
	return b
}

func (b *buffer) free() {
	b.next, b.start, b.end = nil, 0, 0
	pool(len(b.data)).Put(b)
}

// Budget bounds the memory that the buffers of many connections take
// together. The zero value and nil are no bound. A Budget may be shared by any number of
// connections and goroutines.
type Budget struct {
	limit int64
	used  atomic.Int64
	peak  atomic.Int64
}

// NewBudget returns a Budget of the given number of bytes. When it is used
// up, Write goes to the connection without a copy and waits there, TryWrite
// returns ErrFull.
func NewBudget(bytes int64) *Budget { return &Budget{limit: bytes} }

// Used is the number of bytes taken by buffers now.
func (b *Budget) Used() int64 { return b.used.Load() }

// Peak is the largest that Used ever was. It is never above the bound.
func (b *Budget) Peak() int64 { return b.peak.Load() }

func (b *Budget) take(n int) bool {
	if b == nil || b.limit <= 0 {
		return true
	}
	for {
		used := b.used.Load()
		if used+int64(n) > b.limit {
			return false
		}
		if b.used.CompareAndSwap(used, used+int64(n)) {
			b.raisePeak(used + int64(n))
			return true
		}
	}
}

func (b *Budget) raisePeak(to int64) {
	for {
		peak := b.peak.Load()
		if to <= peak || b.peak.CompareAndSwap(peak, to) {
			return
		}
	}
}

func (b *Budget) release(n int) {
	if b != nil && b.limit > 0 {
		b.used.Add(-int64(n))
	}
}
