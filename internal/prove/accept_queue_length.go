package prove

import "time"

var _ = register(Claim{
	ID:    "accept-queue-length",
	Limit: "accept-queue",
	Says: "an accept queue takes min(backlog, somaxconn) + 1 connections; further ones " +
		"wait and are counted as overflows",
	Source: "include/net/sock.h sk_acceptq_is_full; net/ipv4/tcp_ipv4.c tcp_v4_syn_recv_sock",
	Unit:   "connections",
	Takes:  2 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const extra = 5
		w := b.World("net.core.somaxconn=7")
		server, client := w.Actor("server"), w.Actor("client")
		listener, addr := listenOn(server, 8080, 64)
		g := w.Gauge("accept-queue", addr.String())
		filling := Series{
			Name:  "accept queue with somaxconn = 7 and a backlog of 64",
			X:     "connections begun",
			Y:     "in the queue",
			Marks: []Mark{level("predicted", g.Ceiling)},
		}
		for i := range int(g.Ceiling) + extra {
			knock(client, addr, 1)
			used := must(server.Queue(listener)).Used
			filling.Points = append(filling.Points,
				Point{X: float64(i + 1), Y: float64(used)})
		}
		b.Await(settling, func() bool { return w.Counter("TcpExt.ListenOverflows") > 0 })
		o := Exactly(g.Ceiling, int64(must(server.Queue(listener)).Used))
		o.Formula, o.Series = Formula(g), []Series{filling}
		g = w.Gauge("accept-queue", addr.String())
		o.Expect("check sees the queue refuse", true, g.Refusing)
		overflows := w.Counter("TcpExt.ListenOverflows")
		o.ExpectThat("TcpExt.ListenOverflows", "at least 1", overflows, overflows > 0)

		control := b.World("net.core.somaxconn=64")
		server, client = control.Actor("server"), control.Actor("client")
		listener, addr = listenOn(server, 8080, 64)
		knock(client, addr, int(o.Predicted)+extra)
		b.Await(settling, func() bool {
			return must(server.Queue(listener)).Used == int(o.Predicted)+extra
		})
		o.Without("connections in a queue of 64", int(o.Predicted)+extra,
			must(server.Queue(listener)).Used)
		o.Without("TcpExt.ListenOverflows", 0, control.Counter("TcpExt.ListenOverflows"))
		return o
	},
})
