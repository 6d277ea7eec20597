package coalesce

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Policy says when pending bytes are sent.
type Policy uint8

const (
	// Auto sends as soon as the goroutines that are ready to write have
	// written. See the package documentation.
	Auto Policy = iota
	// Immediate sends each Write at once. Only writes that arrive while
	// another is on its way to the kernel are merged.
	Immediate
	// Manual sends at Flush, when a buffer is full, and at Close.
	Manual
)

// Overflow says what Write does when MaxPending bytes are waiting.
type Overflow uint8

const (
	// Block makes Write wait for room, up to the write deadline.
	Block Overflow = iota
	// Fail makes Write return ErrFull with nothing accepted, also when the Budget is
	// used up. The connection goes on. A Write too large to be copied waits for its
	// turn all the same, and for a peer that takes nothing as long as WriteTimeout.
	Fail
	// Disconnect makes the connection fail with ErrFull: what is pending is dropped,
	// and the connection is closed. A Write too large to be copied waits as with Fail.
	Disconnect
)

// Config says how a Conn behaves. The zero value is ready to use, and each
// field that is zero has the default given.
type Config struct {
	// BufferSize is the number of bytes sent in one system call at most. It is rounded
	// up to a power of two between 1 KiB and 1 MiB. A Write of half of it or more is not
	// copied. A buffer starts with 4 KiB and grows to BufferSize when filled.
	// Default 64 KiB; 16 KiB suits a TLS connection.
	BufferSize int

	// MaxPending is the number of bytes that may be accepted and not yet on
	// their way to the kernel, rounded up to a multiple of BufferSize. Default
	// 256 KiB.
	MaxPending int

	// MinBatch is the number of bytes from which the flusher sends at once
	// instead of giving way to other writers first, and at which a
	// ReadDriven connection sends without waiting for Read. Default 4 KiB.
	MinBatch int

	// MaxDelay is the age from which a writer sends pending bytes itself
	// when the flusher did not get to run, and the time from which giving
	// way counts as slow. Default 1 ms.
	MaxDelay time.Duration

	// WriteTimeout is how long the peer may take no byte at all before a write fails. Negative:
	// forever. Default 10 s. It is exact to a tenth. With Block it holds for writes in the
	// background, and write deadlines bound callers; otherwise for callers too. What the peer
	// takes is seen on Linux, for connections that have SyscallConn, or NetConn as TLS has; for
	// others, what counts is the end of each Write of at most BufferSize.
	WriteTimeout time.Duration

	// CloseTimeout is how long what is pending may take to be sent after Close was called,
	// whether Close waits for it or not. Negative: forever. Default 5 s.
	CloseTimeout time.Duration

	// Policy says when pending bytes are sent.
	Policy Policy

	// OnFull says what Write does when MaxPending bytes are waiting.
	OnFull Overflow

	// ReadDriven is for servers that read requests, write replies, and read again in
	// one goroutine: nothing is sent between two Reads but when MinBatch bytes are
	// pending or one to two milliseconds have passed (up to seventeen, when lately all
	// owners read in time: a tick each millisecond would cost more than it is worth).
	// With pipelined requests this is one system call a batch without any second
	// goroutine. It has no effect with Immediate and Manual.
	ReadDriven bool

	// BusyPoll is for how long after traffic Read looks for input again and again
	// before it lets its goroutine and its processor sleep. It saves the time to wake
	// both, and costs up to one processor for that long after each arrival and each
	// send, in every connection that has it. Times about that of a round trip are of
	// use, some 50 us in a local network. It has no effect where there is one processor
	// only (GOMAXPROCS or NumCPU is 1), for a time after CPU-bound goroutines or other
	// programs took all of them, on systems other than Linux, and for connections other
	// than *net.TCPConn and *net.UnixConn: put it below TLS. Default 0: Read sleeps at
	// once.
	BusyPoll time.Duration

	// NoFlushOnRead makes Read leave pending bytes to the flusher, and not give way to
	// writers.
	NoFlushOnRead bool

	// KeepReading leaves the reading side alone when sending fails.
	KeepReading bool

	// Budget bounds the memory of the buffers of all connections that share it.
	Budget *Budget

	// Totals sums the statistics of all connections that share it.
	Totals *Totals
}

// Sizes of buffers; see Config.BufferSize.
const (
	smallestBuffer = 1 << 10
	firstBuffer    = 4 << 10
	largestBuffer  = 1 << 20
)

// settings are a Config with all defaults in place.
type settings struct {
	Config
	first     int // bytes of the first buffer of a batch
	large     int // length from which a Write is not copied
	maxChunks int // buffers that may be pending
	lazy      bool
}

// lastSettings lets connections made with the same Config share one value,
// since an idle connection should cost little.
var lastSettings atomic.Pointer[settings]

func newSettings(cfg Config) *settings {
	s := settle(cfg)
	if last := lastSettings.Load(); last != nil && *last == s {
		return last
	}
	lastSettings.Store(&s)
	return &s
}

func settle(cfg Config) settings {
	s := settings{Config: cfg}
	s.BufferSize = powerOfTwo(orDefault(cfg.BufferSize, 64<<10))
	s.MaxPending = orDefault(cfg.MaxPending, 256<<10)
	s.MinBatch = orDefault(cfg.MinBatch, 4<<10)
	s.MaxDelay = orDefault(cfg.MaxDelay, time.Millisecond)
	if cfg.WriteTimeout == 0 {
		s.WriteTimeout = 10 * time.Second
	}
	if cfg.CloseTimeout == 0 {
		s.CloseTimeout = 5 * time.Second
	}
	s.ReadDriven = cfg.ReadDriven && cfg.Policy == Auto
	s.lazy = s.ReadDriven || cfg.Policy == Manual
	s.first = min(firstBuffer, s.BufferSize)
	s.large = s.BufferSize / 2
	s.maxChunks = max(1, (s.MaxPending+s.BufferSize-1)/s.BufferSize)
	return s
}

// orDefault takes values below zero for "not set" too.
func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

func powerOfTwo(n int) int {
	n = min(max(n, smallestBuffer), largestBuffer)
	return 1 << bits.Len(uint(n-1))
}
