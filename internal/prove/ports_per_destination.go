package prove

import "time"

var _ = register(Claim{
	ID:     "ports-per-destination",
	Limit:  "ephemeral-ports",
	Says:   "one source address holds as many connections to one destination as ip_local_port_range has ports, without reserved ones",
	Source: "net/ipv4/inet_hashtables.c __inet_hash_connect",
	Unit:   "connections",
	Takes:  2 * time.Second,
	Busy:   Works,
	Trial: func(b *Bench) Outcome {
		w := b.World("net.ipv4.ip_local_port_range=40000 40199", "net.ipv4.ip_local_reserved_ports=40010-40029")
		server, client := w.Actor("server"), w.Actor("client")
		_, addr := listenOn(server, 8080, 1024)
		held := connect(client, addr, 300)
		g := w.Gauge("ephemeral-ports", addr.String())
		o := Exactly(g.Ceiling, int64(held.Count))
		o.Formula = Formula(g)
		o.ExpectThat("connect() beyond it", "EADDRNOTAVAIL", held.Errors, held.Errors["EADDRNOTAVAIL"] > 0)
		o.Expect("check sees all ports used", true, g.Full())

		_, other := listenOn(server, 8081, 1024)
		o.Without("connections to another destination at the same time", held.Count, connect(client, other, held.Count).Count)
		wide := b.World("net.ipv4.ip_local_port_range=40000 40399")
		server, client = wide.Actor("server"), wide.Actor("client")
		_, addr = listenOn(server, 8080, 1024)
		o.Without("connections where the range is wider", 300, connect(client, addr, 300).Count)
		return o
	},
})
