package prove

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/host"
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

var _ = register(Claim{
	ID:    "neighbour-table-overflow",
	Limit: "neighbour-table",
	Says: "gc_thresh3 bounds the neighbours of all namespaces together; packets to " +
		"further ones are dropped, table_fulls counts it, and connect() is not told",
	Source:  "net/core/neighbour.c neigh_alloc",
	Unit:    "entries",
	Takes:   2 * time.Second,
	Busy:    Alone,
	Machine: "the neighbour table and its thresholds are one for the host",
	Trial: func(b *Bench) Outcome {
		const most, hosts = 16, 40
		w := b.Machine()
		w.thresholds(4, 8, most)
		here, there := b.joined(hosts, 0)
		server, client := there.Actor("server"), here.Actor("client")
		_, _, err := server.Listen(
			lab.ListenSpec{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 8080),
				Backlog: 256})
		b.Must(err)
		before := w.Snapshot()
		var errs, begun int
		for i := range hosts {
			made := knock(client, netip.AddrPortFrom(cablePrefix(2+i).Addr(), 8080), 1)
			errs, begun = errs+len(made.Errors), begun+made.Count
		}
		after := host.Window(before, w.Snapshot(), time.Second)
		g := w.GaugeOf(after, "neighbour-table", "IPv4")
		// The counter also has neighbours that are dead and still referred to, which the
		// threshold does not count (neigh_alloc, neigh_destroy).
		const dead = 2
		o := Between(most, most+dead, float64(g.Used))
		o.Formula = fmt.Sprintf("gc_thresh3 = %d", stepOf(g, limit.EntriesOfAll))
		o.Expect("check sees the table refuse", true, g.Refusing)
		o.ExpectThat("table_fulls", fmt.Sprintf("at least %d", hosts-most-dead), g.Refused,
			g.Refused >= hosts-most-dead)
		o.Expect("errors of connect()", 0, errs)
		o.Expect("connections begun", hosts, begun)

		w.thresholds(128, 512, 1024)
		free, other := b.joined(hosts, 0)
		_, _, err = other.Actor("server").Listen(
			lab.ListenSpec{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 8080),
				Backlog: 256})
		b.Must(err)
		client, made := free.Actor("client"), 0
		before = w.Snapshot()
		for i := range hosts {
			made += connect(client, netip.AddrPortFrom(cablePrefix(2+i).Addr(), 8080),
				1).Count
		}
		o.Without("connections with a larger table", hosts, made)
		o.Without("table_fulls", false,
			w.GaugeOf(host.Window(before, w.Snapshot(), time.Second), "neighbour-table",
				"IPv4").Refusing)
		return o
	},
})

// thresholds sets those of the IPv4 neighbour table.
func (w World) thresholds(first, second, third int) {
	w.thresholdsOf("ipv4", first, second, third)
}

func (w World) thresholdsOf(family string, all ...int) {
	for i, n := range all {
		w.SetUntilDone(fmt.Sprintf("net.%s.neigh.default.gc_thresh%d", family, i+1),
			fmt.Sprint(n))
	}
}

var _ = register(Claim{
	ID:    "neighbour-table-overflow-ipv6",
	Limit: "neighbour-table",
	Says: "the IPv6 neighbour table has a ceiling of its own; packets to further neighbours " +
		"are " +
		"dropped, table_fulls counts it, sendto() of UDP fails with EINVAL and connect() " +
		"of " +
		"TCP is not told",
	Source:  "net/core/neighbour.c neigh_alloc; net/ipv6/ip6_output.c ip6_finish_output2",
	Unit:    "entries",
	Takes:   2 * time.Second,
	Busy:    Alone,
	Machine: "the neighbour table and its thresholds are one for the host",
	Trial: func(b *Bench) Outcome {
		const hosts = 40
		w := b.Machine()
		here, there := b.joined(1, 0)
		address := func(i int) netip.Prefix {
			a := netip.MustParseAddr("fd00:77::").As16()
			a[15] = byte(i)
			return netip.PrefixFrom(netip.AddrFrom16(a), 64)
		}
		here.Sysctl("net.ipv6.conf.cable.accept_dad", "0")
		there.Sysctl("net.ipv6.conf.cable.accept_dad", "0")
		b.Must(here.AddAddress("cable", address(1)))
		for i := range hosts {
			b.Must(there.AddAddress("cable", address(2+i)))
		}
		client := here.Actor("client")
		most := int(w.Snapshot().Read().Int(host.Fact{Kind: host.NeighbourKind,
			Name: "ndisc.entries"})) + 8
		w.thresholdsOf("ipv6", 4, 8, most)
		before := w.Snapshot()
		var errs, begun int
		failed := map[string]int{}
		for i := range hosts {
			to := netip.AddrPortFrom(address(2+i).Addr(), 8080)
			made := knock(client, to, 1)
			errs, begun = errs+len(made.Errors), begun+made.Count
			if errno := must(client.Datagram(to)); errno != "" {
				failed[errno]++
			}
		}
		after := host.Window(before, w.Snapshot(), time.Second)
		g := w.GaugeOf(after, "neighbour-table", "IPv6")
		o := Exactly(int64(most), g.Used)
		o.Formula = fmt.Sprintf("gc_thresh3 = %d", stepOf(g, limit.EntriesOfAll))
		o.Expect("check sees the table refuse", true, g.Refusing)
		o.ExpectThat("sendto() to further ones", "EINVAL", failed,
			failed["EINVAL"] > 0 && len(failed) == 1)
		o.Expect("errors of connect()", 0, errs)
		o.Expect("connections begun", hosts, begun)

		w.thresholdsOf("ipv6", 128, 512, 1024)
		before = w.Snapshot()
		failed = map[string]int{}
		for i := range hosts {
			to := netip.AddrPortFrom(address(2+i).Addr(), 8081)
			if errno := must(client.Datagram(to)); errno != "" {
				failed[errno]++
			}
		}
		o.Without("errors of sendto() with a larger table", 0, len(failed))
		o.Without("table_fulls", false, w.GaugeOf(host.Window(before, w.Snapshot(),
			time.Second), "neighbour-table", "IPv6").Refusing)
		return o
	},
})
