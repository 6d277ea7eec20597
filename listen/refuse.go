package listen

import (
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	tellTime = time.Second // for a refused client to read its message and close
	// refused clients that are waited for at once, each with its descriptor
	maxPartings = 256
)

// refuse ends an accepted connection by the policy AtLimit.
func (l *Listener) refuse(c net.Conn) {
	if l.cfg.AtLimit == RefuseMessage {
		l.parting.tell(c, l.cfg.Message)
		return
	}
	reset(c)
}

// reset closes with RST instead of FIN, and without TIME_WAIT.
func reset(c net.Conn) {
	if t, ok := c.(interface{ SetLinger(int) error }); ok {
		t.SetLinger(0)
	}
	c.Close()
}

// discard reads what has arrived.
func discard(c net.Conn) {
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			discardInput(raw)
		}
	}
}

// parting holds the refused clients that may not have read their message yet. Closing a
// socket with unread input sends RST, which can overtake what was sent before
// (net/ipv4/tcp.c __tcp_close), so their input is read first.
type parting struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
	ended bool
	wait  sync.WaitGroup
}

func (p *parting) tell(c net.Conn, message []byte) {
	c.SetDeadline(time.Now().Add(tellTime))
	_, err := c.Write(message)
	if err == nil && p.add(c) {
		go p.linger(c)
		return
	}
	discard(c)
	c.Close()
}

func (p *parting) linger(c net.Conn) {
	defer p.remove(c)
	if w, ok := c.(interface{ CloseWrite() error }); ok {
		w.CloseWrite()
	}
	io.Copy(io.Discard, c) // ends with the peer's FIN or with the deadline
}

func (p *parting) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || len(p.conns) >= maxPartings {
		return false
	}
	if p.conns == nil {
		p.conns = map[net.Conn]bool{}
	}
	p.conns[c] = true
	p.wait.Add(1) // under the lock, so that end waits for it
	return true
}

func (p *parting) remove(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	p.wait.Done()
}

// end lets nobody wait any longer.
func (p *parting) end() {
	p.mu.Lock()
	p.ended = true
	for c := range p.conns {
		c.SetDeadline(time.Unix(1, 0))
	}
	p.mu.Unlock()
	p.wait.Wait()
}
