package prove

import "time"

var _ = register(Claim{
	ID:    "somaxconn-later",
	Limit: "accept-queue",
	Says: "raising somaxconn changes nothing for a listener that exists, until it calls " +
		"listen() again",
	Source: "net/socket.c __sys_listen_socket; net/ipv4/af_inet.c inet_listen",
	Unit:   "connections",
	Takes:  3 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const knocks = 12
		w := b.World("net.core.somaxconn=3")
		server, client := w.Actor("server"), w.Actor("client")
		listener, addr := listenOn(server, 8080, 64)
		g := w.Gauge("accept-queue", addr.String())
		w.Sysctl("net.core.somaxconn", "64")
		knock(client, addr, knocks)
		b.Await(settling, func() bool {
			return w.Counter("TcpExt.ListenOverflows") >= knocks-g.Ceiling
		})
		o := Exactly(g.Ceiling, int64(must(server.Queue(listener)).Used))
		o.Formula = Formula(g)
		o.Expect("limit of the listener after somaxconn was raised", 3,
			must(server.Queue(listener)).Limit)
		o.Expect("limit after listen() again", 64,
			must(server.Relisten(listener, 64)).Limit)
		b.Await(settling, func() bool {
			return must(server.Queue(listener)).Used == knocks
		})
		o.Expect("connections in the queue then: those that waited come in with their "+
			"next SYN", knocks, must(server.Queue(listener)).Used)

		late, at := listenOn(server, 8081, 64)
		knock(client, at, knocks)
		b.Await(settling, func() bool { return must(server.Queue(late)).Used == knocks })
		o.Without("connections at a listener opened after somaxconn was raised", knocks,
			must(server.Queue(late)).Used)
		return o
	},
})
