//go:build linux

package load

import (
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/load/result"
)

// finish is the rest of a connection of churn: an exchange if one is wanted, and the close.
func (p *pair) finish(fd, accepted int) {
	if len(p.spec.Send) > 0 {
		p.exchange(fd, accepted)
	}
	p.open.Add(-1)
	first, second := fd, accepted
	if serverFirst(p.spec.Close) || p.spec.Close == result.Reuse {
		first, second = accepted, fd
	}
	fastsock.Close(first)
	if p.spec.Close == result.Reuse && fastsock.Disconnect(second) == 0 {
		p.spare = second
		return
	}
	fastsock.Close(second)
}

// exchange sends the request and gives an answer of the length that is expected, within
// this thread.
func (p *pair) exchange(fd, accepted int) {
	if e := p.carry(fd, accepted, p.spec.Send); e != 0 {
		p.fail(result.AtSend, e)
		return
	}
	if p.spec.Expect > 0 {
		if e := p.carry(accepted, fd, p.buffer[:p.spec.Expect]); e != 0 {
			p.fail(result.AtAnswer, e)
			return
		}
		p.answered.Add(1)
	}
}

// carry sends bytes and reads them at the other end. Over loopback they are there when
// send() returns, unless the segment was dropped: a CPU's queue of packets may be full
// (net.core.netdev_max_backlog).
func (p *pair) carry(from, to int, bytes []byte) syscall.Errno {
	waited := int64(0)
	for sent, got := 0, 0; got < len(bytes); {
		if sent < len(bytes) {
			n, e := fastsock.Send(from, bytes[sent:])
			if e != 0 && e != syscall.EAGAIN {
				return e
			}
			sent += max(n, 0) * boolInt(e == 0)
		}
		n, e := fastsock.Receive(to, p.buffer[:min(len(p.buffer), len(bytes)-got)])
		switch {
		case e == 0 && n == 0:
			return syscall.ECONNRESET
		case e == 0:
			got += n
		case e != syscall.EAGAIN:
			return e
		case p.halted.Load():
			return syscall.ECANCELED
		case waited > int64(p.spec.Timeout):
			return syscall.ETIMEDOUT
		default:
			fastsock.Nap(carryNap)
			waited += int64(carryNap)
		}
	}
	return 0
}

// carryNap is how long to sleep between two looks for a segment that has to be sent again.
const carryNap = 100 * time.Microsecond

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// keep holds both ends. Each is watched as a real program would, and its end is noticed.
func (p *pair) keep(fd, accepted int) {
	e := p.epoll.Add(fd, watchHeld, uint64(fd))
	if e == 0 {
		e = p.epoll.Add(accepted, watchHeld, uint64(accepted)|servingEnd)
	}
	if e != 0 {
		p.fail(result.AtWatch, e)
	}
	p.kept.add(fd)
	p.kept.add(accepted)
}

const (
	watchHeld  = fastsock.Readable | fastsock.PeerClosed | fastsock.Edge
	servingEnd = uint64(1) << 62 // marks the accepted end of a pair
)

// hold waits for the end of the run and meanwhile for the end of connections.
func (p *pair) hold() {
	for !p.ended.Load() {
		_, _ = p.epoll.Wait(-1, p.happened)
	}
	// Descending: the accepted end is closed first, which resets both (ResetOnClose of
	// the listener).
	p.kept.each(func(fd int) { fastsock.Close(fd) })
	p.open.Store(0)
}

// happened is an event at a held connection.
func (p *pair) happened(ev fastsock.Event) {
	if ev.Data == bellData {
		return
	}
	fd := int(ev.Data & (servingEnd - 1))
	if ev.Ready&(fastsock.PeerClosed|fastsock.HungUp|fastsock.Failed) == 0 || !p.kept.has(fd) {
		return
	}
	e := fastsock.Pending(fd)
	fastsock.Close(fd)
	p.kept.drop(fd)
	if ev.Data&servingEnd == 0 {
		p.fail(result.AtHeld, e)
		p.open.Add(-1)
	}
}

// descriptors is a set of them, one bit each.
type descriptors struct {
	bits []uint64
	n    int
}

func (d *descriptors) add(fd int) {
	for len(d.bits) <= fd/64 {
		d.bits = append(d.bits, 0)
	}
	d.bits[fd/64] |= 1 << (fd % 64)
	d.n++
}

func (d *descriptors) has(fd int) bool {
	return fd/64 < len(d.bits) && d.bits[fd/64]>>(fd%64)&1 == 1
}

func (d *descriptors) drop(fd int) {
	if d.has(fd) {
		d.bits[fd/64] &^= 1 << (fd % 64)
		d.n--
	}
}

// each calls do for all of them, the highest first.
func (d *descriptors) each(do func(fd int)) {
	for i := len(d.bits) - 1; i >= 0; i-- {
		for b := 63; b >= 0 && d.bits[i] != 0; b-- {
			if d.bits[i]>>b&1 == 1 {
				do(i*64 + b)
			}
		}
	}
}
