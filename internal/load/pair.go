//go:build linux

package load

import (
	"net/netip"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/load/result"
)

// pair is a worker that opens connections to itself and accepts them: no thread wakes
// another, which is the least that a connection can cost here.
type pair struct {
	*worker
	listener int
	to       fastsock.Addr
	family   int
	next     int // source port
	source   fastsock.Addr
	ports    Ports
	kept     descriptors // both ends of held connections
	spare    int         // Close reuse: the client's socket of the last connection, or -1
	buffer   []byte
	misses   int // failures in a row
}

// listenerPorts is how many ports, from the end of the range, are kept for listeners.
const listenerPorts = 1024

func (w *worker) pair() {
	p := &pair{
		worker:   w,
		listener: -1,
		spare:    -1,
		buffer:   make([]byte, max(len(w.spec.Send), w.spec.Expect, 1)),
	}
	if e := p.listen(); e != 0 {
		p.fail(result.AtAccept, e)
		return
	}
	for p.work() {
	}
	if p.spare >= 0 {
		fastsock.Close(p.spare)
	}
	p.done.note(p.last)
	p.leave()
	if p.spec.Mode != result.Churn {
		p.hold()
	}
	fastsock.Close(p.listener)
}

// listen takes a port near the end of the range, so that the client's ports of an address
// that both ends share do not meet it. No worker tries a port of another: the kernel would
// look through all connections of that one's listener before it refused
// (net/ipv4/inet_connection_sock.c inet_bhash2_conflict).
func (p *pair) listen() syscall.Errno {
	address := p.spec.Targets[0].Addr().Unmap()
	p.ports = p.spec.Ports
	reserve := min(listenerPorts, (int(p.ports.Last)-int(p.ports.First))/2)
	first := p.ports.Last
	p.ports.Last -= uint16(reserve)
	last := syscall.Errno(syscall.EADDRINUSE)
	for range reserve {
		n := int(p.listeners.Add(1)-1) + reserve*int(p.spec.share)/max(int(p.spec.of), 1)
		port := first - uint16(n%reserve)
		if p.ports.skips(port) {
			continue
		}
		fd, e := listenAt(netip.AddrPortFrom(address, port),
			listening{backlog: 128, reset: p.spec.Close == result.ServerRST ||
				p.spec.Close == result.Reuse || p.spec.Mode != result.Churn})
		if e == 0 {
			p.listener, p.to = fd, fastsock.NewAddr(netip.AddrPortFrom(address, port))
			p.family = p.to.Family()
			p.next = int(p.ports.First) + n*7919%
				(int(p.ports.Last)-int(p.ports.First)+1)
			p.source = fastsock.NewAddr(netip.AddrPortFrom(p.sourceOf(uint64(n)), 0))
			return 0
		}
		last = e
	}
	return last
}

// sourceOf is the source address of the n-th worker. One for all is the cheapest, in time
// and in memory: the kernel keeps a record for each address and port that is bound
// (inet_bind2_bucket), and goes through the sockets of one only where somebody binds
// without SO_REUSEADDR.
func (p *pair) sourceOf(n uint64) netip.Addr {
	if len(p.spec.Sources) > 0 {
		return p.space.source(n % p.space.nsource)
	}
	return p.spec.Targets[0].Addr().Unmap()
}

// work opens one connection; false when there is nothing more to open here.
func (p *pair) work() bool {
	due, ok := p.ticket()
	if !ok {
		return false
	}
	if due > 0 {
		p.nap(due)
	} else {
		p.clock = p.now()
	}
	if p.clock >= p.until {
		return false
	}
	return p.connect(due)
}

