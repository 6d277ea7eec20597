//go:build linux

package load

import (
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/load/result"
)

// client is a worker that connects to a server elsewhere, perhaps in this host. Handshakes
// are begun without waiting; over loopback each is done when connect() returns, and a
// second connect() says so, which is cheaper than an event. Those that are not done are in
// a slot until they are.
type client struct {
	*worker
	cursor cursor
	local  bool // the server is on this host
	slots  []slot
	free   []int32
	busy   int // slots in use
	held   descriptors
	spare  []spare // Close reuse: sockets for further connections
	buffer []byte
	swept  int64 // when slots were last looked through for timeouts
	looked int64 // when events were last taken
	// time since the start, without that in which this thread did not come to look
	listened int64
	retry    int64 // no connect before it: something has run out
	retries  int
	taken    int  // tuples in a row that somebody else had
	stalled  bool // the table is full
	talking  *talking
	chatting chat
}

// spare is a socket that has been disconnected and keeps its port.
type spare struct {
	fd int
	to *fastsock.Addr
}

// stage is what a slot waits for.
type stage uint8

const (
	unused stage = iota
	handshake
	sending
	answer
	goodbye // the server's close
)

// slot is a connection under way.
type slot struct {
	fd      int32
	stage   stage
	due     int64 // when it should have begun
	started int64 // when it began
	to      *fastsock.Addr
	sent    int32
	got     int32
	asked   int64
	since   int64 // what listened was when it began to wait
}

const (
	slotMark   = uint64(1) << 61 // the event of a slot; its number is above the descriptor
	fdMask     = uint64(1)<<32 - 1
	sweepEvery = int64(100 * time.Millisecond)
)

func (w *worker) client() {
	window := min(w.spec.Window, int(min(fileLimit(), maxWindow)))
	c := &client{
		worker: w,
		cursor: cursor{space: w.space},
		slots:  make([]slot, window),
		local:  w.run.local,
	}
	c.buffer = make([]byte, max(4096, w.spec.Expect))
	c.free = make([]int32, window)
	for i := range c.free {
		c.free[i] = int32(i)
	}
	if w.spec.Mode == result.Talk {
		w.talkers.Add(1)
		if e := w.epoll.Add(int(w.asking), fastsock.Readable, askData); e != 0 {
			c.fail(result.AtWatch, e)
		}
	}
	for c.turn() {
	}
	c.closeAll()
}

// turn is one round: connects that are due, then events. False at the end.
func (c *client) turn() bool {
	wait := c.begin()
	if c.opening && !c.mayOpen() && c.busy == 0 && c.handOver() {
		c.openedAll()
		if c.spec.Mode == result.Churn {
			return false
		}
		wait = -1
	}
	if c.ended.Load() {
		return false
	}
	wait = c.talking.ask(c, c.chatting.before(c, wait))
	n, e := c.epoll.Wait(wait, c.happened)
	if e != 0 {
		c.fail(result.AtWatch, e)
	}
	c.clock = c.now()
	c.listen()
	if c.busy > 0 && n < batch && c.clock-c.swept > sweepEvery {
		c.sweep() // not while further events wait: they may be the answers
	}
	return true
}

// longestLook is the most that may pass from one look at the events to the next and count
// as time in which an answer would have been heard: the longest wait, and as much again for
// a busy CPU.
const longestLook = 2 * sweepEvery

// listen lets the time pass by which others are judged. Where this thread itself did not
// run for seconds (a busy machine, a stopped process, a virtual machine that was moved),
// its peers are not late for that.
func (c *client) listen() {
	c.listened += min(c.clock-c.looked, longestLook)
	c.looked = c.clock
}

// mayOpen says whether there is, or may be, another connection to begin here.
func (c *client) mayOpen() bool {
	return c.opening && !c.stalled && !c.halted.Load() && c.next.Load() < c.limit &&
		c.clock < c.until
}

// handOver leaves the tuples of this lane to others; false where a ticket has come back that it can
// use itself.
func (c *client) handOver() bool {
	c.space.mu.Lock()
	defer c.space.mu.Unlock()
	if c.mayOpen() && c.cursor.next < c.cursor.end {
		return false
	}
	c.space.left(&c.cursor)
	return true
}

// openedAll is the end of this lane's opening.
func (c *client) openedAll() {
	c.done.note(c.last)
	c.leave()
}

// begin starts connections, at most a batch, and says how long there is nothing to do
// without an event (negative: forever).
func (c *client) begin() time.Duration {
	c.clock = c.now()
	for range batch {
		switch {
		case !c.mayOpen():
			return c.idle()
		case len(c.free) == 0:
			return time.Duration(sweepEvery)
		case c.clock < c.retry:
			return time.Duration(c.retry - c.clock)
		}
		due, ok := c.ticket()
		if !ok {
			return c.idle()
		}
		if due > c.clock {
			if wait := c.early(due); wait > 0 {
				return wait
			}
		}
		if c.clock >= c.until {
			c.next.Add(-1)
			return c.idle()
		}
		if !c.connect(due) {
			return c.idle()
		}
	}
	return 0
}

// idle is how long to wait where nothing is to be begun.
func (c *client) idle() time.Duration {
	if c.busy > 0 || c.opening {
		return time.Duration(sweepEvery)
	}
	return -1
}

// early waits for the time of a ticket, with an eye on events if there are any to come.
// More than 0: the ticket was given back.
func (c *client) early(due int64) time.Duration {
	if c.busy > 0 {
		c.next.Add(-1) // another lane may take it, or this one after its events
		return time.Duration(min(due-c.clock, sweepEvery))
	}
	c.nap(due)
	return 0
}

