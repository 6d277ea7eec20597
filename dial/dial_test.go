//go:build !plan9

package dial

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestConnIsATCPConn(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	d := &Dialer{Sources: []netip.Addr{netip.MustParseAddr("127.0.0.5")}}
	c := dialed(t, d, to)
	if from := c.LocalAddr().(*net.TCPAddr); !from.IP.Equal(net.IPv4(127, 0, 0, 5)) ||
		from.Port == 0 {
		t.Errorf("local address %v", from)
	}
	if c.RemoteAddr().String() != to.String() {
		t.Errorf("remote address %v", c.RemoteAddr())
	}
	var _ io.ReaderFrom = c
	var _ syscall.Conn = c
	if n, err := (&net.Buffers{[]byte("a"), []byte("bc")}).WriteTo(c); n != 3 || err != nil {
		t.Errorf("net.Buffers: %d, %v", n, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closing again: %v", err)
	}
	if s := d.Stats(); s.Destinations[0].Open != 0 || s.Sources[0].Open != 0 {
		t.Errorf("after Close: %+v", s)
	}
}

// Errors that are not about ports are net.Dialer's, at once, from one source.
func TestRefusedIsReportedAtOnce(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	nobody := l.Addr().String()
	l.Close()
	_, want := net.Dial("tcp", nobody)
	d := &Dialer{}
	_, err := d.Dial("tcp", nobody)
	if err == nil || err.Error() != want.Error() || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v, net's is %v", err, want)
	}
	d = &Dialer{Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2"),
		netip.MustParseAddr("127.0.0.3")}}
	_, err = d.Dial("tcp", nobody)
	var op *net.OpError
	if !errors.As(err, &op) || op.Source == nil || !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("error %v does not name its source", err)
	}
	if s := d.Stats(); s.Dials != 1 || s.Rotated != 0 || s.Destinations[0].Open != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestFamilies(t *testing.T) {
	four := server(t, "127.0.0.1:0")
	d := &Dialer{Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2")}}
	if _, err := d.Dial("tcp", "[::1]:1"); !errors.Is(err, ErrNoSource) ||
		errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("a pool of IPv4 and a destination of IPv6: %v", err)
	}
	if _, err := d.Dial("tcp6", four.String()); err == nil || errors.Is(err, ErrNoSource) {
		t.Errorf("tcp6 to IPv4: %v", err)
	}
	_, service, _ := net.SplitHostPort(four.String())
	for _, host := range []string{"localhost", "", "0.0.0.0", "::ffff:127.0.0.1"} {
		c, err := d.Dial("tcp", net.JoinHostPort(host, service))
		if err != nil {
			t.Errorf("%q: %v", host, err)
			continue
		}
		c.Close()
	}
	six, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	defer six.Close()
	both := &Dialer{Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2"),
		netip.IPv6Loopback()}}
	for _, to := range []string{four.String(), six.Addr().String()} {
		c, err := both.Dial("tcp", to)
		if err != nil {
			t.Fatal(err)
		}
		if from := c.LocalAddr().(*net.TCPAddr); (from.IP.To4() == nil) !=
			(to == six.Addr().String()) {
			t.Errorf("to %s from %v", to, from)
		}
		c.Close()
	}
}

func TestBadAddresses(t *testing.T) {
	d := &Dialer{}
	for _, a := range []string{"", "127.0.0.1", "127.0.0.1:no-such-service", "127.0.0.1:99999",
		"[::1", "no-such-host.invalid:80"} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		_, err := d.DialContext(ctx, "tcp", a)
		cancel()
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" {
			t.Errorf("%q: %v", a, err)
		}
	}
	for _, bad := range []*Dialer{{Device: "no-such-device"}, {Sources: []netip.Addr{{}}}} {
		if _, err := bad.Dial("tcp", "127.0.0.1:1"); !errors.Is(err, ErrNoSource) {
			t.Errorf("%+v: %v", bad.Device, err)
		}
		if err := bad.Refresh(); err == nil {
			t.Error("Refresh has no error")
		}
	}
	if _, err := (&Dialer{Ports: PortRange{1, 2}, Choice: KernelPort}).Dial("tcp",
		"127.0.0.1:1"); err == nil {
		t.Error("ports outside of the kernel's range were taken")
	}
}

