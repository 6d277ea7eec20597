package bench

import (
	"bufio"
	"io"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maxconn/maxconn/coalesce"
)

// conn is what is measured. Write may be called by many goroutines, Read by
// one.
type conn interface {
	Write(p []byte) (int, error)
	Read(p []byte) (int, error)
	Close() error
}

// variants are the ways to write that are compared.
var variants = map[string]func(*net.TCPConn) conn{
	"naive": func(c *net.TCPConn) conn { return &naive{TCPConn: c} },
	"bufio": func(c *net.TCPConn) conn {
		return &flushEach{c: c, w: bufio.NewWriterSize(c, 64<<10)}
	},
	"timer": newTimed,
	"group": func(c *net.TCPConn) conn {
		return &group{c: c, w: bufio.NewWriterSize(c, 64<<10)}
	},
	"flusher":  newParked,
	"coalesce": func(c *net.TCPConn) conn { return coalesce.New(c, coalesce.Config{}) },
	"busypoll": func(c *net.TCPConn) conn {
		return coalesce.New(c, coalesce.Config{BusyPoll: 100 * time.Microsecond})
	},
	"noread": func(c *net.TCPConn) conn {
		return coalesce.New(c, coalesce.Config{NoFlushOnRead: true})
	},
	"readdriven": func(c *net.TCPConn) conn {
		return coalesce.New(c, coalesce.Config{ReadDriven: true})
	},
	"lockstep": func(c *net.TCPConn) conn { return &naive{TCPConn: c} },
	"block":    func(c *net.TCPConn) conn { return &naive{TCPConn: c} },
	"handover": newMemory,
	"late":     func(c *net.TCPConn) conn { return &late{TCPConn: c} },
	"hand": func(c *net.TCPConn) conn {
		return &flushOnRead{c, bufio.NewWriterSize(c, 64<<10)}
	},
}

// naive is a mutex and a Write.
type naive struct {
	*net.TCPConn
	mu sync.Mutex
}

func (n *naive) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.TCPConn.Write(p)
}

// memory is an echo without any connection: Read gives back what has been written. With it the
// callers cost what they cost by themselves, which is the hand-over of each message from one
// goroutine to another and back.
type memory struct {
	c     *net.TCPConn
	mu    sync.Mutex
	more  sync.Cond
	kept  []byte
	ended bool
}

func newMemory(c *net.TCPConn) conn {
	m := &memory{c: c}
	m.more.L = &m.mu
	return m
}

func (m *memory) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept = append(m.kept, p...)
	m.more.Signal()
	return len(p), nil
}

func (m *memory) Read(p []byte) (int, error) {
	runtime.Gosched()
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.kept) == 0 && !m.ended {
		m.more.Wait()
	}
	if len(m.kept) == 0 {
		return 0, io.EOF
	}
	n := copy(p, m.kept)
	m.kept = m.kept[:copy(m.kept, m.kept[n:])]
	return n, nil
}

func (m *memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = true
	m.more.Broadcast()
	return m.c.Close()
}

// late sends nothing before Close: what is left is the cost of the writers
// themselves.
type late struct {
	*net.TCPConn
	mu   sync.Mutex
	kept []byte
}

func (l *late) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kept = append(l.kept, p...)
	return len(p), nil
}

func (l *late) Close() error {
	l.TCPConn.Write(l.kept)
	return l.TCPConn.Close()
}

// flushEach is a bufio.Writer that is flushed after each message.
type flushEach struct {
	mu sync.Mutex
	c  *net.TCPConn
	w  *bufio.Writer
}

func (f *flushEach) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.w.Write(p)
	return len(p), f.w.Flush()
}

func (f *flushEach) Read(p []byte) (int, error) { return f.c.Read(p) }

func (f *flushEach) Close() error { return f.c.Close() }

// group is a bufio.Writer that is flushed by a writer after whom nobody
// waits.
type group struct {
	mu      sync.Mutex
	waiting atomic.Int32
	c       *net.TCPConn
	w       *bufio.Writer
}

func (g *group) Write(p []byte) (int, error) {
	g.waiting.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.w.Write(p)
	if g.waiting.Add(-1) > 0 {
		return len(p), nil
	}
	return len(p), g.w.Flush()
}

func (g *group) Read(p []byte) (int, error) { return g.c.Read(p) }

func (g *group) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.w.Flush()
	return g.c.Close()
}

// timed is a bufio.Writer that is flushed a millisecond after it began to
// fill.
type timed struct {
	mu    sync.Mutex
	c     *net.TCPConn
	w     *bufio.Writer
	timer *time.Timer
	armed bool
}

func newTimed(c *net.TCPConn) conn {
	t := &timed{c: c, w: bufio.NewWriterSize(c, 64<<10)}
	t.timer = time.AfterFunc(time.Hour, t.flush)
	return t
}

func (t *timed) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.armed = false
	t.w.Flush()
}

func (t *timed) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.armed {
		t.armed = true
		t.timer.Reset(time.Millisecond)
	}
	return t.w.Write(p)
}

func (t *timed) Read(p []byte) (int, error) { return t.c.Read(p) }

func (t *timed) Close() error {
	t.timer.Stop()
	t.flush()
	return t.c.Close()
}

// parked is a goroutine for each connection that is woken to write what has
// come together.
type parked struct {
	mu     sync.Mutex
	cond   sync.Cond
	c      *net.TCPConn
	fill   []byte
	spare  []byte
	closed bool
	done   chan struct{}
}

func newParked(c *net.TCPConn) conn {
	p := &parked{c: c, done: make(chan struct{})}
	p.cond.L = &p.mu
	go p.run()
	return p
}

func (p *parked) Write(b []byte) (int, error) {
	p.mu.Lock()
	for len(p.fill) > 256<<10 {
		p.cond.Wait()
	}
	p.fill = append(p.fill, b...)
	if len(p.fill) == len(b) {
		p.cond.Broadcast()
	}
	p.mu.Unlock()
	return len(b), nil
}

func (p *parked) run() {
	defer close(p.done)
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.fill) == 0 && !p.closed {
			p.cond.Wait()
		}
		if len(p.fill) == 0 {
			return
		}
		out := p.fill
		p.fill = p.spare[:0]
		if len(out) > 256<<10 {
			p.cond.Broadcast()
		}
		p.mu.Unlock()
		p.c.Write(out)
		p.mu.Lock()
		p.spare = out
	}
}

func (p *parked) Read(b []byte) (int, error) { return p.c.Read(b) }

func (p *parked) Close() error {
	p.mu.Lock()
	p.closed = true
	p.cond.Broadcast()
	p.mu.Unlock()
	<-p.done
	return p.c.Close()
}

// flushOnRead is what a careful author of a server writes by hand: one
// goroutine reads and writes, and flushes before it reads.
type flushOnRead struct {
	*net.TCPConn
	w *bufio.Writer
}

func (f *flushOnRead) Write(p []byte) (int, error) { return f.w.Write(p) }

func (f *flushOnRead) Read(p []byte) (int, error) {
	if err := f.w.Flush(); err != nil {
		return 0, err
	}
	return f.TCPConn.Read(p)
}
