package prove

import (
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

// flood sends first segments of handshakes that nobody finishes and waits until the listener has dealt with all.
func (w World) flood(a *lab.Actor, to netip.AddrPort, n int) {
	before := w.Counter("Tcp.InSegs")
	if got := must(a.RawSYN(lab.SYNSpec{To: to, N: n})); got != n {
		w.b.CannotRun("not all SYN segments could be sent")
	}
	w.b.Await(5*time.Second, func() bool { return w.Counter("Tcp.InSegs") >= before+int64(n) })
}

var _ = register(Claim{
	ID:     "syn-queue-length",
	Limit:  "syn-queue",
	Says:   "without SYN cookies a listener keeps as many half-open connections as its backlog says and drops further SYNs",
	Source: "include/net/inet_connection_sock.h inet_csk_reqsk_queue_is_full; net/ipv4/tcp_input.c tcp_conn_request (one more since 3479c7549fb1, Linux 6.13)",
	Unit:   "half-open connections",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const backlog, syns = 10, 40
		w := b.World("net.ipv4.tcp_syncookies=0", "net.ipv4.tcp_max_syn_backlog=4096", "net.core.somaxconn=4096")
		server := w.Actor("server")
		_, addr := listenOn(server, 8080, backlog)
		before := w.Snapshot()
		g := w.GaugeOf(before, "syn-queue", addr.String())
		w.flood(server, addr, syns)
		o := Exactly(g.Ceiling, w.halfOpen(addr.Port()))
		o.Formula = Formula(g)
		o.Expect("check --for sees the queue refuse", true, w.since(before, "syn-queue", addr.String()).Refusing)
		o.Expect("TcpExt.TCPReqQFullDrop", syns-g.Ceiling, w.Counter("TcpExt.TCPReqQFullDrop"))
		o.Expect("TcpExt.ListenDrops rises with it", syns-g.Ceiling, w.Counter("TcpExt.ListenDrops"))
		o.Expect("TcpExt.ListenOverflows does not", 0, w.Counter("TcpExt.ListenOverflows"))

		control := b.World("net.ipv4.tcp_syncookies=0", "net.ipv4.tcp_max_syn_backlog=4096", "net.core.somaxconn=4096")
		server = control.Actor("server")
		_, addr = listenOn(server, 8080, 4*syns)
		control.flood(server, addr, syns)
		o.Without("half-open connections with a larger backlog", syns, control.halfOpen(addr.Port()))
		o.Without("TcpExt.TCPReqQFullDrop", 0, control.Counter("TcpExt.TCPReqQFullDrop"))
		return o
	},
})

var _ = register(Claim{
	ID:     "syn-cookies-replace-the-queue",
	Limit:  "syn-queue",
	Says:   "with SYN cookies a full SYN queue drops nobody, and tcp_max_syn_backlog does nothing",
	Source: "net/ipv4/tcp_input.c tcp_conn_request, tcp_syn_flood_action",
	Unit:   "half-open connections",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const backlog, syns = 100, 160
		settings := []string{"net.ipv4.tcp_syncookies=1", "net.ipv4.tcp_max_syn_backlog=16", "net.core.somaxconn=4096"}
		w := b.World(settings...)
		server, client := w.Actor("server"), w.Actor("client")
		_, addr := listenOn(server, 8080, backlog)
		g := w.Gauge("syn-queue", addr.String())
		w.flood(server, addr, syns)
		o := Exactly(g.Ceiling, w.halfOpen(addr.Port()))
		o.Formula = Formula(g)
		o.Expect("TcpExt.TCPReqQFullDoCookies", syns-g.Ceiling, w.Counter("TcpExt.TCPReqQFullDoCookies"))
		o.Expect("TcpExt.ListenDrops", 0, w.Counter("TcpExt.ListenDrops"))
		o.Expect("a client that does answer gets in", 1, connect(client, addr, 1).Count)

		control := b.World(settings...)
		server = control.Actor("server")
		_, addr = listenOn(server, 8080, 4*syns)
		control.flood(server, addr, syns)
		o.Without("half-open connections with a larger backlog, tcp_max_syn_backlog = 16", syns, control.halfOpen(addr.Port()))
		o.Without("TcpExt.TCPReqQFullDoCookies", 0, control.Counter("TcpExt.TCPReqQFullDoCookies"))
		return o
	},
})

var _ = register(Claim{
	ID:     "max-syn-backlog",
	Limit:  "syn-queue",
	Says:   "tcp_max_syn_backlog bounds half-open connections at 3/4 of its value, and only without SYN cookies",
	Source: "net/ipv4/tcp_input.c tcp_conn_request",
	Unit:   "half-open connections",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const backlog, syns = 300, 60
		w := b.World("net.ipv4.tcp_syncookies=0", "net.ipv4.tcp_max_syn_backlog=16", "net.core.somaxconn=4096")
		server := w.Actor("server")
		_, addr := listenOn(server, 8080, backlog)
		before := w.Snapshot()
		g := w.GaugeOf(before, "syn-queue", addr.String())
		w.flood(server, addr, syns)
		o := Exactly(g.Ceiling, w.halfOpen(addr.Port()))
		o.Formula = Formula(g)
		o.Expect("check --for sees the queue refuse", true, w.since(before, "syn-queue", addr.String()).Refusing)
		o.Expect("TcpExt.ListenDrops", syns-g.Ceiling, w.Counter("TcpExt.ListenDrops"))
		o.Expect("no counter names the cause: TcpExt.TCPReqQFullDrop", 0, w.Counter("TcpExt.TCPReqQFullDrop"))

		for _, control := range []string{"net.ipv4.tcp_syncookies=1", "net.ipv4.tcp_max_syn_backlog=4096"} {
			c := b.World("net.ipv4.tcp_syncookies=0", "net.ipv4.tcp_max_syn_backlog=16", "net.core.somaxconn=4096", control)
			server := c.Actor("server")
			_, addr := listenOn(server, 8080, backlog)
			c.flood(server, addr, syns)
			o.Without("half-open connections with "+control, syns, c.halfOpen(addr.Port()))
			o.Without("TcpExt.ListenDrops with "+control, 0, c.Counter("TcpExt.ListenDrops"))
		}
		return o
	},
})
