//go:build linux

package lab

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func loopback(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
}

func listenOn(t testing.TB, a *Actor, addr netip.AddrPort, backlog int) (Group, netip.AddrPort) {
	t.Helper()
	g, at, err := a.Listen(ListenSpec{Addr: addr, Backlog: backlog})
	if err != nil {
		t.Fatal(err)
	}
	return g, at
}

func want(t testing.TB, what string, got Opened, count int, errs map[string]int) {
	t.Helper()
	if got.Count != count || !maps.Equal(got.Errors, errs) {
		t.Errorf("%s: %d opened, errors %v; want %d, %v", what, got.Count, got.Errors,
			count, errs)
	}
}

type none = map[string]int

// The port range is per (source, destination): kernel-facts 1.2, 1.5 and 1.6.
func TestPortRange(t *testing.T) {
	l := start(t)
	set(t, l, "net.ipv4.ip_local_port_range", "20000 20009")
	a := spawn(t, l, "client")
	_, one := listenOn(t, a, loopback(30001), 100)
	_, two := listenOn(t, a, loopback(30002), 100)

	full := must(a.Connect(ConnectSpec{To: one, N: 12}))(t)
	want(t, "12 connects in 10 ports", full, 10, none{"EADDRNOTAVAIL": 2})
	ports := map[uint16]bool{}
	for _, addr := range full.Local {
		ports[addr.Port()] = true
		if addr.Port() < 20000 || addr.Port() > 20009 {
			t.Errorf("local address %v is outside the range", addr)
		}
	}
	if len(ports) != 10 || full.Attempted != 12 {
		t.Errorf("%d ports in %d attempts", len(ports), full.Attempted)
	}
	want(t, "a second destination", must(a.Connect(ConnectSpec{To: two, N: 10}))(t), 10, none{})

	other := netip.MustParseAddrPort("127.0.0.2:0")
	noPort := ConnectSpec{To: one, N: 10, From: other, NoPort: true}
	want(t, "another source, NO_PORT", must(a.Connect(noPort))(t), 10, none{})
	noPort.To = two
	want(t, "the same source to another destination", must(a.Connect(noPort))(t), 10, none{})

	third := netip.MustParseAddrPort("127.0.0.3:0")
	want(t, "bind first", must(a.Connect(ConnectSpec{To: one, N: 10, From: third}))(t), 10,
		none{})
	want(t, "bind first, another destination",
		must(a.Connect(ConnectSpec{To: two, N: 1, From: third}))(t), 0,
		none{"EADDRINUSE": 1})
}

func TestBindAndReuse(t *testing.T) {
	l := start(t)
	// An even number of ports: the search may miss the last one of an odd number.
	set(t, l, "net.ipv4.ip_local_port_range", "20000 20005")
	a := spawn(t, l, "client")
	bound := must(a.Bind(BindSpec{Addr: loopback(0), N: 7}))(t)
	want(t, "bind to 6 ports", bound, 6, none{"EADDRINUSE": 1})
	_, one := listenOn(t, a, loopback(30001), 10)
	_, two := listenOn(t, a, loopback(30002), 10)
	want(t, "connect beside bound ports", must(a.Connect(ConnectSpec{To: one}))(t), 0,
		none{"EADDRNOTAVAIL": 1})

	from := loopback(25000)
	reuse := ConnectSpec{To: one, From: from, ReuseAddr: true, N: 2}
	want(t, "an explicit port", must(a.Connect(reuse))(t), 1, none{"EADDRNOTAVAIL": 1})
	reuse.To, reuse.N = two, 1
	want(t, "the same port elsewhere", must(a.Connect(reuse))(t), 1, none{})
	reuse.ReuseAddr = false
	want(t, "without SO_REUSEADDR", must(a.Connect(reuse))(t), 0, none{"EADDRINUSE": 1})
}

// Accept queue = min(backlog, somaxconn) + 1: kernel-facts 3.2.
func TestAcceptQueue(t *testing.T) {
	l := start(t)
	server, client := spawn(t, l, "server"), spawn(t, l, "client")
	listener, at := listenOn(t, server, loopback(0), 3)
	out := must(client.Connect(ConnectSpec{To: at, N: 8, NonBlocking: true}))(t)
	want(t, "non-blocking connects", out, 8, none{})
	if q := must(server.Queue(listener))(t); q != (Queue{Used: 4, Limit: 3}) {
		t.Errorf("queue is %+v, want 4 of 3", q)
	}
	if s := must(client.States(out.Group))(t); !maps.Equal(s,
		none{"ESTABLISHED": 4, "SYN_SENT": 4}) {
		t.Errorf("states are %v", s)
	}
	set(t, l, "net.core.somaxconn", "2")
	cut, _ := listenOn(t, server, loopback(0), 50)
	if q := must(server.Queue(cut))(t); q.Limit != 2 {
		t.Errorf("backlog 50 under somaxconn 2 gives %+v", q)
	}
	want(t, "accept 4", must(server.Accept(AcceptSpec{Listener: listener, N: 4}))(t), 4, none{})
}

