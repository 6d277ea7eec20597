package observe_test

import (
	"fmt"
	"net/netip"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
)

func TestHealthy(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	g4, at4 := s.listen(server, "0.0.0.0:8080", 100)
	g6, at6 := s.listen(server, "[::]:9090", 5000)
	s.connect(client, lab.ConnectSpec{To: netip.MustParseAddrPort("127.0.0.1:8080"), N: 30})
	s.connect(client, lab.ConnectSpec{To: netip.MustParseAddrPort("[::1]:9090"), N: 7})
	// IPv4 on a dual-stack listener
	s.connect(client, lab.ConnectSpec{To: netip.MustParseAddrPort("127.0.0.1:9090"), N: 3})
	s.accept(server, g4, 30)
	s.accept(server, g6, 10)
	have := s.observe()
	pid := fmt.Sprintf(" pid=%d process=server", server.PID())
	s.want(have, host.ListenerKind, at4.String(),
		"family=4 queue=0 limit=100 drops=0 backlog=100 syn=0 oldest= pids="+pid)
	s.want(have, host.ListenerKind, at6.String(),
		"family=6 queue=0 limit=4096 backlog= syn=0"+pid)
	s.want(have, host.InboundKind, "0.0.0.0:8080", "ESTABLISHED=30 unaccepted=0"+pid)
	s.want(have, host.InboundKind, "[::]:9090", "ESTABLISHED=10 unaccepted=0"+pid)
	pid = fmt.Sprintf(" pid=%d process=client", client.PID())
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8080",
		"ESTABLISHED=30 ranged=30 fold="+pid)
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:9090", "ESTABLISHED=3 ranged=3"+pid)
	s.want(have, host.OutboundKind, "::1->[::1]:9090", "ESTABLISHED=7 ranged=7"+pid)
	s.want(have, host.SourceKind, "127.0.0.1", "sockets=33 destinations=2 opposite=0")
	// connect() may take one port for both destinations.
	r := row(have, host.SourceKind, "127.0.0.1")
	if ports, shared := must(strconv.Atoi(r["ports"]))(t),
		must(strconv.Atoi(r["shared"]))(t); ports+shared != 33 {
		t.Errorf("%d ports, %d of them shared, of 33 sockets", ports, shared)
	}
	s.want(have, host.SourceKind, "::1", "sockets=7 destinations=1 ports=7 shared=0 opposite=0")
	s.want(have, host.ProcessKind, fmt.Sprint(server.PID()),
		"name=server sockets=42 attributed=all ESTABLISHED=40")
	s.want(have, host.ProcessKind, fmt.Sprint(client.PID()),
		"name=client sockets=40 attributed=all ESTABLISHED=40")
	for f, want := range map[host.Fact]string{
		host.Ports("listening"): "8080,9090", host.Ports("bound"): "",
		host.System("netns-name"): "lab", host.System("scope"): "child",
		host.Sysctl("net.core.netdev_max_backlog"): "not visible in a child network " +
			"namespace",
	} {
		if got := text(have, f); got != want {
			t.Errorf("%s is %q, want %q", f, got, want)
		}
	}
	if got := names(have, host.ProcessKind); len(got) > 3 {
		t.Errorf("processes %v", got)
	}
}

func TestAcceptQueue(t *testing.T) {
	s := start(t)
	server, client := s.spawn("app"), s.spawn("client")
	_, at := s.listen(server, "127.0.0.1:8080", 5)
	must(client.Connect(lab.ConnectSpec{To: at, N: 8, NonBlocking: true}))(t)
	have := s.await("the queue is full and has dropped", func(h host.Snapshot) bool {
		r := row(h, host.ListenerKind, "127.0.0.1:8080")
		return r["queue"] == "6" && r["drops"] != "0"
	})
	s.want(have, host.ListenerKind, at.String(),
		fmt.Sprintf("queue=6 limit=5 backlog=5 oldest=0s youngest=0s pid=%d process=app",
			server.PID()))
	s.want(have, host.InboundKind, at.String(),
		"ESTABLISHED=6 unaccepted=6 pid= unaccepted_close_wait=")
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8080", "ESTABLISHED=6 SYN_SENT=2")
	s.want(have, host.ProcessKind, fmt.Sprint(server.PID()), "sockets=1 ESTABLISHED=")
	if n, _ := have.Read().Maybe(host.Counter("TcpExt.ListenOverflows")); n < 2 {
		t.Errorf("%d overflows", n)
	}
}

