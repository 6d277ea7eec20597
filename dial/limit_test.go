//go:build !plan9

package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A thousand dials wait for ten places: they are served in the order in which they came.
func TestMaxOpenIsFair(t *testing.T) {
	const waiters, places = 1000, 10
	g := newGate(places, 0)
	for range places {
		if _, _, err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	order := make(chan int, waiters)
	var all sync.WaitGroup
	for i := range waiters {
		all.Go(func() {
			if _, _, err := g.enter(t.Context()); err != nil {
				t.Error(err)
			}
			order <- i
		})
		awaitThat(t, "it waits", func() bool { return g.queue() == i+1 })
	}
	for i := range waiters {
		g.leave()
		if got := <-order; got != i {
			t.Fatalf("place %d went to %d", i, got)
		}
	}
	all.Wait()
	if g.open != places {
		t.Errorf("%d hold a place, want %d", g.open, places)
	}
}

// Those who give up are skipped, and give back what they were given at that moment.
func TestGivingUpKeepsTheOrder(t *testing.T) {
	g := newGate(1, 0)
	g.enter(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	gaveUp := make(chan error)
	for i := range 100 {
		go func() { _, _, err := g.enter(ctx); gaveUp <- err }()
		awaitThat(t, "it waits", func() bool { return g.queue() == i+1 })
	}
	last := make(chan error)
	go func() { _, _, err := g.enter(t.Context()); last <- err }()
	awaitThat(t, "it waits", func() bool { return g.queue() == 101 })
	cancel()
	for range 100 {
		if err := <-gaveUp; err != context.Canceled {
			t.Error(err)
		}
	}
	g.leave()
	if err := <-last; err != nil || g.open != 1 {
		t.Errorf("the last one: %v, %d hold a place", err, g.open)
	}
}

// A thousand at once, at 100 a second with ten at once: none is early, all come, in 9.9 s
// of a clock that is not real.
func TestMaxPerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(0, 100)
		began := time.Now()
		var through atomic.Int64
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				g.enter(t.Context())
				n := through.Add(1)
				if least := time.Duration(n-10) * 10 *
					time.Millisecond; time.Since(began) < least-
					time.Microsecond {
					t.Errorf("dial %d after %v, want at least %v", n,
						time.Since(began), least)
				}
			})
		}
		all.Wait()
		if took := time.Since(began); took > 9900*time.Millisecond+time.Millisecond {
			t.Errorf("all took %v, want 9.9 s", took)
		}
	})
}

// One dial in a thousand years: the wait neither ends early nor keeps the processor busy.
func TestTinyRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(0, 1e-12)
		g.enter(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		began := time.Now()
		if limit, _, err := g.enter(ctx); limit != "MaxPerSecond" ||
			err != context.DeadlineExceeded || time.Since(began) != 24*time.Hour {
			t.Errorf("%s, %v after %v", limit, err, time.Since(began))
		}
	})
}

// Never more connections than allowed, seen from the server, under a thousand dials at once.
func TestMaxOpenHolds(t *testing.T) {
	const limit = 8
	var open, most atomic.Int64
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() { c.Read(make([]byte, 1)); c.Close() })
		}
	})
	d := &Dialer{MaxOpen: limit}
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			c, err := d.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			for n := open.Add(1); ; {
				m := most.Load()
				if n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			open.Add(-1)
			c.Close()
			c.Close() // gives back once
		})
	}
	all.Wait()
	l.Close()
	served.Wait()
	if most.Load() > limit {
		t.Errorf("%d connections at once, limit %d", most.Load(), limit)
	}
	if s := d.Stats(); s.Destinations[0].Open != 0 || s.Destinations[0].Waiting != 0 ||
		s.Dials != 1000 {
		t.Errorf("afterwards %+v", s)
	}
}

func TestLimitError(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	d := &Dialer{MaxOpen: 1, Base: net.Dialer{Timeout: 20 * time.Millisecond}}
	dialed(t, d, to)
	_, err := d.Dial("tcp", to.String())
	var limit *LimitError
	var op net.Error
	if !errors.As(err, &limit) || !errors.Is(err, ErrLimit) ||
		!errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrPortsExhausted) ||
		!errors.As(err, &op) || !op.Timeout() {
		t.Fatalf("the error is %v", err)
	}
	for _, word := range []string{"dial tcp " + to.String(), "MaxOpen 1", "raise MaxOpen"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	slow := &Dialer{MaxPerSecond: 0.001}
	dialed(t, slow, to)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		awaitThat(t, "it waits", func() bool {
			return slow.Stats().Destinations[0].Waiting == 1
		})
		cancel()
	}()
	if _, err = slow.DialContext(ctx, "tcp", to.String()); !errors.As(err, &limit) ||
		limit.Limit != "MaxPerSecond" || !errors.Is(err, context.Canceled) {
		t.Errorf("the rate's error is %v", err)
	}
	if s := slow.Stats().Destinations[0]; s.Open != 1 || s.Waiting != 0 {
		t.Errorf("afterwards %+v", s)
	}
}

// Those who wait for a port are served in order, and the next tries as soon as the one
// before has a port.
func TestLineIsFair(t *testing.T) {
	l := newLine()
	var free atomic.Int64
	order := make(chan int, 1000)
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			err := l.wait(t.Context(), func(leave func()) bool {
				if free.Add(-1) < 0 {
					free.Add(1)
					return false
				}
				order <- i
				leave()
				return true
			})
			if err != nil {
				t.Error(err)
			}
		})
		awaitThat(t, "it waits", func() bool { return l.len() == i+1 })
	}
	free.Store(600)
	l.tell()
	for i := range 600 {
		if got := <-order; got != i {
			t.Fatalf("port %d went to %d", i, got)
		}
	}
	free.Store(400)
	for i := range 400 {
		if got := <-order; got != 600+i { // the first asks by itself every 100 ms
			t.Fatalf("port %d went to %d", 600+i, got)
		}
	}
	all.Wait()
	if l.len() != 0 {
		t.Errorf("%d are left in line", l.len())
	}
}

func TestPortsExhaustedError(t *testing.T) {
	e := &PortsExhaustedError{Destination: netip.MustParseAddrPort("192.0.2.1:443"),
		Ports: PortRange{32768, 60999}, Waited: time.Second,
		Pairs: []PairStats{{Open: 28000, TimeWait: 200, Capacity: 28232}},
		Err:   context.DeadlineExceeded}
	err := opError("tcp", tcpAddr(e.Destination), e)
	for _, is := range []error{ErrPortsExhausted, syscall.EADDRNOTAVAIL,
		context.DeadlineExceeded} {
		if !errors.Is(err, is) {
			t.Errorf("%v is not %v", err, is)
		}
	}
	if errors.Is(err, ErrLimit) || errors.Is(err, os.ErrClosed) || !err.(net.Error).Timeout() {
		t.Errorf("%v matches too much, or is no timeout", err)
	}
	const want = "dial tcp 192.0.2.1:443: no source port is left for 192.0.2.1:443 after " +
		"1s: source addresses: 1, ports of 32768-60999: 28232, " +
		"open here: 28000, in TIME_WAIT about 200, the rest are in use by other " +
		"programs; what helps: more source addresses or destinations, " +
		"a wider net.ipv4.ip_local_port_range, connections that are kept and used " +
		"again: context deadline exceeded"
	if err.Error() != want {
		t.Errorf("the message is\n%s\nwant\n%s", err, want)
	}
}
