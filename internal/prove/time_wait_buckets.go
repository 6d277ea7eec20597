package prove

import (
	"errors"
	"io/fs"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/lab"
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
		o.Expect("check sees the table full", true, g.Harms)
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

var _ = register(Claim{
	ID:    "tw-recycle-gone",
	Limit: "time-wait",
	Says: "net.ipv4.tcp_tw_recycle is gone since Linux 4.12: writing it fails, and " +
		"nothing takes its place",
	Source: "4396e46187ca (4.12)",
	Unit:   "settings of that name",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		w := b.World()
		row := knob.Lookup("net.ipv4.tcp_tw_recycle")
		predicted := int64(0)
		if kernel := w.Snapshot().Read().Kernel(); kernel.Known() && !row.Gone(kernel) {
			predicted = 1
		}
		err := w.Set(row.Name, "1")
		there := int64(1)
		if errors.Is(err, fs.ErrNotExist) {
			there = 0
		}
		o := Exactly(predicted, there)
		o.Formula = "the catalogue: first version without it is " + row.Until.By.String()
		if predicted == 0 {
			o.Expect("error of writing it", fs.ErrNotExist, reason(err))
		}
		o.Without("error of writing net.ipv4.tcp_tw_reuse", "none",
			reason(w.Set("net.ipv4.tcp_tw_reuse", "1")))
		return o
	},
})

// reason is fs.ErrNotExist in words for whatever means that, or the error itself.
func reason(err error) string {
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, fs.ErrNotExist):
		return fs.ErrNotExist.Error()
	}
	return err.Error()
}
