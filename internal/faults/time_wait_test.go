//go:build linux

package faults

import (
	"github.com/maxconn/maxconn/internal/lab"
)

// Ports and entries in TIME_WAIT.
var timeWaitFaults = []fault{
	{
		name: "ports held by TIME_WAIT",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.tcp_tw_reuse", "0")
			l := w.listen(5432, 128)
			w.closeFirst(w.connect(l, lab.ConnectSpec{To: at(5432), N: 20}))
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
			return scene{works: w.connects(lab.ConnectSpec{To: at(5432)})}
		},
		want: want{limit: "time-wait", severity: "critical", subject: "127.0.0.1:5432",
			cause:    `TIME_WAIT.*tcp_tw_reuse`,
			remedies: []string{`application`, `net.ipv4.tcp_tw_reuse 0 -> `}},
	},
	{
		name: "tcp_tw_reuse made useless by tcp_timestamps=0",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.tcp_tw_reuse", "1")
			w.set("net.ipv4.tcp_timestamps", "0")
			l := w.listen(5432, 128)
			w.closeFirst(w.connect(l, lab.ConnectSpec{To: at(5432), N: 20}))
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
			return scene{works: w.connects(lab.ConnectSpec{To: at(5432)})}
		},
		want: want{limit: "time-wait", severity: "critical", subject: "127.0.0.1:5432",
			cause:    `tcp_timestamps`,
			remedies: []string{`setting net.ipv4.tcp_timestamps 0 -> 1`},
			never:    []string{`tcp_tw_reuse`}},
	},
	{
		name: "a tcp_max_tw_buckets that is too small",
		make: func(w world) scene {
			w.set("net.ipv4.tcp_max_tw_buckets", "5")
			l := w.listen(8080, 128)
			w.closeFirst(w.connect(l, lab.ConnectSpec{To: at(8080), N: 20}))
			return scene{works: w.still("TcpExt.TCPTimeWaitOverflow", func() {
				w.closeFirst(w.connect(l, lab.ConnectSpec{To: at(8080), N: 5}))
			})}
		},
		// The table is full, or was a moment ago: a RST from the other end may have
		// ended some already.
		want: want{limit: "time-wait-buckets", severity: "warning", // nobody is refused
			cause:    `tcp_max_tw_buckets`,
			remedies: []string{`setting net.ipv4.tcp_max_tw_buckets 5 -> `}},
	},
}
