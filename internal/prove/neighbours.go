package prove

import (
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:    "neighbours-on-the-link",
	Limit: "neighbour-table",
	Says: "each host on the same link takes an entry of the neighbour table, hosts " +
		"behind a gateway share that of the gateway",
	Source: "net/ipv4/ip_output.c ip_finish_output2",
	Unit:   "entries",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const near, far = 30, 40
		here, there := b.joined(near, 0)
		behind := func(i int) netip.Addr {
			return netip.AddrFrom4([4]byte{10, 88, 0, byte(1 + i)})
		}
		for i := range far {
			b.Must(there.AddAddress("lo", netip.PrefixFrom(behind(i), 32)))
		}
		b.Must(here.Route(netip.MustParsePrefix("10.88.0.0/24"), cablePrefix(2).Addr()))
		server, client := there.Actor("server"), here.Actor("client")
		_, _, err := server.Listen(
			lab.ListenSpec{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 8080),
				Backlog: 256})
		b.Must(err)
		entries := func() int64 {
			return stepOf(here.Gauge("neighbour-table", "IPv4"), limit.EntriesHere)
		}
		none := entries()

		behindMade := 0
		for i := range far {
			behindMade += connect(client, netip.AddrPortFrom(behind(i), 8080), 1).Count
		}
		shared := entries()
		for i := range near {
			connect(client, netip.AddrPortFrom(cablePrefix(2+i).Addr(), 8080), 1)
		}
		o := Exactly(near, entries())
		o.Formula = "one entry for each of 30 hosts on the link, the gateway among them"
		o.Expect("connections to hosts behind the gateway", far, behindMade)
		o.Without("entries before any connection", 0, none)
		o.Without("entries for 40 hosts behind the gateway", 1, shared)
		return o
	},
})
