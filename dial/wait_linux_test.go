package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// exhaust holds every port of a small range, and gives the connections.
func exhaust(t *testing.T, d *Dialer, to netip.AddrPort) []*Conn {
	t.Helper()
	var held []*Conn
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range d.Ports.size() {
		c, err := d.DialContext(ctx, "tcp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		// a port of ExplicitPort in TIME_WAIT would be nobody's for a minute
		c.(*Conn).SetLinger(0)
		held = append(held, c.(*Conn))
	}
	return held
}

func smallPool(last byte) *Dialer {
	return &Dialer{
		Ports:   PortRange{51230, 51233},
		Sources: []netip.Addr{netip.AddrFrom4([4]byte{127, 9, 9, last})},
		MaxWait: time.Hour,
	}
}

// A dial that waits for a port gets the one that a connection gives back, at once.
func TestWaitsForAPort(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	for i, choice := range []Choice{AutoPort, KernelPort, ExplicitPort} {
		d := smallPool(byte(i + 1))
		d.Choice = choice
		held := exhaust(t, d, to)
		got := make(chan error)
		go func() {
			c, err := d.DialContext(t.Context(), "tcp", to.String())
			if err == nil {
				c.(*Conn).SetLinger(0)
				c.Close()
			}
			got <- err
		}()
		awaitThat(t, "it waits", func() bool {
			return d.Stats().Destinations[0].Waiting == 1
		})
		held[2].Close()
		if err := <-got; err != nil {
			t.Errorf("%v: %v", choice, err)
		}
		if s := d.Stats(); s.Waited != 1 || s.Exhausted != 0 {
			t.Errorf("%v: stats %+v", choice, s)
		}
	}
}

// Ports says which ports are taken, no matter who chooses.
func TestPortsAreKept(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	low := uint16(51240)
	for _, choice := range []Choice{AutoPort, MovingWindow, KernelPort, ExplicitPort} {
		for _, pool := range [][]netip.Addr{{netip.MustParseAddr("127.9.9.40")}, nil} {
			d := &Dialer{Choice: choice, Ports: PortRange{low, low + 9}, Sources: pool}
			for range 3 {
				c := dialed(t, d, to)
				c.SetLinger(0)
				if port := c.LocalAddr().(*net.TCPAddr).AddrPort().Port(); port <
					low || port > low+9 {
					t.Errorf("%v: port %d", choice, port)
				}
			}
			low += 10
		}
	}
}

// The context ends the wait; the error is all that it can be asked for.
func TestWaitEndsWithTheContext(t *testing.T) {
	to, d := server(t, "127.0.0.1:0"), smallPool(7)
	exhaust(t, d, to)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		awaitThat(t, "it waits", func() bool {
			return d.Stats().Destinations[0].Waiting == 1
		})
		cancel()
	}()
	_, err := d.DialContext(ctx, "tcp", to.String())
	var full *PortsExhaustedError
	if !errors.Is(err, ErrPortsExhausted) || !errors.Is(err, syscall.EADDRNOTAVAIL) ||
		!errors.Is(err, context.Canceled) || !errors.As(err, &full) {
		t.Fatalf("error %v", err)
	}
	if full.Destination != to || len(full.Pairs) != 1 || full.Pairs[0].Open != 4 ||
		full.Pairs[0].Capacity != 4 {
		t.Errorf("%+v", full)
	}
	d.MaxWait = -1
	if _, err := d.DialContext(t.Context(), "tcp", to.String()); !errors.Is(err,
		ErrPortsExhausted) {
		t.Errorf("without waiting: %v", err)
	}
	if s := d.Stats(); s.Waited != 1 || s.Exhausted != 2 || s.Destinations[0].Waiting != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Ports chosen here may carry the very connection already, made by another program: after
// trying each the dial says so.
func TestExplicitPortsOfOthers(t *testing.T) {
	to, d := server(t, "127.0.0.1:0"), smallPool(8)
	d.Choice = ExplicitPort
	exhaust(t, d, to)
	other := smallPool(8)
	other.Choice, other.MaxWait = ExplicitPort, -1
	if _, err := other.DialContext(t.Context(), "tcp", to.String()); !errors.Is(err,
		ErrPortsExhausted) {
		t.Errorf("error %v", err)
	}
	elsewhere := server(t, "127.0.0.1:0")
	// the same ports serve another destination
	c, err := other.DialContext(t.Context(), "tcp", elsewhere.String())
	if err != nil {
		t.Fatal(err)
	}
	c.(*Conn).SetLinger(0)
	c.Close()
}
