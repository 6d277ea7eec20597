//go:build linux

package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/linux/thread"
	"github.com/maxconn/maxconn/internal/load/result"
)

// Pair opens connections from this process to itself over an address of this host, and both
// ends are closed when it returns. The error is that of a spec that makes no sense;
// whatever the kernel refuses is in the report. When ctx ends, so does the run, orderly.
func Pair(ctx context.Context, s Spec) (*result.Report, error) {
	return reported(open(ctx, "pair", s, (*worker).pair))
}

// Connect opens connections to a server. See Pair.
func Connect(ctx context.Context, s Spec) (*result.Report, error) {
	return reported(open(ctx, "connect", s, (*worker).client))
}

// reported is the report alone.
func reported(m *measured, err error) (*result.Report, error) {
	if err != nil {
		return nil, err
	}
	return &m.Report, nil
}

// open is a run of the connecting side.
func open(ctx context.Context, role string, s Spec, work func(*worker)) (*measured, error) {
	s, err := s.completed(role == "pair")
	if err != nil {
		return nil, err
	}
	if role == "connect" {
		if err := checkSources(s.Sources); err != nil {
			return nil, err
		}
	}
	r, err := newRun(role, s)
	if err != nil {
		return nil, err
	}
	defer r.close()
	r.local = isLocal(s.Targets[0].Addr())
	r.space = newSpace(s, s.Targets)
	a := newAccount(ctx, r)
	r.begin()
	w := r.watch(s.Every, s.KeepFree, s.Progress)
	if r.byProcesses() {
		r.startRemote()
	} else {
		for range s.Threads {
			r.launch(work)
		}
	}
	r.runPhases(ctx, a)
	r.end()
	r.workers.Wait()
	return a.report(w.end()), nil
}

// byProcesses says whether worker processes are to do it.
func (r *run) byProcesses() bool {
	s := r.spec
	if len(s.Program) == 0 || s.OneTable || s.Mode == result.Talk {
		return false
	}
	return s.Processes || s.Connections > fileLimit()/2 && !canUnshare()
}

// canUnshare tries it on a thread that ends with that.
func canUnshare() bool {
	done := make(chan bool)
	thread.Run(func() { done <- fastsock.UnshareFiles() == 0 })
	return <-done
}

// Check says what makes no sense in a spec, for Pair (both) or for Connect.
func (s Spec) Check(both bool) error {
	_, err := s.completed(both)
	return err
}

// completed is the spec with what this host says filled in.
func (s Spec) completed(both bool) (Spec, error) {
	if len(s.Targets) == 0 {
		if !both {
			return s, errors.New("load: connect needs a target")
		}
		s.Targets = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}
	}
	s, err := s.settled()
	if err == nil && s.Ports.Last == 0 {
		s.Ports, err = OwnPorts()
	}
	if err != nil {
		return s, err
	}
	if len(s.Sources) == 0 && !s.KernelPorts && !both {
		s.Sources = usualSources(s)
	}
	return s, nil
}

// checkSources refuses sources that are no addresses of this host. Of a range, its ends are tried.
func checkSources(ranges []Range) error {
	for _, r := range ranges {
		for _, a := range []netip.Addr{r.First, r.Last} {
			from := newSource(a)
			fd, e := fastsock.Socket(from.Family())
			if e != 0 {
				return nil // it is no fault of the address
			}
			e = fastsock.Bind(fd, &from)
			fastsock.Close(fd)
			if e == syscall.EADDRNOTAVAIL {
				return fmt.Errorf("load: source %s is no address of this host", a)
			}
		}
	}
	return nil
}

// runPhases waits until all are open and have been held for their time.
func (r *run) runPhases(ctx context.Context, a *account) {
	stop := context.AfterFunc(ctx, func() { r.halt(result.StoppedByUser) })
	defer stop()
	<-r.opened()
	if left := r.limit - r.next.Load(); r.space.empty.Load() && left > 0 && !r.halted.Load() {
		// what connect() says where no port is free
		r.failNamed(result.AtBind, "EADDRNOTAVAIL", left)
	}
	if r.spec.onOpen != nil {
		r.spec.onOpen(result.Sample{Attempted: r.allAttempted(),
			Established: r.allEstablished(), Open: r.allOpen()})
	}
	if r.spec.Mode == result.Churn {
		return
	}
	a.atPeak(ctx)
	if r.spec.Duration > 0 && ctx.Err() == nil {
		r.await(ctx, nil, r.spec.Duration)
	}
	if r.spec.Mode == result.Talk && ctx.Err() == nil {
		r.talk(ctx)
	}
	a.atEnd()
}

// talk has all workers ask, and waits for the answers until none comes for the time of one:
// a million take longer than that.
func (r *run) talk(ctx context.Context) {
	r.asking.Ring()
	answered := func() int64 {
		return r.sum(func(t *tally) *atomic.Int64 { return &t.answered })
	}
	all := after(&r.talkers)
	p := patience{most: int64(r.spec.Timeout + time.Second), looked: r.now()}
	for !closed(all) && p.lasts(r.now(), answered()) {
		if !r.await(ctx, all, time.Duration(sweepEvery)) {
			return
		}
	}
}

// patience is how long is waited for the next of many answers. As in client.listen, time in
// which this program did not look is not counted: its workers may not have asked yet.
type patience struct {
	most, waited, looked, answered int64
}

// lasts says whether to go on waiting.
func (p *patience) lasts(now, answered int64) bool {
	p.waited += min(now-p.looked, longestLook)
	p.looked = now
	if answered > p.answered {
		p.answered, p.waited = answered, 0
	}
	return p.waited < p.most
}

// closed says whether a channel that only ever is closed has been.
func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (r *run) close() {
	r.ending.Close()
	r.asking.Close()
}

// allAttempted is all connects so far.
func (r *run) allAttempted() int64 {
	return r.sum(func(t *tally) *atomic.Int64 { return &t.attempted })
}

// usualSources are the addresses that the kernel would choose, or for IPv4 loopback as many
// of 127.0.0.0/8 as are needed, from 127.0.0.1 on. None where they are unknown: then the
// kernel chooses.
func usualSources(s Spec) []Range {
	to := s.Targets[0].Addr().Unmap()
	if to.Is4() && to.IsLoopback() {
		first := netip.MustParseAddr("127.0.0.1")
		if s.Mode == result.Churn {
			return []Range{{first, first}} // ports are used again and again
		}
		return []Range{{first, netip.MustParseAddr("127.255.255.254")}}
	}
	c, err := net.Dial("udp", netip.AddrPortFrom(to, 9).String()) // sends nothing
	if err != nil {
		return nil
	}
	defer c.Close()
	if u, ok := c.LocalAddr().(*net.UDPAddr); ok && u.AddrPort().Addr().Zone() == "" {
		a := u.AddrPort().Addr().Unmap()
		return []Range{{a, a}}
	}
	return nil
}

// fileLimit is how many descriptors one table takes.
func fileLimit() int64 { return int64(min(fastsock.FileLimit(), 1<<40)) }

// isLocal says whether an address is one of this network namespace.
func isLocal(a netip.Addr) bool {
	a = a.Unmap()
	if a.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(own, func(n net.Addr) bool {
		p, ok := n.(*net.IPNet)
		have, ok2 := netip.AddrFromSlice(p.IP)
		return ok && ok2 && have.Unmap() == a
	})
}

// HasIPv6 says whether this kernel has IPv6.
func HasIPv6() bool {
	fd, e := fastsock.Socket(syscall.AF_INET6)
	if e == 0 {
		fastsock.Close(fd)
	}
	return e == 0
}