func TestClosedBeforeAccepted(t *testing.T) {
	s := start(t)
	server, client := s.spawn("app"), s.spawn("client")
	_, at := s.listen(server, "127.0.0.1:8080", 100)
	g := s.connect(client, lab.ConnectSpec{To: at, N: 40})
	must(client.Shutdown(g))(t)
	have := s.await("all FINs are there", func(h host.Snapshot) bool {
		return row(h, host.InboundKind, at.String())["CLOSE_WAIT"] == "40"
	})
	s.want(have, host.InboundKind, at.String(),
		"CLOSE_WAIT=40 unaccepted=40 unaccepted_close_wait=40 close_wait_age=")
}

func TestReusePortGroup(t *testing.T) {
	s := start(t)
	want := map[string]string{}
	for _, name := range []string{"one", "two", "three"} {
		a := s.spawn(name)
		if _, _, err := a.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort("0.0.0.0:80"),
			Backlog: 9, ReusePort: true}); err != nil {
			t.Fatal(err)
		}
		want[name] = fmt.Sprint(a.PID())
	}
	have, got, inode := s.observe(), map[string]string{}, ""
	for _, name := range []string{"0.0.0.0:80", "0.0.0.0:80~2", "0.0.0.0:80~3"} {
		r := row(have, host.ListenerKind, name)
		got[r["process"]] = r["pid"]
		if len(r["inode"]) < len(inode) ||
			len(r["inode"]) == len(inode) && r["inode"] <= inode {
			t.Errorf("%s has inode %s after %s", name, r["inode"], inode)
		}
		inode = r["inode"]
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCloseWaitLeak(t *testing.T) {
	s := start(t)
	server, client := s.spawn("leaky"), s.spawn("client")
	g, at := s.listen(server, "127.0.0.1:8080", 100)
	out := s.connect(client, lab.ConnectSpec{To: at, N: 60})
	s.accept(server, g, 60)
	must(client.Close(out, lab.CloseSpec{}))(t)
	have := s.await("all FINs are there and acknowledged", func(h host.Snapshot) bool {
		return row(h, host.OutboundKind, "127.0.0.1->127.0.0.1:8080")["FIN_WAIT_2"] == "60"
	})
	s.want(have, host.InboundKind, at.String(),
		fmt.Sprintf("CLOSE_WAIT=60 unaccepted=0 close_wait_age=0s process=leaky pid=%d",
			server.PID()))
	s.want(have, host.ProcessKind, fmt.Sprint(server.PID()), "CLOSE_WAIT=60 sockets=61")
	// orphans
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8080",
		"FIN_WAIT_2=60 ranged=60 pid= process=")
}

func TestTimeWait(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	g, at := s.listen(server, "127.0.0.1:8080", 100)
	closed := s.connect(client, lab.ConnectSpec{To: at, N: 20})
	s.connect(client, lab.ConnectSpec{To: at, N: 1})
	accepted := s.accept(server, g, 21)
	must(client.Close(closed, lab.CloseSpec{}))(t)
	s.await("the FINs are there", func(h host.Snapshot) bool {
		return row(h, host.InboundKind, at.String())["CLOSE_WAIT"] == "20"
	})
	must(server.Close(accepted, lab.CloseSpec{N: 20}))(t)
	have := s.await("20 are in TIME_WAIT", func(h host.Snapshot) bool {
		return row(h, host.OutboundKind, "127.0.0.1->127.0.0.1:8080")["TIME_WAIT"] == "20"
	})
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8080",
		fmt.Sprintf("ESTABLISHED=1 ranged=21 timestamps=yes pid=%d process=client",
			client.PID()))
	if err := s.Set("net.ipv4.tcp_timestamps", "0"); err != nil {
		t.Fatal(err)
	}
	_, other := s.listen(server, "127.0.0.1:8081", 100)
	first := s.connect(client, lab.ConnectSpec{To: other, N: 2})
	s.connect(client, lab.ConnectSpec{To: other, N: 1})
	must(client.Close(first, lab.CloseSpec{N: 1}))(t)
	have = s.observe()
	// nothing to reuse yet, but a rate may be asked for
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8081",
		"TIME_WAIT= reusable= timestamps=no")
}