func TestBlockingConnectEndsAtTheDeadline(t *testing.T) {
	l := start(t)
	a := spawn(t, l, "client")
	_, at := listenOn(t, a, loopback(0), 0)
	out := must(a.Connect(ConnectSpec{To: at, N: 3, Within: 200 * time.Millisecond}))(t)
	want(t, "connect to a full queue", out, 1, none{"EINPROGRESS": 1})
	if out.Attempted != 2 {
		t.Errorf("%d attempts, want 2: the third had no time left", out.Attempted)
	}
}

func TestAcceptEndsAtTheDeadline(t *testing.T) {
	l := start(t)
	a := spawn(t, l, "server")
	g, at := listenOn(t, a, loopback(0), 5)
	must(a.Connect(ConnectSpec{To: at, N: 2}))(t)
	want(t, "accept",
		must(a.Accept(AcceptSpec{Listener: g, N: 3, Within: 50 * time.Millisecond}))(t), 2,
		none{"EAGAIN": 1})
}

func TestConnectionRefused(t *testing.T) {
	l := start(t)
	a := spawn(t, l, "client")
	want(t, "connect to nobody", must(a.Connect(ConnectSpec{To: loopback(9), N: 3}))(t), 0,
		none{"ECONNREFUSED": 3})
}

// pair is n connections from a client to a server.
func pair(t *testing.T, l *Lab, n int) (server, client *Actor, accepted, connected Group,
	port uint16) {
	t.Helper()
	keepTimeWait(t, l)
	server, client = spawn(t, l, "server"), spawn(t, l, "client")
	g, at := listenOn(t, server, loopback(0), n)
	out := must(client.Connect(ConnectSpec{To: at, N: n}))(t)
	want(t, "connect", out, n, none{})
	in := must(server.Accept(AcceptSpec{Listener: g, N: n}))(t)
	want(t, "accept", in, n, none{})
	return server, client, in.Group, out.Group, at.Port()
}

const (
	procTimeWait = "06"
	procSynRecv  = "03"
)

func TestWhoClosesFirstHasTheTimeWait(t *testing.T) {
	l := start(t)
	server, client, accepted, connected, port := pair(t, l, 5)
	must(client.Close(connected, CloseSpec{}))(t)
	await(t, "the server has the FIN", func() bool {
		return must(server.States(accepted))(t)["CLOSE_WAIT"] == 5
	})
	must(server.Close(accepted, CloseSpec{}))(t)
	await(t, "5 are in TIME_WAIT", func() bool { return sockets(t, l, procTimeWait, 0) == 5 })
	if n := sockets(t, l, procTimeWait, port); n != 0 {
		t.Errorf("%d TIME_WAIT are on the server's port", n)
	}
}

func TestServerClosesFirst(t *testing.T) {
	l := start(t)
	server, client, accepted, connected, port := pair(t, l, 5)
	must(server.Close(accepted, CloseSpec{}))(t)
	await(t, "the client has the FIN", func() bool {
		return must(client.States(connected))(t)["CLOSE_WAIT"] == 5
	})
	must(client.Close(connected, CloseSpec{}))(t)
	await(t, "5 are in TIME_WAIT", func() bool {
		return sockets(t, l, procTimeWait, port) == 5
	})
}

func TestResetLeavesNothing(t *testing.T) {
	l := start(t)
	server, client, accepted, connected, _ := pair(t, l, 5)
	must(client.Close(connected, CloseSpec{Reset: true}))(t)
	await(t, "the server's are reset", func() bool {
		return must(server.States(accepted))(t)["CLOSE"] == 5
	})
	must(server.Close(accepted, CloseSpec{}))(t)
	if n := sockets(t, l, procTimeWait, 0); n != 0 {
		t.Errorf("%d TIME_WAIT", n)
	}
}

