package prove

import (
	"fmt"
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
			must(e.server.Bind(lab.BindSpec{Addr: netip.MustParseAddrPort(
				"127.0.0.9:40010")})).Count)

		free := b.between(loopback, "net.ipv4.ip_local_port_range=40000 40099")
		o.Without("connections with nothing reserved or bound", 100,
			connect(free.client, free.to, 120).Count)
		return o
	},
})

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

var _ = register(Claim{
	ID:    "more-than-65535-on-one-port",
	Limit: "ephemeral-ports",
	Says: "one listening port holds more than 65,535 connections: ports bound the " +
		"clients, each for itself",
	Source: "net/ipv4/inet_hashtables.c __inet_lookup_established (all four numbers make " +
		"the key)",
	Unit:  "connections",
	Takes: 12 * time.Second,
	Busy:  Works,
	Trial: func(b *Bench) Outcome {
		const wanted, clients = 66000, 4
		b.needMemory(wanted * 10 << 10)
		// Less than half of the range for each client: beyond that each connect()
		// costs a search.
		w := b.World("net.ipv4.ip_local_port_range=20000 60999", "net.core.somaxconn=65535")
		first := w.Actor("server")
		listener, addr := listenOn(first, 8080, 65535)
		b.needFiles(first, wanted/clients)
		held := make([]int, clients)
		var crowd []func()
		for i := range clients {
			server, client := w.Actor(fmt.Sprintf("server%d", i)),
				w.Actor(fmt.Sprintf("client%d", i))
			shared := b.borrow(server, first, listener)
			crowd = append(crowd, func() {
				source := netip.AddrPortFrom(
					netip.AddrFrom4([4]byte{127, 0, 1, byte(1 + i)}), 0)
				inParts(wanted/clients, func(n int) lab.Opened {
					return must(client.Connect(lab.ConnectSpec{To: addr, N: n,
						From: source, NoPort: true, Within: time.Minute}))
				})
			}, func() {
				held[i] = inParts(wanted/clients, func(n int) lab.Opened {
					return must(server.Accept(lab.AcceptSpec{Listener: shared,
						N: n, Within: time.Minute}))
				})
			})
		}
		b.Together(crowd...)
		total := 0
		for _, n := range held {
			total += n
		}
		o := Exactly(wanted, int64(total))
		o.Formula = "no ceiling by ports: 4 client addresses with 16,500 connections each"
		inUse := w.Sockstat("inuse")
		o.ExpectThat("TCP sockets of the namespace in use",
			"two for each connection, and the listener", inUse, inUse == 2*wanted+1)

		w.Sysctl("net.ipv4.ip_local_port_range", "20000 20099")
		alone := from(w.Actor("alone"), "127.0.2.1", addr, 150)
		o.Without("connections of one client address with 100 ports", 100, alone.Count)
		return o
	},
})

// inParts opens n connections, as many at a time as the slowest machine does within a
// minute, until one part is not complete.
func inParts(n int, open func(n int) lab.Opened) (count int) {
	const part = 1500
	for n > count {
		want := min(part, n-count)
		got := open(want).Count
		if count += got; got < want {
			break
		}
	}
	return count
}

// needMemory ends the trial where that many bytes would be more than half of what can be had.
func (b *Bench) needMemory(bytes int64) {
	if left := memory(b, "MemAvailable"); left < 2*bytes {
		b.CannotRun(fmt.Sprintf(
			"it takes %d MB of kernel memory, and only %d MB can be had", bytes>>20,
			left>>20))
	}
}

// needFiles ends the trial where a process may not have that many descriptors.
func (b *Bench) needFiles(a *lab.Actor, n int) {
	soft, _, err := a.Files()
	b.Must(err)
	if soft > 0 && soft < uint64(n)+64 {
		b.CannotRun(fmt.Sprintf("a process may have %d descriptors here, and it takes %d",
			soft, n+64))
	}
}