func TestPortsInUse(t *testing.T) {
	s := start(t)
	for key, value := range map[string]string{"net.ipv4.ip_local_port_range": "40000 40009",
		"net.ipv4.ip_local_reserved_ports": "40004-40005"} {
		if err := s.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	server, client, binder := s.spawn("server"), s.spawn("client"), s.spawn("holder")
	for _, addr := range []string{"127.0.0.1:8080", "127.0.0.1:8081", "127.0.0.1:40008"} {
		s.listen(server, addr, 100)
	}
	must(binder.Bind(lab.BindSpec{Addr: netip.MustParseAddrPort("127.0.0.9:40001")}))(t)
	must(binder.Bind(lab.BindSpec{Addr: netip.MustParseAddrPort("[::1]:5000")}))(t)
	for _, to := range []string{"127.0.0.1:8080", "127.0.0.1:8081"} {
		out := must(client.Connect(lab.ConnectSpec{To: netip.MustParseAddrPort(to), N: 8}))(
			t)
		if out.Count != 6 {
			t.Errorf("%d connections to %s, want the 6 ports that are left", out.Count,
				to)
		}
	}
	have := s.observe()
	s.want(have, host.OutboundKind, "127.0.0.1->127.0.0.1:8080", "ESTABLISHED=6 ranged=6")
	s.want(have, host.SourceKind, "127.0.0.1",
		"sockets=12 destinations=2 ports=6 shared=6 opposite=3")
	if text(have, host.System("bound-sockets")) != "listed" {
		t.Skip("this kernel does not list bound sockets (Linux 6.8)")
	}
	s.want(have, host.BinderKind, fmt.Sprint(binder.PID()), "process=holder ports=5000,40001")
	if got := text(have, host.Ports("bound")); got != "5000,40001" {
		t.Errorf("bound are %s", got)
	}
	if got := text(have, host.Ports("listening")); got != "8080-8081,40008" {
		t.Errorf("listening are %s", got)
	}
}

func TestBindBeforeConnect(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	for _, addr := range []string{"127.0.0.1:8080", "127.0.0.1:8081"} {
		_, at := s.listen(server, addr, 100)
		s.connect(client, lab.ConnectSpec{To: at, N: 20,
			From: netip.MustParseAddrPort("127.0.0.3:0")})
	}
	s.want(s.observe(), host.SourceKind, "127.0.0.3",
		"sockets=40 destinations=2 ports=40 shared=0 opposite=40")
}

func TestHalfOpen(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	_, at := s.listen(server, "127.0.0.1:8080", 100)
	must(client.RawSYN(lab.SYNSpec{To: at, N: 25}))(t)
	have := s.await("25 are half open", func(h host.Snapshot) bool {
		return row(h, host.ListenerKind, at.String())["syn"] == "25"
	})
	s.want(have, host.InboundKind, at.String(), "SYN_RECV=25 unaccepted=0")
}

func TestListenerIsGone(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	g, at := s.listen(server, "0.0.0.0:8080", 100)
	s.connect(client, lab.ConnectSpec{To: netip.MustParseAddrPort("127.0.0.1:8080"), N: 5})
	s.accept(server, g, 5)
	must(server.Close(g, lab.CloseSpec{}))(t)
	have := s.observe()
	s.want(have, host.InboundKind, "127.0.0.1:8080",
		fmt.Sprintf("ESTABLISHED=5 pid=%d process=server", server.PID()))
	if row(have, host.ListenerKind, at.String()) != nil ||
		text(have, host.Ports("listening")) != "" {
		t.Errorf("listeners %v on ports %q", names(have, host.ListenerKind),
			text(have, host.Ports("listening")))
	}
	if got := names(have, host.OutboundKind); len(got) != 1 {
		t.Errorf("outbound rows %v", got)
	}
}

// The same where the server's port is one that connect() might have chosen: a hundred clients are
// no hundred destinations.
func TestListenerInThePortRangeIsGone(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	g, at := s.listen(server, "0.0.0.0:50051", 128)
	to := netip.MustParseAddrPort("127.0.0.1:50051")
	s.connect(client, lab.ConnectSpec{To: to, N: 100})
	s.accept(server, g, 100)
	must(server.Close(g, lab.CloseSpec{}))(t)
	have := s.observe()
	s.want(have, host.InboundKind, to.String(),
		fmt.Sprintf("ESTABLISHED=100 pid=%d process=server", server.PID()))
	if row(have, host.ListenerKind, at.String()) != nil {
		t.Errorf("listeners %v", names(have, host.ListenerKind))
	}
	if got := names(have, host.OutboundKind); len(got) != 1 {
		t.Errorf("outbound rows %v", got)
	}
	s.want(have, host.SourceKind, "127.0.0.1", "sockets=100 ports=100 shared=0")
}

// Control: one client of a hundred services, which shares its twenty ports among them, is no
// server.
func TestClientOfManyServices(t *testing.T) {
	s := start(t)
	server, client := s.spawn("server"), s.spawn("client")
	if err := s.Lab.Set("net.ipv4.ip_local_port_range", "40000 40019"); err != nil {
		t.Fatal(err)
	}
	for port := range uint16(100) {
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 7000+port)
		g, _ := s.listen(server, to.String(), 8)
		s.connect(client, lab.ConnectSpec{To: to, N: 1})
		s.accept(server, g, 1)
	}
	if got := names(s.observe(), host.OutboundKind); len(got) != 100 {
		t.Errorf("%d outbound rows, want 100", len(got))
	}
}