// The user's hook is called for each socket with what net.Dialer would give it, and its
// error stands.
func TestControlComposes(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	stop := errors.New("stop")
	var calls []string
	hook := func(network, address string, c syscall.RawConn) error {
		calls = append(calls, network+" "+address)
		return c.Control(func(uintptr) {})
	}
	dialed(t, &Dialer{MaxOpen: 1, Base: net.Dialer{Control: hook}}, to)
	type key struct{}
	withContext := func(ctx context.Context, network, address string, _ syscall.RawConn) error {
		calls = append(calls, ctx.Value(key{}).(string)+" "+network+" "+address)
		return stop
	}
	d := &Dialer{Base: net.Dialer{ControlContext: withContext, Control: hook}}
	_, err := d.DialContext(context.WithValue(t.Context(), key{}, "value"), "tcp", to.String())
	if !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	if want := []string{"tcp4 " + to.String(),
		"value tcp4 " + to.String()}; !slices.Equal(calls, want) {
		t.Errorf("calls %q, want %q", calls, want)
	}
}

func TestOtherNetworksAreLeftToNet(t *testing.T) {
	d := &Dialer{MaxOpen: 1}
	for range 2 {
		c, err := d.Dial("udp", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if _, err := d.Dial("nonsense", "127.0.0.1:9"); err == nil {
		t.Error("no error")
	}
	to := server(t, "127.0.0.1:0")
	fixed := &Dialer{Base: net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 6)}}}
	if c := dialed(t, fixed, to); !c.LocalAddr().(*net.TCPAddr).IP.Equal(net.IPv4(127, 0, 0,
		6)) {
		t.Errorf("LocalAddr gave %v", c.LocalAddr())
	}
}

// Many at once, limits and all: everything is given back.
func TestManyAtOnce(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	for _, choice := range []Choice{AutoPort, KernelPort, ExplicitPort} {
		d := &Dialer{
			Choice:       choice,
			MaxOpen:      50,
			MaxPerSecond: 1e6,
			Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2"),
				netip.MustParseAddr("127.0.0.3")},
		}
		var all sync.WaitGroup
		for i := range 500 {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(),
					time.Duration(i%7)*5*time.Millisecond)
				defer cancel()
				if i%2 == 0 {
					ctx = t.Context()
				}
				c, err := d.DialContext(ctx, "tcp", to.String())
				if err != nil {
					if i%2 == 0 { // the others have a deadline
						t.Error(err)
					}
					return
				}
				d.Stats()
				c.Close()
			})
		}
		all.Wait()
		s := d.Stats()
		if s.Destinations[0].Open != 0 || s.Destinations[0].Waiting != 0 ||
			s.Sources[0].Open+s.Sources[1].Open != 0 {
			t.Errorf("%v: afterwards %+v", choice, s)
		}
	}
}

func TestHTTPTransport(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.RemoteAddr)
	}))
	defer s.Close()
	d := &Dialer{Sources: []netip.Addr{netip.MustParseAddr("127.0.0.9")}}
	transport := &http.Transport{DialContext: d.DialContext}
	defer transport.CloseIdleConnections()
	r, err := (&http.Client{Transport: transport}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	from, err := netip.ParseAddrPort(string(must(io.ReadAll(r.Body))(t)))
	if err != nil || from.Addr() != netip.MustParseAddr("127.0.0.9") {
		t.Errorf("the server saw %v, %v", from, err)
	}
}

func TestStatsAreJSON(t *testing.T) {
	d := &Dialer{Sources: []netip.Addr{netip.MustParseAddr("127.0.0.2")}}
	dialed(t, d, server(t, "127.0.0.1:0"))
	text := must(json.Marshal(d.Stats()))(t)
	var back Stats
	if err := json.Unmarshal(text, &back); err != nil || len(back.Destinations) != 1 ||
		back.Destinations[0].Open != 1 {
		t.Errorf("%v in %s", err, text)
	}
}