func TestShutdownAndPartialClose(t *testing.T) {
	l := start(t)
	server, client, accepted, connected, _ := pair(t, l, 5)
	if n := must(client.Shutdown(connected))(t); n != 5 {
		t.Errorf("shut down %d", n)
	}
	await(t, "both sides are half closed", func() bool {
		return must(client.States(connected))(t)["FIN_WAIT_2"] == 5 &&
			must(server.States(accepted))(t)["CLOSE_WAIT"] == 5
	})
	if n := must(server.Close(accepted, CloseSpec{N: 2}))(t); n != 2 {
		t.Errorf("closed %d, want 2", n)
	}
	if s := must(server.States(accepted))(t); s["CLOSE_WAIT"] != 3 {
		t.Errorf("left are %v, want 3 in CLOSE_WAIT", s)
	}
	must(server.Close(accepted, CloseSpec{}))(t)
	if _, err := server.Close(accepted, CloseSpec{}); err == nil {
		t.Error("a closed group was closed again")
	}
}

func TestLimit(t *testing.T) {
	l := start(t)
	a := spawn(t, l, "client")
	_, at := listenOn(t, a, loopback(0), 100)
	if err := a.Limit(64); err != nil {
		t.Fatal(err)
	}
	open := descriptors(t, a.PID())
	out := must(a.Connect(ConnectSpec{To: at, N: 80}))(t)
	want(t, "80 connects under a limit of 64", out, 64-open, none{"EMFILE": 80 - (64 - open)})
	if n := descriptors(t, a.PID()); n != 64 {
		t.Errorf("%d descriptors are open, want 64", n)
	}
	limits := must(os.ReadFile(fmt.Sprintf("/proc/%d/limits", a.PID())))(t)
	if !strings.Contains(string(limits), "Max open files            64  ") {
		t.Errorf("limits are\n%s", limits)
	}
	if err := a.Limit(1 << 40); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("Limit(2^40) = %v", err)
	}
}

func TestAcceptWithoutDescriptors(t *testing.T) {
	l := start(t)
	server, client := spawn(t, l, "server"), spawn(t, l, "client")
	g, at := listenOn(t, server, loopback(0), 10)
	if err := server.Limit(50); err != nil {
		t.Fatal(err)
	}
	full := must(server.FillFiles())(t)
	if full.Errors["EMFILE"] != 1 || full.Count == 0 || descriptors(t, server.PID()) != 50 {
		t.Errorf("filled %+v", full)
	}
	must(client.Connect(ConnectSpec{To: at, N: 3}))(t)
	want(t, "accept", must(server.Accept(AcceptSpec{Listener: g, N: 3}))(t), 0,
		none{"EMFILE": 1})
	if q := must(server.Queue(g))(t); q.Used != 3 {
		t.Errorf("queue is %+v, want 3 waiting", q)
	}
	must(server.Close(full.Group, CloseSpec{}))(t)
	want(t, "accept again", must(server.Accept(AcceptSpec{Listener: g, N: 3}))(t), 3, none{})
}

func TestRawSYN(t *testing.T) {
	l := start(t)
	set(t, l, "net.ipv4.tcp_syncookies", "0")
	set(t, l, "net.ipv4.ip_forward", "1") // as on a host of containers
	set(t, l, "net.ipv4.conf.all.rp_filter", "1")
	server := spawn(t, l, "server")
	_, at := listenOn(t, server, loopback(0), 200)
	if n := must(server.RawSYN(SYNSpec{To: at, N: 40}))(t); n != 40 {
		t.Errorf("sent %d", n)
	}
	await(t, "40 half-open connections", func() bool {
		return sockets(t, l, procSynRecv, at.Port()) == 40
	})
	must(server.RawSYN(SYNSpec{To: at, N: 10, First: 40}))(t)
	await(t, "50 half-open connections", func() bool {
		return sockets(t, l, procSynRecv, at.Port()) == 50
	})

	// The SYN queue is as long as the accept queue: kernel-facts 3.3. It takes
	// one more since Linux 6.13 (3479c7549fb1, and stable trees).
	_, small := listenOn(t, server, loopback(0), 10)
	must(server.RawSYN(SYNSpec{To: small, N: 30}))(t)
	await(t, "the SYN queue is full", func() bool {
		n := sockets(t, l, procSynRecv, small.Port())
		return n == 10 || n == 11
	})
	if _, err := server.RawSYN(SYNSpec{To: netip.MustParseAddrPort("[::1]:80")}); !errors.Is(
		err, syscall.EAFNOSUPPORT) {
		t.Errorf("RawSYN to IPv6 = %v", err)
	}
}

