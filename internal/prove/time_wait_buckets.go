package prove

import (
	"time"

	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:    "time-wait-overflow",
	Limit: "time-wait-buckets",
	Says: "when tcp_max_tw_buckets sockets are in TIME_WAIT, further ones skip it and " +
		"are counted; no connection is refused",
	Source: "net/ipv4/inet_timewait_sock.c inet_twsk_alloc; net/ipv4/tcp_minisocks.c " +
		"tcp_time_wait",
	Unit:  "sockets in TIME_WAIT",
	Takes: time.Second,
	Busy:  Waits,
	Trial: func(b *Bench) Outcome {
		const closed = 20
		e := b.between(ordinary, waitRange, "net.ipv4.tcp_max_tw_buckets=5")
		e.wait(closed)
		g := e.GaugeAt(e.Snapshot(), "time-wait-buckets", limit.Netns)
		o := Exactly(g.Ceiling, e.Sockstat("tw"))
		o.Formula = "net.ipv4.tcp_max_tw_buckets = 5"
		o.Expect("TcpExt.TCPTimeWaitOverflow", closed-g.Ceiling,
			e.Counter("TcpExt.TCPTimeWaitOverflow"))
		o.Expect("check sees the table full", true, g.Refusing)
		o.Expect("connections made while it is full", closed,
			connect(e.client, e.to, closed).Count)

		wide := b.between(ordinary, waitRange, "net.ipv4.tcp_max_tw_buckets=4096")
		wide.wait(closed)
		o.Without("sockets in TIME_WAIT with a table of 4096", closed, wide.Sockstat("tw"))
		o.Without("TcpExt.TCPTimeWaitOverflow", 0,
			wide.Counter("TcpExt.TCPTimeWaitOverflow"))
		return o
	},
})
