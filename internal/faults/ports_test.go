//go:build linux

package faults

import (
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
			return scene{works: w.connects(lab.ConnectSpec{To: at(5432)})}
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
			return scene{works: w.connects(lab.ConnectSpec{To: at(5432)})}
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
			return scene{works: w.connects(lab.ConnectSpec{To: at(5432)})}
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
			return scene{works: w.connects(lab.ConnectSpec{To: at(5432), From: at(0)})}
		},
		want: want{limit: "ephemeral-ports", severity: "critical", subject: "127.0.0.1",
			cause:    `IP_BIND_ADDRESS_NO_PORT`,
			remedies: []string{`application.*IP_BIND_ADDRESS_NO_PORT`}},
	},
}
