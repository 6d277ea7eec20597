package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A handshake that nobody answers ends with the context, and leaves nothing counted.
func TestBlackhole(t *testing.T) {
	to := deaf(t)
	d := &Dialer{MaxOpen: 1}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := d.DialContext(ctx, "tcp", to.String())
	checkTimeout(t, err)
	_, err = (&Dialer{Base: net.Dialer{Timeout: 50 * time.Millisecond}}).Dial("tcp",
		to.String())
	checkTimeout(t, err)
	ctx, cancel = context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := d.DialContext(ctx, "tcp", to.String())
		ended <- err
	}()
	awaitThat(t, "it dials", func() bool { return d.Stats().Destinations[0].Open == 1 })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if s := d.Stats().Destinations[0]; s.Open != 0 {
		t.Errorf("stats %+v", s)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	if _, err := d.DialContext(ctx, "tcp", to.String()); !errors.Is(err,
		context.DeadlineExceeded) {
		t.Errorf("with a deadline in the past: %v", err)
	}
	_, err = (&Dialer{Base: net.Dialer{Deadline: time.Unix(1, 0)}}).Dial("tcp", to.String())
	checkTimeout(t, err)
}

// checkTimeout: the error is both that net.Dialer's may be, and reads the same.
func checkTimeout(t *testing.T, err error) {
	t.Helper()
	var op net.Error
	if !errors.As(err, &op) || !op.Timeout() || !errors.Is(err, context.DeadlineExceeded) ||
		!errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, ErrPortsExhausted) ||
		!strings.HasSuffix(err.Error(), ": i/o timeout") {
		t.Errorf("error %v", err)
	}
}

// The family that answers wins; the other's socket is closed.
func TestRace(t *testing.T) {
	dead, good := deaf(t), server(t, "127.0.0.1:0")
	d := &Dialer{Base: net.Dialer{FallbackDelay: 10 * time.Millisecond}}
	for _, lists := range [][2][]netip.AddrPort{{{dead}, {good}}, {{good}, {dead}}} {
		c, err := must(d.start())(t).race(t.Context(), "tcp", lists[0], lists[1])
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr().String() != good.String() {
			t.Errorf("connected to %v", c.RemoteAddr())
		}
		c.Close()
	}
	awaitThat(t, "the losers are closed", func() bool {
		return !slices.ContainsFunc(d.Stats().Destinations, func(s DestinationStats) bool {
			return s.Open != 0
		})
	})
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	refused := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	began := time.Now()
	d = &Dialer{Base: net.Dialer{FallbackDelay: time.Hour}} // a failure does not wait for it
	c, err := must(d.start())(t).race(t.Context(), "tcp", []netip.AddrPort{refused},
		[]netip.AddrPort{good})
	if err != nil {
		t.Fatal(err, time.Since(began))
	}
	c.Close()
	if _, err = must(d.start())(t).race(t.Context(), "tcp", []netip.AddrPort{refused},
		[]netip.AddrPort{refused}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("both refused: %v", err)
	}
	if c, err = must(d.start())(t).serial(t.Context(), "tcp",
		[]netip.AddrPort{refused, good}); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// deaf is an address where a handshake is never answered: the accept queue of a listener
// that nobody reads is full (net/ipv4/tcp_input.c tcp_conn_request).
func deaf(t testing.TB) netip.AddrPort {
	t.Helper()
	to := full(t)
	for range 100 {
		c, err := net.DialTimeout("tcp", to.String(), 200*time.Millisecond)
		if err != nil {
			return to
		}
		t.Cleanup(func() { c.Close() })
	}
	t.Fatal("a listener with a backlog of 0 took 100 connections")
	return to
}

// full is a listener with the smallest backlog.
func full(t testing.TB) netip.AddrPort {
	t.Helper()
	fd := must(unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))(t)
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name := must(unix.Getsockname(fd))(t).(*unix.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(name.Addr), uint16(name.Port))
}