// connect opens the connection of a ticket.
func (p *pair) connect(due int64) bool {
	fd, e := p.socket()
	if p.full(e) && p.spec.Mode != result.Churn {
		p.run.next.Add(-1) // the successor opens it
		p.launch((*worker).pair)
		return false
	}
	if e != 0 {
		return p.missed(result.AtSocket, e)
	}
	since := p.clock
	if p.due > 0 {
		since = due
	}
	p.attempted.Add(1)
	e = fastsock.Connect(fd, &p.to)
	if e != 0 && e != syscall.EINPROGRESS {
		fastsock.Close(fd)
		return p.missed(result.AtConnect, e)
	}
	accepted, e := fastsock.Accept(p.listener)
	if e == syscall.EAGAIN {
		accepted, e = p.await(fd)
	}
	p.clock = p.now()
	if p.full(e) && p.spec.Mode != result.Churn {
		fastsock.Close(fd)
		p.attempted.Add(-1)
		p.run.next.Add(-1)
		p.launch((*worker).pair)
		return false
	}
	if e != 0 {
		fastsock.Close(fd)
		return p.missed(acceptPhase(e), e)
	}
	p.misses = 0
	p.opened1(since)
	if p.spec.Mode == result.Churn {
		p.finish(fd, accepted)
	} else {
		p.keep(fd, accepted)
	}
	return true
}

// acceptPhase: a handshake that does not end is the client's failure.
func acceptPhase(e syscall.Errno) result.Phase {
	if e == syscall.ETIMEDOUT {
		return result.AtConnect
	}
	return result.AtAccept
}

// missed counts a failure; false where that many followed each other that something has run
// out for good.
func (p *pair) missed(phase result.Phase, e syscall.Errno) bool {
	if phase == result.AtConnect {
		p.last = p.now()
	}
	p.fail(phase, e)
	if !exhausted(e) {
		return true
	}
	fastsock.Nap(backOff)
	p.misses++
	return p.spec.Mode == result.Churn || p.misses < maxMisses
}

const (
	backOff   = 10 * time.Millisecond
	maxMisses = 100 // a second of failures
)

// socket is the client's, bound if the program chooses the port.
func (p *pair) socket() (int, syscall.Errno) {
	if fd := p.spare; fd >= 0 {
		p.spare = -1
		return fd, 0
	}
	fd, e := fastsock.Socket(p.family)
	if e != 0 {
		return fd, e
	}
	if p.spec.Close == result.ClientRST || p.spec.Mode != result.Churn {
		e = fastsock.ResetOnClose(fd)
	}
	if e == 0 && !p.spec.KernelPorts {
		e = p.bind(fd)
	}
	if e != 0 {
		fastsock.Close(fd)
	}
	return fd, e
}

// bind takes the next port that is free.
func (p *pair) bind(fd int) syscall.Errno {
	if e := fastsock.ReuseAddr(fd); e != 0 {
		return e
	}
	for range int(p.ports.Last) - int(p.ports.First) + 1 {
		port := uint16(p.next)
		if p.next++; p.next > int(p.ports.Last) {
			p.next = int(p.ports.First)
		}
		if p.ports.skips(port) {
			continue
		}
		p.source.SetPort(port)
		switch e := fastsock.Bind(fd, &p.source); e {
		case syscall.EADDRINUSE:
			p.skipped.Add(1)
		default:
			return e
		}
	}
	return syscall.EADDRINUSE
}

// await waits for a handshake that was not done at once: a segment was dropped, by a full
// table or for lack of memory.
func (p *pair) await(fd int) (accepted int, e syscall.Errno) {
	end := p.now() + int64(p.spec.Timeout)
	_ = p.epoll.Add(p.listener, fastsock.Readable, listenData)
	defer p.epoll.Remove(p.listener)
	for {
		accepted, e = fastsock.Accept(p.listener)
		left := end - p.now()
		switch {
		case e != syscall.EAGAIN:
			p.stepped(fd)
			return accepted, e
		case left <= 0:
			return 0, syscall.ETIMEDOUT
		case p.ended.Load() || p.halted.Load():
			return 0, syscall.ECANCELED
		}
		_, _ = p.epoll.Wait(time.Duration(min(left, int64(50*time.Millisecond))),
			func(fastsock.Event) {})
	}
}
