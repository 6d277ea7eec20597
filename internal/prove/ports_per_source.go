package prove

import (
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:    "ports-per-source",
	Limit: "ephemeral-ports",
	Says: "each further source address has all the ports of the range once more, also " +
		"towards the same destination",
	Source: "net/ipv4/inet_hashtables.c __inet_check_established",
	Unit:   "connections",
	Takes:  2 * time.Second,
	Busy:   Works,
	Trial: func(b *Bench) Outcome {
		e := b.between(loopback, "net.ipv4.ip_local_port_range=40000 40099")
		var measured, ceilings int64
		for _, source := range []string{"127.0.0.11", "127.0.0.12", "127.0.0.13"} {
			measured += int64(from(e.client, source, e.to, 150).Count)
		}
		s := e.Snapshot()
		for _, source := range []string{"127.0.0.11", "127.0.0.12", "127.0.0.13"} {
			ceilings += e.GaugeOf(s, "ephemeral-ports",
				source+" -> "+e.to.String()).Ceiling
		}
		o := Exactly(ceilings, measured)
		o.Formula = "3 source addresses, " +
			Formula(e.GaugeOf(s, "ephemeral-ports", "127.0.0.11 -> "))
		again := from(e.client, "127.0.0.11", e.to, 20)
		o.Expect("EADDRNOTAVAIL of 20 connect() from an address that has used its ports",
			20, again.Errors["EADDRNOTAVAIL"])
		o.Expect("check sees the address full", true,
			e.Gauge("ephemeral-ports", "127.0.0.11 -> ").Full())
		o.Without("connections from a fourth address meanwhile", 20,
			from(e.client, "127.0.0.14", e.to, 20).Count)
		return o
	},
})

var _ = register(Claim{
	ID:    "ports-in-total",
	Limit: "ephemeral-ports",
	Says: "there is no ceiling on outbound connections in total: every destination gets " +
		"all the ports of the range again, the same ones",
	Source: "net/ipv4/inet_hashtables.c __inet_check_established",
	Unit:   "connections",
	Takes:  2 * time.Second,
	Busy:   Works,
	Trial: func(b *Bench) Outcome {
		const destinations = 4
		e := b.between(loopback, "net.ipv4.ip_local_port_range=40000 40049")
		var measured int64
		ports := map[uint16]bool{}
		for i := range uint16(destinations) {
			_, to := e.listen(loopback, 8081+i)
			made := connect(e.client, to, 60)
			measured += int64(made.Count)
			count(ports, made)
		}
		g := e.GaugeAt(e.Snapshot(), "ephemeral-ports", limit.AnyPeer)
		o := Exactly(destinations*g.Ceiling, measured)
		o.Formula = "4 destinations, " + Formula(g)
		o.Expect("different local ports used for all of them", g.Ceiling, len(ports))
		o.Without("connections to one more destination", 50,
			connect(e.client, e.to, 50).Count)
		return o
	},
})

// count notes the local ports of connections.
func count(ports map[uint16]bool, made lab.Opened) {
	for _, at := range made.Local {
		ports[at.Port()] = true
	}
}

var _ = register(Claim{
	ID:    "ports-reserved-and-bound",
	Limit: "ephemeral-ports",
	Says: "a reserved port, and a port on which anything listens or is bound, whatever " +
		"its address, is lost to connections to every destination",
	Source: "net/ipv4/inet_hashtables.c __inet_hash_connect (inet_is_local_reserved_port; " +
		"tb->fastreuse >= 0)",
	Unit:  "connections",
	Takes: 2 * time.Second,
	Busy:  Works,
	Trial: func(b *Bench) Outcome {
		e := b.between(loopback, "net.ipv4.ip_local_port_range=40000 40099",
			"net.ipv4.ip_local_reserved_ports=40010-40012,50000")
		e.listen(netip.MustParseAddr("127.0.0.7"), 40050)
		must(e.server.Bind(lab.BindSpec{Addr: netip.MustParseAddrPort("127.0.0.9:40060")}))
		g := e.GaugeAt(e.Snapshot(), "ephemeral-ports", limit.AnyPeer)
		predicted := g.Ceiling
		// before 6.8 the kernel does not list a socket that is only bound: the
		// model cannot see it, the trial can
		if g.AtMost {
			predicted--
		}
		o := Exactly(predicted, int64(connect(e.client, e.to, 120).Count))
		o.Formula = Formula(g)
		if g.AtMost {
			o.Note = "this kernel does not list the bound socket (Linux 6.8 does); " +
				"one port is subtracted for it here, and check says \"at most\""
		}
		o.Expect("explicit bind() to a reserved port that worked, of 1", 1,
			must(e.server.Bind(
				lab.BindSpec{Addr: netip.MustParseAddrPort(
					"127.0.0.9:40010")})).Count)

		free := b.between(loopback, "net.ipv4.ip_local_port_range=40000 40099")
		o.Without("connections with nothing reserved or bound", 100,
			connect(free.client, free.to, 120).Count)
		return o
	},
})
