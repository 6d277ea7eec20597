package prove

import "time"

var _ = register(Claim{
	ID:    "ports-per-destination",
	Limit: "ephemeral-ports",
	Says: "one source address holds as many connections to one destination as " +
		"ip_local_port_range has ports, without reserved ones",
	Source: "net/ipv4/inet_hashtables.c __inet_hash_connect",
	Unit:   "connections",
	Takes:  2 * time.Second,
	Busy:   Works,
	Trial: func(b *Bench) Outcome {
		w := b.World("net.ipv4.ip_local_port_range=40000 40199",
			"net.ipv4.ip_local_reserved_ports=40010-40029")
		server, client := w.Actor("server"), w.Actor("client")
		_, addr := listenOn(server, 8080, 1024)
		const step, tried = 20, 300
		held, errs, points := 0, map[string]int{}, []Point{{}}
		for at := step; at <= tried; at += step {
			made := connect(client, addr, step)
			held += made.Count
			for name, n := range made.Errors {
				errs[name] += n
			}
			points = append(points, Point{X: float64(at), Y: float64(held)})
		}
		g := w.Gauge("ephemeral-ports", addr.String())
		o := Exactly(g.Ceiling, int64(held))
		o.Formula = Formula(g)
		o.Series = []Series{{
			Name: "connections held to one destination, 200 ports of which 20 " +
				"are reserved",
			X:      "connect() calls",
			Y:      "connections held",
			Points: points,
			Marks:  []Mark{level("predicted", g.Ceiling)},
		}}
		o.Expect("connect() beyond it", map[string]int{"EADDRNOTAVAIL": tried - held}, errs)
		o.Expect("check sees all ports used", true, g.Full())

		_, other := listenOn(server, 8081, 1024)
		o.Without("connections to another destination at the same time", held,
			connect(client, other, held).Count)
		wide := b.World("net.ipv4.ip_local_port_range=40000 40399")
		server, client = wide.Actor("server"), wide.Actor("client")
		_, addr = listenOn(server, 8080, 1024)
		o.Without("connections where the range is wider", 300,
			connect(client, addr, 300).Count)
		return o
	},
})
