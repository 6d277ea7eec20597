//go:build linux

package faults

import (
	"net/netip"
	"slices"
	"time"

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
			return w.connecting(lab.ConnectSpec{To: at(5432)})
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
			to := lab.ConnectSpec{To: at(5432)}
			return scene{
				works: func() bool { return w.connects(to)() },
				load:  w.opens(to),
				again: func() { // with new connections, as when these have ended
					to.To = at(5433)
					l := w.listen(5433, 128)
					many := to
					many.N = 20
					w.closeFirst(w.connect(l, many))
				},
			}
		},
		want: want{limit: "time-wait", severity: "critical", subject: "127.0.0.1:5432",
			cause:    `tcp_timestamps`,
			remedies: []string{`setting net.ipv4.tcp_timestamps 0 -> 1`},
			never:    []string{`tcp_tw_reuse`}},
		minute: "what is in TIME_WAIT has no timestamps, and stays for 60 s",
	},
	{
		name: "a tcp_tw_reuse_delay that is longer than TIME_WAIT has lasted",
		make: func(w world) scene {
			const delay = "net.ipv4.tcp_tw_reuse_delay"
			if _, err := w.lab.Value(delay); err != nil {
				w.Skipf("Linux 6.14 has it: %v", err)
			}
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.tcp_tw_reuse", "1")
			w.set(delay, "30000")
			l := w.listen(5432, 128)
			w.closeFirst(w.connect(l, lab.ConnectSpec{To: at(5432), N: 20}))
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: at(5432)})
		},
		want: want{limit: "time-wait", severity: "critical", subject: "127.0.0.1:5432",
			cause:    `tcp_tw_reuse_delay`,
			remedies: []string{`setting net.ipv4.tcp_tw_reuse_delay 30000 -> 1000`},
			never:    []string{`tcp_timestamps`, `tcp_tw_reuse \d`}},
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
	{
		// nginx in front of Apache on the public address of the same host: "(99: Cannot
		// assign requested address) while connecting to upstream".
		name:   "ports held by TIME_WAIT towards an own address",
		report: "https://github.com/engintron/engintron/issues/938",
		make: func(w world) scene {
			own := netip.MustParseAddrPort("10.5.0.1:5432")
			w.must(w.lab.AddAddress("lo", netip.PrefixFrom(own.Addr(), 32)))
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.tcp_tw_reuse", "2")
			l, _, err := w.server.Listen(lab.ListenSpec{Addr: own, Backlog: 128})
			w.must(err)
			w.closeFirst(w.connect(l, lab.ConnectSpec{To: own, N: 20}))
			w.refused(lab.ConnectSpec{To: own}, "EADDRNOTAVAIL")
			return w.connecting(lab.ConnectSpec{To: own})
		},
		want: want{limit: "time-wait", severity: "critical", subject: "10.5.0.1:5432",
			cause:    `TIME_WAIT.*tcp_tw_reuse = 2`,
			remedies: []string{`net.ipv4.tcp_tw_reuse 2 -> 1`}},
	},
	{
		name: "ports held by FIN_WAIT_2 for a long tcp_fin_timeout",
		make: func(w world) scene {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.tcp_fin_timeout", "300")
			l := w.listen(5432, 128)
			opened, accepted := w.connect(l, lab.ConnectSpec{To: at(5432), N: 20})
			_, err := w.client.Close(opened.Group, lab.CloseSpec{})
			w.must(err)
			w.reach(w.server, accepted, "CLOSE_WAIT")
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
			return w.leavesSoon()
		},
		want: want{limit: "fin-wait", severity: "critical", subject: "127.0.0.1:5432",
			cause:    `FIN_WAIT_2.*tcp_fin_timeout = 300`,
			remedies: []string{`setting net.ipv4.tcp_fin_timeout 300 -> 60`}},
		later: "what waits already keeps its 300 s",
	},
}

// leavesSoon works where a connection that is closed first from now on, and that the peer does not
// close, is gone within a minute by the kernel's own timer.
func (w world) leavesSoon() scene {
	l := w.listen(5433, 128)
	timers := func() []time.Duration {
		left, err := w.lab.Timers()
		w.must(err)
		return left["FIN_WAIT_2"]
	}
	return scene{again: func() {}, works: func() (soon bool) {
		before := len(timers())
		opened, accepted := w.connect(l, lab.ConnectSpec{To: at(5433)})
		_, err := w.client.Close(opened.Group, lab.CloseSpec{})
		w.must(err)
		for range 20 { // until the peer has acknowledged the FIN
			left := timers()
			if soon = len(left) > before && slices.Max(left) <= time.Minute; soon {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		// RST frees the port for the next look
		_, err = w.server.Close(accepted.Group, lab.CloseSpec{Reset: true})
		w.must(err)
		return soon
	}}
}
