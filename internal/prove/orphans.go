package prove

import (
	"strconv"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

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
