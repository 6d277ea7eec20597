package prove

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:    "fin-wait-count",
	Limit: "fin-wait",
	Says: "each connection that this side has closed and the peer has not stands in " +
		"FIN_WAIT_2, keeps its port, and counts against tcp_max_tw_buckets",
	Source: "net/ipv4/tcp.c __tcp_close, net/ipv4/tcp_minisocks.c tcp_time_wait",
	Unit:   "connections in FIN_WAIT",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		e := b.between(ordinary, "net.ipv4.ip_local_port_range=40000 40039",
			"net.ipv4.tcp_tw_reuse=0")
		client, server := e.pairs(40)
		must(e.client.Close(client, lab.CloseSpec{}))
		e.arrived(server, 40)
		b.Await(settling, func() bool { return e.Sockstat("tw") == 40 })
		s := e.Snapshot()
		g := e.GaugeAt(s, "fin-wait", limit.Netns)
		o := Exactly(g.Used, int64(len(must(e.Timers())["FIN_WAIT_2"])))
		o.Formula = "connections in FIN_WAIT_1 and FIN_WAIT_2 by sock_diag; each has a " +
			"timer of its own"
		o.Expect("connections that were closed", 40, g.Used)
		o.Expect("entries of the TIME_WAIT table", 40,
			e.GaugeOf(s, "time-wait-buckets", "").Used)
		o.Expect("in CLOSE_WAIT at the peer", 40,
			must(e.server.States(server))["CLOSE_WAIT"])
		o.Expect("EADDRNOTAVAIL of one connect() meanwhile", 1,
			connect(e.client, e.to, 1).Errors["EADDRNOTAVAIL"])
		o.Expect("check sees the ports that they hold", true,
			strings.Contains(e.GaugeOf(s, "fin-wait", " -> "+e.to.String()).Cause,
				"FIN_WAIT_2"))

		must(e.server.Close(server, lab.CloseSpec{}))
		b.Await(settling, func() bool { return len(must(e.Timers())["TIME_WAIT"]) == 40 })
		o.Without("in FIN_WAIT once the peer has closed too", 0,
			e.GaugeAt(e.Snapshot(), "fin-wait", limit.Netns).Used)
		o.Without("in TIME_WAIT then", 40, len(must(e.Timers())["TIME_WAIT"]))
		return o
	},
})

var _ = register(Claim{
	ID:    "close-wait-stays",
	Limit: "close-wait",
	Says: "a connection that the peer has closed stays in CLOSE_WAIT until the " +
		"application closes it; no timer of this host and no tcp_fin_timeout ends it",
	Source: "net/ipv4/tcp_input.c tcp_fin",
	Unit:   "connections in CLOSE_WAIT",
	Takes:  7 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		e := b.between(ordinary, "net.ipv4.tcp_fin_timeout=5",
			"net.ipv4.tcp_keepalive_time=1", "net.ipv4.tcp_keepalive_intvl=1",
			"net.ipv4.tcp_keepalive_probes=1")
		client, server := e.pairs(40)
		before := e.Counter("Tcp.EstabResets")
		must(e.client.Close(client, lab.CloseSpec{}))
		e.arrived(server, 40)
		closing := func() int64 {
			return e.GaugeAt(e.Snapshot(), "fin-wait", limit.Netns).Used
		}
		began := closing()
		if !b.Await(settling, func() bool { return closing() == 0 }) {
			b.Must(fmt.Errorf(
				"FIN_WAIT_2 did not end within %v with tcp_fin_timeout = 5",
				settling))
		}
		// Where the FIN's acknowledgement met close() itself (softirqs put off on a
		// busy machine), FIN_WAIT_2 is no entry of the TIME_WAIT table and ends
		// with a RST to the peer (net/ipv4/tcp_timer.c tcp_keepalive_timer).
		reset := e.Counter("Tcp.EstabResets") - before
		g := e.Gauge("close-wait", "server")
		o := Exactly(g.Used, int64(must(e.server.States(server))["CLOSE_WAIT"]))
		o.Formula = "connections in CLOSE_WAIT of the process by sock_diag"
		o.Expect("in FIN_WAIT at the peer before", 40, began)
		o.Expect("of 40, there after FIN_WAIT_2 at the peer has ended, or reset by "+
			"the peer", 40, g.Used+reset)
		o.ExpectThat("what check says", "names the process", g.Cause,
			strings.Contains(g.Cause, "server"))
		must(e.server.Close(server, lab.CloseSpec{}))
		o.Without("in CLOSE_WAIT once the application has closed", 0,
			strings.Count(string(e.Snapshot().Text()), "CLOSE_WAIT="))
		return o
	},
})

var _ = register(Claim{
	ID:    "orphans-reset",
	Limit: "orphans",
	Says: "with tcp_max_orphans connections that applications have closed and peers " +
		"have not, on the whole host, each further close() resets its connection",
	Source: "net/ipv4/tcp.c __tcp_close, tcp_check_oom; tcp_too_many_orphans, " +
		"19757cebf0c5 (5.16: renewed every 100 ms)",
	Unit:    "orphans",
	Takes:   10 * time.Second,
	Busy:    Alone,
	Machine: "tcp_max_orphans is of the whole host and is set in its first network namespace",
	Trial: func(b *Bench) Outcome {
		const allowed = 500
		machine := b.Machine()
		// those of labs that have just ended
		b.Await(20*time.Second, func() bool { return machine.Sockstat("orphan") == 0 })
		others := machine.Sockstat("orphan")
		machine.SetUntilDone("net.ipv4.tcp_max_orphans", strconv.Itoa(allowed))
		e, kept, reset := orphaned(b, allowed)
		g := machine.GaugeAt(machine.Snapshot(), "orphans", limit.Host)
		o := Within(0.02, float64(g.Ceiling-others), float64(kept))
		o.Formula = "net.ipv4.tcp_max_orphans = 500"
		o.Expect("TcpExt.TCPAbortOnMemory", allowed+orphansBeyond-kept, reset)
		o.ExpectThat("what check counts", "as many as the host may have, within 2 %",
			g.Used, g.IsNear() && g.Notice)
		b.Must(e.Close())
		b.Await(20*time.Second, func() bool { return machine.Sockstat("orphan") == 0 })
		machine.SetUntilDone("net.ipv4.tcp_max_orphans", "65536")
		_, kept, reset = orphaned(b, allowed)
		o.Without("orphans with tcp_max_orphans = 65536", allowed+orphansBeyond, kept)
		o.Without("TcpExt.TCPAbortOnMemory then", 0, reset)
		return o
	},
})

// orphansBeyond is how many connections are closed beyond the ceiling.
const orphansBeyond = 30

// orphaned closes allowed + orphansBeyond connections whose peers do not close, and says
// how many became orphans and how many were reset. With tcp_fin_timeout above 60 a
// connection in FIN_WAIT_2 is an orphan for the seconds beyond (net/ipv4/tcp.c
// __tcp_close). They go with the namespace.
func orphaned(b *Bench, allowed int) (e ends, kept, reset int64) {
	e = b.between(loopback, "net.ipv4.tcp_fin_timeout=180")
	client, _ := e.pairs(allowed + orphansBeyond)
	before := e.Sockstat("orphan")
	must(e.client.Close(client, lab.CloseSpec{N: allowed - 10}))
	// slower than the count is renewed, so that close() compares the true one
	for range orphansBeyond + 10 {
		b.Pause(120 * time.Millisecond)
		must(e.client.Close(client, lab.CloseSpec{N: 1}))
	}
	return e, e.Sockstat("orphan") - before, e.Counter("TcpExt.TCPAbortOnMemory")
}
