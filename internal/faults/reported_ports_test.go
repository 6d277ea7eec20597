//go:build linux

package faults

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/maxconn/maxconn/internal/lab"
)

// Local ports that ran out, as people have reported it.
var reportedPorts = []fault{
	{
		// A TLS proxy whose backend is [::1] runs out of ports: each request is a
		// connection that it closes first.
		name:   "ports held by TIME_WAIT towards an IPv6 backend",
		report: "https://github.com/varnish/hitch/issues/213",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.tcp_tw_reuse", "0")
			backend := netip.MustParseAddrPort("[::1]:6086")
			l := w.listenAs(lab.ListenSpec{Addr: backend, Backlog: 128})
			w.closeFirst(w.connect(l, lab.ConnectSpec{To: backend, N: 20}))
			w.refused(lab.ConnectSpec{To: backend}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: backend})
		},
		want: want{limit: "time-wait", severity: "critical", subject: "[::1]:6086",
			cause:    `TIME_WAIT.*tcp_tw_reuse`,
			remedies: []string{`application`, `net.ipv4.tcp_tw_reuse 0 -> `}},
	},
	{
		// The JVM connects by IPv6 sockets to IPv4 addresses; its ports are those of
		// IPv4, and TIME_WAIT fills them.
		name:   "ports held by TIME_WAIT of IPv4 connections of an IPv6 socket",
		report: "https://github.com/elastic/elasticsearch-hadoop/issues/1236",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.tcp_tw_reuse", "0")
			l := w.listen(9200, 128)
			mapped := lab.ConnectSpec{To: netip.MustParseAddrPort(
				"[::ffff:127.0.0.1]:9200"), N: 20}
			w.closeFirst(w.connect(l, mapped))
			w.refused(lab.ConnectSpec{To: mapped.To}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: mapped.To})
		},
		want: want{limit: "time-wait", severity: "critical", subject: "127.0.0.1:9200",
			cause:    `TIME_WAIT.*tcp_tw_reuse`,
			remedies: []string{`application`, `net.ipv4.tcp_tw_reuse 0 -> `}},
	},
	{
		// Envoy with upstream_bind_config: ten endpoints share the ports of one source
		// address, because bind() takes a port before connect() names the endpoint.
		name:   "a bound source address shares its ports among all endpoints",
		report: "https://github.com/envoyproxy/envoy/issues/44747",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			source := netip.MustParseAddrPort("10.5.0.2:0")
			w.must(w.lab.AddAddress("lo", netip.PrefixFrom(source.Addr(), 32)))
			for port := range uint16(4) {
				l := w.listen(9000+port, 128)
				w.connect(l, lab.ConnectSpec{To: at(9000 + port), N: 5,
					From: source})
			}
			more := lab.ConnectSpec{To: at(9000), From: source}
			w.refused(more, "EADDRINUSE")
			return w.connecting(more)
		},
		want: want{limit: "ephemeral-ports", severity: "critical", subject: "10.5.0.2",
			cause:    `IP_BIND_ADDRESS_NO_PORT`,
			remedies: []string{`application.*IP_BIND_ADDRESS_NO_PORT`}},
	},
	{
		// ss-server binds its outgoing sockets to local_ipv4_address with SO_REUSEADDR
		// and runs out of ports for all destinations together.
		name:   "a source address bound with SO_REUSEADDR",
		report: "https://github.com/shadowsocks/shadowsocks-libev/issues/2930",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			for port := range uint16(2) {
				l := w.listen(9000+port, 128)
				w.connect(l, lab.ConnectSpec{To: at(9000 + port), N: 10,
					From: at(0), ReuseAddr: true})
			}
			w.listen(9002, 128)
			more := lab.ConnectSpec{To: at(9002), From: at(0), ReuseAddr: true}
			w.refused(more, "EADDRINUSE")
			return w.connecting(more)
		},
		want: want{limit: "ephemeral-ports", severity: "critical", subject: "127.0.0.1",
			cause:    `IP_BIND_ADDRESS_NO_PORT`,
			remedies: []string{`application.*IP_BIND_ADDRESS_NO_PORT`}},
		noRemedy: map[string]string{"net.ipv4.ip_autobind_reuse": "it breaks other " +
			"programs (ip-sysctl.rst), and helps only where every socket has " +
			"SO_REUSEADDR, which nobody can see"},
	},
	{
		// The peer does not close: "FIN_WAIT2 slowly eats up the available ports,
		// although Linux frees them after 60 seconds".
		name:   "ports held by FIN_WAIT_2 whose peer does not close",
		report: "https://github.com/hstaudacher/osgi-jax-rs-connector/issues/155",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			l := w.listen(5432, 128)
			opened, accepted := w.connect(l, lab.ConnectSpec{To: at(5432), N: 20})
			_, err := w.client.Close(opened.Group, lab.CloseSpec{})
			w.must(err)
			w.reach(w.server, accepted, "CLOSE_WAIT")
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: at(5432)})
		},
		want: want{limit: "fin-wait", severity: "critical", subject: "127.0.0.1:5432",
			cause: `FIN_WAIT_2`, remedies: []string{`application.*at the peer`},
			never: []string{`tcp_tw_reuse`, `setting net.ipv4.tcp_fin_timeout`}},
		noRemedy: map[string]string{"net.ipv4.ip_local_port_range": "peers that do not " +
			"close fill any range"},
	},
	{
		// A client that closes while the peer reads nothing: the FIN waits behind data
		// that a zero window holds back.
		name:   "ports held by FIN_WAIT_1 whose peer does not read",
		report: "https://github.com/google/gvisor/issues/13393",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40009")
			l := w.listen(5432, 128)
			opened, _ := w.connect(l, lab.ConnectSpec{To: at(5432), N: 10})
			const each = 16 << 20
			sent, _, err := w.client.SendEach(opened.Group, each)
			w.must(err)
			if sent == 10*each {
				w.Fatal("the peer's window takes all")
			}
			_, err = w.client.Close(opened.Group, lab.CloseSpec{})
			w.must(err)
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: at(5432)})
		},
		want: want{limit: "fin-wait", severity: "critical", subject: "127.0.0.1:5432",
			cause: `FIN_WAIT_1`, remedies: []string{`peer.*read`},
			never: []string{`tcp_tw_reuse`, `setting net.ipv4.tcp_fin_timeout`}},
		noRemedy: map[string]string{"net.ipv4.ip_local_port_range": "peers that do not " +
			"read fill any range"},
	},
	{
		// Each php-fpm worker keeps its persistent connections to Redis: together they
		// take all ports, and no worker has many.
		name:   "ports held by the pools of several workers",
		report: "https://github.com/phpredis/phpredis/issues/1684",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			l := w.listen(6379, 128)
			for i := range 4 {
				worker := w
				worker.client = w.spawn(fmt.Sprint("fpm-", i))
				worker.connect(l, lab.ConnectSpec{To: at(6379), N: 5})
			}
			w.refused(lab.ConnectSpec{To: at(6379)}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: at(6379)})
		},
		want: want{limit: "ephemeral-ports", severity: "critical",
			subject: "127.0.0.1:6379",
			cause:   `established connections use all 20 ports`,
			remedies: []string{`setting net.ipv4.ip_local_port_range`, `application`,
				`topology`}},
	},
	{
		// tcp_tw_reuse and tcp_timestamps are 1 and connect() fails all the same: the peer
		// does no timestamps, and without them no port is taken over.
		name:   "tcp_tw_reuse towards a peer without timestamps",
		report: "https://github.com/walkor/workerman/issues/122",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.tcp_tw_reuse", "1")
			beside, _ := w.beside("cable", "10.73.0.1/24", "10.73.0.254/24")
			w.must(beside.Set("net.ipv4.tcp_timestamps", "0"))
			var err error
			w.server, err = beside.Spawn("peer")
			w.must(err)
			peer := netip.MustParseAddrPort("10.73.0.1:2300")
			l := w.listenAs(lab.ListenSpec{Addr: peer, Backlog: 128})
			w.closeFirst(w.connect(l, lab.ConnectSpec{To: peer, N: 20}))
			w.wait() // longer than tcp_tw_reuse_delay
			w.refused(lab.ConnectSpec{To: peer}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: peer})
		},
		want: want{limit: "time-wait", severity: "critical", subject: "10.73.0.1:2300",
			cause:    `timestamps`,
			remedies: []string{`application`, `(?i)peer.*timestamps|timestamps.*peer`},
			never:    []string{`setting net.ipv4.tcp_tw_reuse `}},
	},
}

// listenAs is a listener of the server.
func (w world) listenAs(spec lab.ListenSpec) lab.Group {
	w.Helper()
	g, _, err := w.server.Listen(spec)
	if spec.MPTCP && errors.Is(err, syscall.EPROTONOSUPPORT) {
		w.Skip("this kernel has no MPTCP")
	}
	w.must(err)
	return g
}
