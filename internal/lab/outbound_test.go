//go:build linux

package lab

import (
	"net/netip"
	"testing"
	"time"
)

func serve(t *testing.T, l *Lab, as Service, port uint16) netip.AddrPort {
	t.Helper()
	server, err := l.Spawn("server")
	if err != nil {
		t.Fatal(err)
	}
	g, addr, err := server.Listen(
		ListenSpec{Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port),
			Backlog: 1024})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(g, as); err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestChurn(t *testing.T) {
	for _, c := range []struct {
		as     Service
		second bool
	}{{CloseSecond, false}, {CloseFirst, true}} {
		t.Run(string(c.as), func(t *testing.T) {
			l := start(t)
			set(t, l, "net.ipv4.ip_local_port_range", "40000 40019")
			set(t, l, "net.ipv4.tcp_tw_reuse", "0")
			keepTimeWait(t, l)
			client := spawn(t, l, "client")
			out, err := client.Churn(ChurnSpec{
				To:        serve(t, l, c.as, 8080),
				PerSecond: 200,
				For:       200 * time.Millisecond,
				Second:    c.second,
			})
			if err != nil {
				t.Fatal(err)
			}
			want := 20 // ports, each used once
			if c.second {
				// TIME_WAIT is on the server's side, where it holds no port
				want = out.Attempted
			}
			if len(out.At) != want || out.Attempted < 40 ||
				(out.Refused < 0) != c.second {
				t.Errorf("%d of %d connections, first refusal at %d, %v",
					len(out.At), out.Attempted, out.Refused, out.Errors)
			}
		})
	}
}

func TestReopenWithTimeWait(t *testing.T) {
	l := start(t)
	set(t, l, "net.ipv4.ip_local_port_range", "40000 40000")
	set(t, l, "net.ipv4.tcp_tw_reuse", "0")
	a := spawn(t, l, "both")
	out, err := a.Reopen(ReopenSpec{
		Listen: netip.MustParseAddrPort("127.0.0.1:8080"),
		Every:  10 * time.Millisecond,
		Within: 50 * time.Millisecond,
	})
	if err != nil || out.Again || out.Errors["EADDRNOTAVAIL"] == 0 {
		t.Errorf("%+v, %v", out, err)
	}
	timers, err := l.Timers()
	if err != nil || len(timers["TIME_WAIT"]) != 1 || timers["TIME_WAIT"][0] > 60*time.Second {
		t.Errorf("timers %v, %v", timers, err)
	}
}

func TestConnectCost(t *testing.T) {
	l := start(t)
	a := spawn(t, l, "client")
	out, err := a.ConnectCost(CostSpec{To: serve(t, l, Hold, 8080), N: 40, Batch: 16})
	if err != nil || out.Count != 40 || len(out.Each) != 3 || out.Each[0] <= 0 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestFreshNamespace(t *testing.T) {
	l := start(t)
	set(t, l, "net.core.somaxconn", "77")
	out, err := l.Fresh("net.core.somaxconn", "net.ipv4.no_such_key")
	if err != nil || out["net.core.somaxconn"] == "77" || len(out) != 1 {
		t.Errorf("%v, %v", out, err)
	}
	if v, err := l.Value("net.core.somaxconn"); err != nil || v != "77" {
		t.Errorf("the lab itself has %q, %v", v, err)
	}
}

func TestStream(t *testing.T) {
	l := start(t)
	a, to := spawn(t, l, "client"), serve(t, l, CloseSecond, 8080)
	for buffer, calls := range map[int]int{0: 1000, 10_050: 10} {
		out, err := a.Stream(StreamSpec{To: to, N: 1000, Buffer: buffer})
		if err != nil || out.Calls != calls || out.Bytes != 100_000 || out.CPU <= 0 {
			t.Errorf("buffer %d: %+v, %v; want %d calls", buffer, out, err, calls)
		}
	}
}

func TestTrack(t *testing.T) {
	l := start(t)
	if err := l.Track(); err != nil {
		t.Skip("this kernel has no nf_tables: ", err)
	}
	a := spawn(t, l, "client")
	if _, err := a.Connect(ConnectSpec{To: serve(t, l, Hold, 8080), N: 7}); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Value("net.netfilter.nf_conntrack_count"); err != nil || n != "7" {
		t.Errorf("%q entries for 7 connections, %v", n, err)
	}
}
