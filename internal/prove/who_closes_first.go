package prove

import (
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:    "who-closes-first",
	Limit: "time-wait",
	Says: "TIME_WAIT stands on the side that closes first; where that is the server, the " +
		"client can use all its ports again at once, " +
		"because a listener takes a new SYN straight from TIME_WAIT",
	Source: "net/ipv4/tcp_minisocks.c tcp_timewait_state_process (TCP_TW_SYN)",
	Unit:   "connections at once after the same number was closed",
	Takes:  2 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const ports = "net.ipv4.ip_local_port_range=40000 40039"
		e := b.between(ordinary, ports)
		client, server := e.pairs(40)
		must(e.server.Close(server, lab.CloseSpec{}))
		b.Await(settling, func() bool {
			return must(e.client.States(client))["CLOSE_WAIT"] == 40
		})
		must(e.client.Close(client, lab.CloseSpec{}))
		b.Await(settling, func() bool { return e.Sockstat("inuse") <= 1 })
		s := e.Snapshot()
		again := connect(e.client, e.to, 60)
		g := e.GaugeAt(s, "ephemeral-ports", limit.AnyPeer)
		o := Exactly(g.Ceiling, int64(again.Count))
		o.Formula = Formula(g) + ", none of them taken by a TIME_WAIT of the server's"
		o.Expect("TIME_WAIT on the server's side before", 40,
			states(s, host.InboundKind, "TIME_WAIT"))
		o.Expect("TIME_WAIT on the client's side before", 0,
			states(s, host.OutboundKind, "TIME_WAIT"))

		c := b.between(ordinary, ports)
		since := c.wait(40)
		s = c.Snapshot()
		o.Without("TIME_WAIT on the client's side where the client closes first", 40,
			states(s, host.OutboundKind, "TIME_WAIT"))
		o.Without("connections at once after that", 0, connect(c.client, c.to, 60).Count)
		c.stillWaiting(since)
		return o
	},
})

// states counts the sockets of a table that are in a state.
func states(s host.Snapshot, kind host.Kind, state string) (n int64) {
	for _, row := range s.Read().Rows(kind) {
		n += row.Count(state)
	}
	return n
}
