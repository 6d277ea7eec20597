package coalesce

import (
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// busyPoll looks for input for a time after traffic, without letting the processor go, as
// Config.BusyPoll says. It reports whether the Read has ended. It holds no turn and no role while
// it looks, so that nobody waits for it: a second Read may take the lock of the socket for long.
func (c *Conn) busyPoll(b []byte) (n int, err error, done bool) {
	if !c.mayPoll() {
		return 0, nil, false
	}
	p := peeks.Get().(*peek)
	defer peeks.Put(p)
	now := clock()
	until := now + int64(c.set.BusyPoll)
	for turn := 1; polls.allows(now) && yields.allows(now); turn++ {
		var more bool
		if n, err, more = p.readNow(c, b); !more {
			return n, err, n > 0 || err != nil
		}
		// The peer may wait for this processor: the kernel likes to wake the
		// receiver where the sender runs (select_task_rq_fair in
		// kernel/sched/fair.c).
		unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		if took := clock() - now; took > longLook {
			interrupted(took, now+took)
			break
		}
		if now >= until {
			break
		}
		if c.sendBetween(turn%looks == 0) {
			until = clock() + int64(c.set.BusyPoll)
		}
		now = clock()
	}
	return 0, nil, false
}

// polls keeps Reads from polling while other programs want the processors. A goroutine that sleeps
// is run before one that has used up its time slice, so to poll makes things slower then.
var polls guard

// interrupted keeps Reads from polling for longer each time, from 2 ms to a second, unless the last
// time is long ago.
func interrupted(took, now int64) {
	if now-polls.until.Load() > maxPenalty {
		polls.penalty.Store(0)
	}
	polls.judge(took, now, longLook)
}

// longLook is the time in nanoseconds from which a look for input shows that the kernel ran
// another program meanwhile. A look takes less than a microsecond.
const longLook = 200_000

// looks is how many times a Read looks for input before it gives way to other goroutines. To give
// way wakes a thread that looks for work (goschedImpl in runtime/proc.go), which costs as much as
// several looks, and takes a processor from the peer if that is on the same machine.
const looks = 64

// mayPoll says whether there was traffic since a Read polled in vain, and takes note that one
// polls now.
func (c *Conn) mayPoll() bool {
	if c.set.BusyPoll <= 0 || c.raw == nil || runtime.NumCPU() == 1 ||
		runtime.GOMAXPROCS(0) == 1 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flag&polled != 0 || c.gate&^gateLazy != 0 {
		return false
	}
	c.flag |= polled
	return true
}

// sendBetween sends what has been written while a Read polls, and gives way if told so. It
// reports whether anything was sent.
func (c *Conn) sendBetween(giveWay bool) bool {
	c.mu.Lock()
	before := c.sent
	pending := c.work != nil && c.work.head != nil
	if c.leavesToRead() && (pending || giveWay) && c.gate == 0 &&
		c.flag&(scheduled|stalled) == 0 {
		c.carry(false)
	} else if pending && c.leavesToRead() {
		c.send(causeRead)
	} else {
		c.mu.Unlock()
		if giveWay {
			yields.yield(clock(), c.set.MaxDelay)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sent != before
}

// peek is a read(2) that does not wait.
type peek struct {
	buf  []byte
	n    int
	err  error
	once func(fd uintptr) bool
}

var peeks = sync.Pool{New: func() any {
	p := &peek{}
	p.once = p.read // bound once, so that reading does not allocate
	return p
}}

func (p *peek) read(fd uintptr) bool {
	for {
		p.n, p.err = unix.Read(int(fd), p.buf)
		if p.err != unix.EINTR {
			return true // also when there is no input: never wait here
		}
	}
}

// readNow reads what has arrived. It reports whether there may be more to come. If not, and
// without bytes or an error, the Read of the wrapped connection says what the matter is.
func (p *peek) readNow(c *Conn, b []byte) (n int, err error, more bool) {
	p.buf, p.n, p.err = b, 0, nil
	err = c.raw.Read(p.once) // fails at once when closed, and at a deadline that has passed
	p.buf = nil
	switch {
	case err != nil:
		return 0, nil, false
	case p.err == unix.EAGAIN:
		return 0, nil, true
	case p.err != nil: // the socket does not report it again
		return 0, c.opError("read", os.NewSyscallError("read", p.err)), false
	}
	return p.n, nil, false // the end is reported again
}