func TestStopAndContinue(t *testing.T) {
	l := start(t)
	a := spawn(t, l, "hung")
	g, _ := listenOn(t, a, loopback(0), 5)
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	a.control.grace = 50 * time.Millisecond
	if _, err := a.Queue(g); !errors.Is(err, ErrNoAnswer) {
		t.Errorf("a stopped actor said %v", err)
	}
	a.control.grace = answerGrace
	if err := a.Continue(); err != nil {
		t.Fatal(err)
	}
	// The late answer to the first question must not be taken for this one's.
	if s := must(a.States(g))(t); s["LISTEN"] != 1 {
		t.Errorf("states are %v", s)
	}
}

func TestKillClosesSockets(t *testing.T) {
	l := start(t)
	server, client, accepted, _, _ := pair(t, l, 3)
	if err := client.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, "the server sees the end", func() bool {
		return must(server.States(accepted))(t)["CLOSE_WAIT"] == 3
	})
	if _, err := client.Connect(ConnectSpec{To: loopback(1)}); !errors.Is(err, ErrEnded) {
		t.Errorf("a killed actor said %v", err)
	}
}

func TestReusePortAndV6(t *testing.T) {
	l := start(t)
	a := spawn(t, l, "server")
	shared := ListenSpec{
		Addr:      netip.MustParseAddrPort("[::]:7000"),
		Backlog:   5,
		ReusePort: true,
		V6Only:    true,
	}
	for range 2 {
		if _, _, err := a.Listen(shared); err != nil {
			t.Fatal(err)
		}
	}
	shared.ReusePort = false
	if _, _, err := a.Listen(shared); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a third without SO_REUSEPORT: %v", err)
	}
	want(t, "IPv4 to a V6Only socket", must(a.Connect(ConnectSpec{To: loopback(7000)}))(t), 0,
		none{"ECONNREFUSED": 1})
	if _, _, err := a.Listen(ListenSpec{Addr: netip.MustParseAddrPort("[::]:7001"),
		Backlog: 5}); err != nil {
		t.Fatal(err)
	}
	want(t, "IPv4 to a dual socket", must(a.Connect(ConnectSpec{To: loopback(7001)}))(t), 1,
		none{})
	want(t, "IPv6",
		must(a.Connect(ConnectSpec{To: netip.MustParseAddrPort("[::1]:7001"), NoPort: true,
			From: netip.MustParseAddrPort("[::1]:0")}))(t), 1, none{})
}

func TestSettings(t *testing.T) {
	l := start(t)
	outside := must(os.ReadFile("/proc/sys/net/core/somaxconn"))(t)
	set(t, l, "net.core.somaxconn", "17")
	if v := must(l.Value("net.core.somaxconn"))(t); v != "17" {
		t.Errorf("value is %q", v)
	}
	if now := must(os.ReadFile("/proc/sys/net/core/somaxconn"))(t); !slices.Equal(now,
		outside) {
		t.Errorf("outside it went from %q to %q", outside, now)
	}
	if err := l.Set("net.ipv4.tcp_tw_recycle", "1"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("Set(gone) = %v", err)
	}
	if err := l.Set("net.core.somaxconn", "010"); err == nil ||
		!strings.Contains(err.Error(), "read back 8") {
		t.Errorf("Set(octal) = %v", err)
	}
	if _, err := l.Value("../etc/passwd"); err == nil {
		t.Error("Value left /proc/sys")
	}
	if err := l.AddAddress("lo", netip.MustParsePrefix("10.1.2.3/32")); err != nil {
		t.Fatal(err)
	}
	a := spawn(t, l, "server")
	_, at := listenOn(t, a, netip.MustParseAddrPort("10.1.2.3:80"), 3)
	want(t, "connect to the new address", must(a.Connect(ConnectSpec{To: at}))(t), 1, none{})
}

func TestBadOrders(t *testing.T) {
	l := start(t)
	a := spawn(t, l, "actor")
	var e *Error
	if err := a.order("nonsense", nothing{}, nil); !errors.As(err, &e) || e.Errno != 0 {
		t.Errorf("an unknown verb: %v", err)
	}
	if err := a.order("listen", "not a spec", nil); !errors.As(err, &e) {
		t.Errorf("wrong arguments: %v", err)
	}
	if _, _, err := a.Listen(ListenSpec{}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("listen nowhere: %v", err)
	}
	if _, err := a.Connect(ConnectSpec{}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("connect nowhere: %v", err)
	}
	if _, err := a.States(99); err == nil {
		t.Error("a group that is not there has states")
	}
	if _, _, err := a.Listen(
		ListenSpec{Addr: netip.MustParseAddrPort("192.0.2.77:80")}); !errors.Is(err,
		syscall.EADDRNOTAVAIL) {
		t.Errorf("listen on a foreign address: %v", err)
	}
}
