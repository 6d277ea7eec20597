package coalesce

import (
	"net"
	"sync"
	"syscall"
)

// Conn is a net.Conn that sends many small writes in few system calls. Make
// one with New. All methods may be called concurrently.
type Conn struct {
	mu   sync.Mutex
	gate gate // reasons why Write may not simply append

	singles uint8 // flushes in a row that carried one message
	vain    uint8 // times in a row that a reader gave way and nobody wrote
	pass    uint8 // Reads to come that do not give way

	flag flag
	held uint16 // nesting depth of Hold
	fill *buffer
	work *work // nil while idle
	set  *settings

	accepted, sent int64 // bytes
	messages       int64
	lastInline     int64 // clock of the end of the last inline write
	armed          int64 // clock of the write deadline set on inner; 0 for none
	counts         counts

	inner net.Conn
	raw   syscall.RawConn // nil unless attempts that do not block are possible

	cause   error // the first failure
	expiry  *expiry
	watch   *watcher
	closing *closing
}

// gate is a set of reasons why Write may not simply append to the buffer.
type gate uint8

const (
	gateFailed  gate = 1 << iota // cause is set
	gateClosed                   // Close, CloseNow or CloseWrite was called
	gateExpired                  // the write deadline has passed
	gateLazy                     // held, Manual or ReadDriven
	gateQueue                    // writers wait
	gateEager                    // Immediate
	gateTurn                     // someone who has the turn is sending what was pending
)

// flag is the state of a Conn that is not a reason to refuse.
type flag uint16

const (
	writing   flag = 1 << iota // someone owns the connection for writing
	scheduled                  // a flusher exists
	inline                     // lone messages are written by the caller
	stalled                    // the socket was full; the flusher has to wait for it
	urgent                     // WriteNow: do not give way
	direct                     // the owner is a caller, bounded by the write deadline
	bulky                      // the last batch was larger than a first buffer
	swept                      // the sweeper knows this connection
	moving                     // the owner is a copy that the wrapped connection makes
	halved                     // CloseWrite has shut the sending side down
	through                    // NetConn was called: nothing may stay pending
	abrupt                     // SetLinger(0): Close drops what is pending
	// the write deadline has passed for a caller, or while one could come
	tooLate
	polled // a Read has polled for input since the last traffic
)

// New returns a Conn that writes to c. From then on c must not be written to
// or closed by others. Closing the Conn closes c.
func New(c net.Conn, cfg Config) *Conn {
	n := &Conn{inner: c, set: newSettings(cfg), raw: rawConn(c)}
	if n.set.lazy {
		n.gate |= gateLazy
	}
	if n.set.Policy == Immediate {
		n.gate |= gateEager
	}
	return n
}

// LocalAddr returns the local address of the wrapped connection.
func (c *Conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr returns the remote address of the wrapped connection.
func (c *Conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// Buffered is the number of bytes accepted that the kernel does not have yet,
// as far as is known: bytes of a system call that is under way count.
func (c *Conn) Buffered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.accepted - c.sent)
}

// Err returns the lasting error of a connection that failed to send, an
// *Error, or nil.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		return nil
	}
	return c.lasting(c.cause)
}

// Hold keeps what is written from now on until Release, so that several
// messages leave together. A full buffer, Flush and Close still
// send. Holds nest.
func (c *Conn) Hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held++
	c.gate |= gateLazy
}

// Release undoes one Hold, and the last one sends what is pending, without
// waiting for the peer. It panics without a Hold.
func (c *Conn) Release() {
	c.mu.Lock()
	if c.held == 0 {
		c.mu.Unlock()
		panic("coalesce: Release without Hold")
	}
	c.held--
	if c.held > 0 || c.set.Policy == Manual {
		c.mu.Unlock()
		return
	}
	if !c.set.lazy {
		c.gate &^= gateLazy
	}
	c.send(causeExplicit)
}

// send writes what is pending in this goroutine when nobody else does and the
// connection allows attempts that do not block, else it makes sure that a flusher
// will. mu is held, and released.
func (c *Conn) send(why cause) {
	switch {
	case c.work == nil || c.work.head == nil || c.flag&writing != 0:
		c.mu.Unlock()
	case c.raw == nil:
		c.startFlusher()
		c.mu.Unlock()
	default:
		c.attemptHead(why)
		c.mu.Unlock()
	}
}

// facts are the inputs of the rule in state.go. mu is held.
func (c *Conn) facts() facts {
	w := c.work
	f := facts{
		writing:   c.flag&writing != 0,
		scheduled: c.flag&scheduled != 0,
		lazy:      c.gate&gateLazy != 0,
		eager:     c.gate&gateEager != 0,
		backstop:  c.set.ReadDriven && c.held == 0,
	}
	if w == nil || w.head == nil {
		return f
	}
	f.pending = true
	f.full = w.head != c.fill ||
		c.fill.end == len(c.fill.data) && len(c.fill.data) == c.set.BufferSize
	if f.backstop {
		f.full = f.full || w.head.end-w.head.start >= c.set.MinBatch
	}
	f.wanted = c.flag&(stalled|urgent) != 0 || w.queue.head != nil || w.flushes.head != nil ||
		c.closing != nil
	return f
}

// aged says whether the oldest pending byte has waited too long. mu is held.
func (c *Conn) aged() bool {
	return clock()-c.work.head.born > int64(c.set.MaxDelay)
}
