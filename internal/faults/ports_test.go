//go:build linux

package faults

import (
	"net/netip"

	"github.com/maxconn/maxconn/internal/lab"
)

// Local ports that are used up.
var portFaults = []fault{
	{
		name: "ports held by established connections",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			l := w.listen(5432, 128)
			w.connect(l, lab.ConnectSpec{To: at(5432), N: 20})
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: at(5432)})
		},
		want: want{limit: "ephemeral-ports", severity: "critical",
			subject: "127.0.0.1:5432",
			process: "client", cause: `established connections use all 20 ports`,
			remedies: []string{`setting net.ipv4.ip_local_port_range`, `application`,
				`topology`}},
	},
	{
		name: "ports taken by ip_local_reserved_ports",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.ip_local_reserved_ports", "40002-40019")
			l := w.listen(5432, 128)
			w.connect(l, lab.ConnectSpec{To: at(5432), N: 2})
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: at(5432)})
		},
		want: want{limit: "ephemeral-ports", severity: "critical", cause: `reserved`,
			remedies: []string{`net.ipv4.ip_local_reserved_ports`}},
	},
	{
		name: "ports held by bound sockets",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.listen(5432, 128)
			_, err := w.server.Bind(lab.BindSpec{Addr: at(0), N: 20})
			w.must(err)
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: at(5432)})
		},
		want: want{limit: "ephemeral-ports", severity: "critical", process: "server",
			cause:    `bound and not connected`,
			remedies: []string{`application.*IP_BIND_ADDRESS_NO_PORT`}},
	},
	{
		name: "bind before connect shares one set of ports",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40039")
			a, b := w.listen(5432, 128), w.listen(5433, 128)
			w.connect(a, lab.ConnectSpec{To: at(5432), N: 20, From: at(0)})
			w.connect(b, lab.ConnectSpec{To: at(5433), N: 20, From: at(0)})
			w.refused(lab.ConnectSpec{To: at(5432), From: at(0)}, "EADDRINUSE")
			return w.connecting(lab.ConnectSpec{To: at(5432), From: at(0)})
		},
		want: want{limit: "ephemeral-ports", severity: "critical", subject: "127.0.0.1",
			cause:    `IP_BIND_ADDRESS_NO_PORT`,
			remedies: []string{`application.*IP_BIND_ADDRESS_NO_PORT`}},
	},
	{
		// A client that connects again and again to a device that is off: SYN_SENT piles
		// up.
		name:   "ports held by connections that nobody answers",
		report: "https://github.com/mkjeff/secs4net/issues/103",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.soonGivenUp()
			w.syn(9, 0, 1) // routes what is sent to 198.18.0.0/15 into the void
			spec := lab.ConnectSpec{To: void, N: 20, NonBlocking: true}
			_, err := w.client.Connect(spec)
			w.must(err)
			w.refused(lab.ConnectSpec{To: void}, "EADDRNOTAVAIL")
			spec.N = 1
			return w.connecting(spec)
		},
		want: want{limit: "ephemeral-ports", severity: "critical",
			subject: void.String(), process: "client",
			cause: `SYN_SENT`,
			remedies: []string{`topology.*(route|filter|firewall)`,
				`application.*timeout`, `tcp_syn_retries 6 -> `},
			never: []string{`ip_local_port_range`, `pool`, `source addresses`}},
		noRemedy: map[string]string{"net.ipv4.ip_local_port_range": "further attempts that " +
			"nobody answers fill any range"},
		byHand: map[string]string{"net.ipv4.tcp_syn_retries": "it gives up slow peers, too"},
	},
	{
		// A proxy keeps its connections to the parent proxy after that has closed them.
		name:   "ports held by CLOSE_WAIT",
		report: "https://github.com/3proxy/3proxy/issues/1263",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			l := w.listen(5432, 128)
			opened, accepted := w.connect(l, lab.ConnectSpec{To: at(5432), N: 20})
			_, err := w.server.Close(accepted.Group, lab.CloseSpec{})
			w.must(err)
			w.reach(w.client, opened, "CLOSE_WAIT")
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: at(5432)})
		},
		want: want{limit: "ephemeral-ports", severity: "critical",
			subject: "127.0.0.1:5432", process: "client",
			cause:    `CLOSE_WAIT`,
			remedies: []string{`application.*client.*close`},
			never:    []string{`ip_local_port_range`, `fewer connections`, `source addresses`}},
		noRemedy: map[string]string{"net.ipv4.ip_local_port_range": "sockets that nobody " +
			"closes fill any range"},
	},
	{
		// Greenplum bound its outgoing connections to an address, beside all others:
		// "could not bind to local addr: address already in use".
		name:   "plain and bind-first connections hold all ports together",
		report: "https://github.com/greenplum-db/gpdb/pull/6654",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40039")
			first, second, third := w.listen(5432, 128), w.listen(5433, 128),
				w.listen(5434, 128)
			w.connect(first, lab.ConnectSpec{To: at(5432), N: 20})
			w.connect(second, lab.ConnectSpec{To: at(5433), N: 20})
			w.connect(third, lab.ConnectSpec{To: at(5434), N: 20, From: at(0)})
			w.refused(lab.ConnectSpec{To: at(5434), From: at(0)}, "EADDRINUSE")
			return w.connecting(lab.ConnectSpec{To: at(5434), From: at(0)})
		},
		want: want{limit: "ephemeral-ports", severity: "critical",
			subject: "127.0.0.1 -> all destinations",
			cause:   `IP_BIND_ADDRESS_NO_PORT`,
			remedies: []string{`application.*IP_BIND_ADDRESS_NO_PORT`,
				`setting net.ipv4.ip_local_port_range`}},
	},
}

// void is where nothing answers, once the lab has sent a SYN from there.
var void = netip.MustParseAddrPort("198.18.0.1:443")

// soonGivenUp has attempts end after 3 s where tcp_syn_retries is 1, as before Linux 6.5.
func (w world) soonGivenUp() { w.lab.Set("net.ipv4.tcp_syn_linear_timeouts", "0") }
