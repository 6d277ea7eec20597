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
		o := Exactly(most, g.Used)
		o.Formula = fmt.Sprintf("gc_thresh3 = %d", stepOf(g, limit.EntriesOfAll))
		o.Expect("check sees the table refuse", true, g.Refusing)
		o.ExpectThat("table_fulls", fmt.Sprintf("at least %d", hosts-most), g.Refused,
			g.Refused >= hosts-most)
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
	for i, n := range []int{first, second, third} {
		w.SetUntilDone(fmt.Sprintf("net.ipv4.neigh.default.gc_thresh%d", i+1),
			fmt.Sprint(n))
	}
}