// connect begins the connection of a ticket; false where this worker can begin no more.
func (c *client) connect(due int64) bool {
	s := slot{due: due, started: c.clock}
	if c.due == 0 {
		s.due = c.clock
	}
	fd, e := c.socket(&s)
	if e != 0 {
		return c.missed(e)
	}
	c.retries = 0
	s.fd = int32(fd)
	c.attempted.Add(1)
	e = fastsock.Connect(fd, s.to)
	if e == syscall.EINPROGRESS && c.local {
		e = fastsock.Connect(fd, s.to)
	}
	c.clock = c.now()
	switch e {
	case 0, syscall.EISCONN:
		c.taken = 0
		c.connected(&s, -1)
	case syscall.EINPROGRESS, syscall.EALREADY:
		s.stage = handshake
		c.park(s, fastsock.Writable)
	default:
		c.refused(fd, e)
	}
	return true
}

// refused is a connect() that failed at once. A tuple that is in use, perhaps in TIME_WAIT,
// is skipped, unless all are.
func (c *client) refused(fd int, e syscall.Errno) {
	fastsock.Close(fd)
	if e == syscall.EADDRNOTAVAIL && !c.spec.KernelPorts && c.taken < mostChunk {
		c.taken++
		c.skipped.Add(1)
		c.attempted.Add(-1)
		c.next.Add(-1)
		return
	}
	c.last = c.clock
	c.fail(result.AtConnect, e)
}

// missed deals with a connection that could not be begun: false where this worker can begin
// no more.
func (c *client) missed(e syscall.Errno) bool {
	if e == errNoTuple || c.full(e) && c.spec.Mode != result.Churn {
		return c.giveBack(e == errNoTuple)
	}
	if e == errNoSource {
		c.fail(result.AtSource, syscall.EADDRNOTAVAIL)
		return true
	}
	c.fail(result.AtSocket, e)
	if exhausted(e) {
		c.retry = c.clock + int64(backOff)
		if c.retries++; c.retries >= maxMisses && c.spec.Mode != result.Churn {
			c.stalled = true // for good
			return false
		}
	}
	return true
}

// giveBack leaves a ticket to another lane, if there is one that can use it: this one has no tuple,
// or no descriptor. True where the tuples of a lane that has ended were left.
func (c *client) giveBack(noTuple bool) bool {
	c.space.mu.Lock()
	defer c.space.mu.Unlock()
	c.next.Add(-1)
	switch {
	case noTuple && c.space.adopt(&c.cursor):
		return true
	case noTuple:
		c.space.empty.Store(true)
	default:
		c.space.left(&c.cursor)
		c.launch((*worker).client) // the lane goes on with an empty table
	}
	c.stalled = true
	return false
}

// What no system call returns.
const (
	errNoTuple  = syscall.Errno(0xfff) // the end of the space
	errNoSource = syscall.Errno(0xffe) // a source that is no address of this host
)

// socket makes one for the next tuple, or takes one that is left.
func (c *client) socket(s *slot) (int, syscall.Errno) {
	if n := len(c.spare); n > 0 {
		have := c.spare[n-1]
		c.spare = c.spare[:n-1]
		s.to = have.to
		return have.fd, 0
	}
	fd, e := fastsock.Socket(c.space.targets[0].Family())
	if e != 0 {
		return fd, e
	}
	if c.spec.Close == result.ClientRST || c.spec.Mode != result.Churn {
		e = fastsock.ResetOnClose(fd)
	}
	if e == 0 && c.spec.MessageRate > 0 {
		e = fastsock.UserTimeout(fd, c.spec.Timeout)
	}
	if e == 0 {
		e = c.bind(fd, s)
	}
	if e != 0 {
		fastsock.Close(fd)
	}
	return fd, e
}

// bind takes the next tuple whose port is free. Where the kernel chooses the port, the
// tuple only says which address to use.
func (c *client) bind(fd int, s *slot) syscall.Errno {
	if c.spec.KernelPorts {
		return c.bindAddress(fd, s)
	}
	if e := fastsock.ReuseAddr(fd); e != 0 {
		return e
	}
	for c.cursor.step() {
		s.to = c.cursor.to
		switch e := fastsock.Bind(fd, &c.cursor.from); e {
		case syscall.EADDRINUSE:
			c.skipped.Add(1)
		case syscall.EADDRNOTAVAIL:
			c.cursor.pass()
			return errNoSource
		default:
			return e
		}
	}
	return errNoTuple
}

// bindAddress leaves the port to connect().
func (c *client) bindAddress(fd int, s *slot) syscall.Errno {
	n := c.space.taken.Add(1) - 1
	s.to = &c.space.targets[n/c.space.nsource%uint64(len(c.space.targets))]
	if len(c.space.sources) == 0 {
		return 0
	}
	from := newSource(c.space.source(n % c.space.nsource))
	if e := fastsock.BindNoPort(fd); e != 0 {
		return e
	}
	return fastsock.Bind(fd, &from)
}

// park puts a connection into a slot until something happens.
func (c *client) park(s slot, events uint32) {
	n := len(c.free) - 1
	i := c.free[n]
	c.free = c.free[:n]
	c.busy++
	s.since = c.listened
	c.slots[i] = s
	data := slotMark | uint64(i)<<32 | uint64(s.fd)
	if e := c.epoll.Add(int(s.fd), events|fastsock.PeerClosed|fastsock.Edge, data); e != 0 {
		c.fail(result.AtWatch, e)
		c.drop(i)
	}
}

// release makes a slot free again.
func (c *client) release(i int32) {
	c.slots[i].stage = unused
	c.free = append(c.free, i)
	c.busy--
}

// drop closes the connection of a slot.
func (c *client) drop(i int32) {
	fastsock.Close(int(c.slots[i].fd))
	if c.slots[i].stage != handshake {
		c.open.Add(-1)
	}
	c.release(i)
}
