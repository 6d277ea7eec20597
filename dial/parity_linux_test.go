package dial

import (
	"context"
	"errors"
	"net"
	"net/http/httptrace"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Hooks of httptrace see what they see with net.Dialer: the look-up and the dial, but not
// the connects to a name server.
func TestTraceIsThatOfNet(t *testing.T) {
	resolver := &net.Resolver{PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "udp", "127.0.0.1:9") // nobody is there
		}}
	base := net.Dialer{Resolver: resolver, Timeout: 5 * time.Second}
	to := server(t, "127.0.0.1:0").String()
	watch := func(dial func(context.Context, string, string) (net.Conn,
		error)) (seen []string) {
		var mu sync.Mutex
		see := func(what string) { mu.Lock(); defer mu.Unlock(); seen = append(seen, what) }
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			DNSStart: func(i httptrace.DNSStartInfo) { see("look up " + i.Host) },
			DNSDone:  func(httptrace.DNSDoneInfo) { see("looked up") },
			ConnectStart: func(network, address string) {
				see("connect " + network + " " + address)
			},
			ConnectDone: func(network, address string, err error) {
				see("connected " + network + " " + address)
			},
		})
		if c, err := dial(ctx, "tcp", "name.invalid.:80"); err == nil {
			c.Close()
			t.Error("a name server that is not there has answered")
		}
		c, err := dial(ctx, "tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
	got, want := watch((&Dialer{Base: base}).DialContext), watch(base.DialContext)
	if !slices.Equal(got, want) || len(want) != 4 {
		t.Errorf("seen %q, with net.Dialer %q", got, want)
	}
}

// net.Dialer takes a nil *net.TCPAddr for no address.
func TestNilLocalAddr(t *testing.T) {
	var none *net.TCPAddr
	d := &Dialer{MaxOpen: 1, Base: net.Dialer{LocalAddr: none}}
	dialed(t, d, server(t, "127.0.0.1:0"))
	if s := d.Stats(); s.Dials != 1 || len(s.Sources) != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A link-local address, which a device has even where there is no other of IPv6, makes no
// destination of IPv6 one that is dialled.
func TestLinkLocalSourceIsNoSource(t *testing.T) {
	d := &Dialer{Sources: []netip.Addr{netip.MustParseAddr("fe80::1%lo"),
		netip.MustParseAddr("127.0.0.2")}}
	if _, err := d.Dial("tcp", "[2001:db8::1]:80"); !errors.Is(err, ErrNoSource) {
		t.Error(err)
	}
	if s := d.Stats(); s.Dials != 0 || len(s.Destinations) != 0 {
		t.Errorf("it was dialled: %+v", s)
	}
}

// The range of ports becomes known while a dial that did not know it is under way.
func TestRangeKnownHalfway(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	c, err := newCore(&Dialer{Choice: ExplicitPort})
	if err != nil {
		t.Fatal(err)
	}
	unknown := newSettings(PortRange{}, &portSet{}, -1)
	dest := c.enter(to)
	p := dest.choose(c.pool.Load().of(to.Addr()), unknown, time.Now())
	conn, v, err := c.connect(t.Context(), "tcp", dest, p, unknown, func() {})
	if conn == nil || v != connected || err != nil {
		t.Fatalf("%v, verdict %v, %v", conn, v, err)
	}
	conn.Close()
}

// Who closes second has no TIME_WAIT, also when it closes in two steps, as a proxy does.
func TestHalfClosed(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	for _, v := range []struct {
		name      string
		weFirst   bool
		lingering int
	}{{"the peer closes first", false, 0}, {"we close first", true, 1}} {
		d := &Dialer{MaxOpen: 1}
		c := dialed(t, d, l.Addr().(*net.TCPAddr).AddrPort())
		peer := must(l.Accept())(t)
		if v.weFirst {
			c.CloseWrite()
			peer.Close()
			c.Read(make([]byte, 1))
		} else {
			peer.Close()
			c.Read(make([]byte, 1))
			c.CloseWrite()
		}
		awaitThat(t, "the kernel is done with it", func() bool {
			return state(c.TCPConn) == stateClose
		})
		c.CloseWrite() // fails, and changes nothing
		c.Close()
		if s := d.Stats().Destinations[0]; s.TimeWait != v.lingering || s.Open != 0 {
			t.Errorf("%s: %d in TIME_WAIT, want %d", v.name, s.TimeWait, v.lingering)
		}
	}
}

// TCP_USER_TIMEOUT is set with every choice of port.
func TestUserTimeout(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	for _, choice := range []Choice{AutoPort, KernelPort, ExplicitPort} {
		c := must((&Dialer{Choice: choice,
			UserTimeout: 9*time.Second + time.Microsecond}).Dial("tcp", to.String()))(t)
		defer c.Close()
		raw := must(c.(syscall.Conn).SyscallConn())(t)
		raw.Control(func(fd uintptr) {
			if ms, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP,
				unix.TCP_USER_TIMEOUT); err != nil || ms != 9001 {
				t.Errorf("%v: TCP_USER_TIMEOUT is %d ms, %v", choice, ms, err)
			}
		})
	}
}
