package prove

import (
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
)

var _ = register(Claim{
	ID:    "ipv6-cached-routes",
	Limit: "ipv6-route-cache",
	Says: "net.ipv6.route.max_size bounds the routes of IPv6 that a namespace caches before " +
		"Linux 6.3, with ENETUNREACH beyond it, and bounds nothing since then or where a " +
		"stable kernel has the fix",
	Source: "net/ipv6/route.c ip6_dst_gc; net/core/dst.c dst_alloc; af6d10345ca7 (6.3)",
	Unit:   "packets sent",
	Takes:  2 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const most, wanted = 16, 60
		here, there := b.joined(1, 0)
		own := netip.MustParseAddr("fd00:88::1")
		b.Must(here.AddAddress("cable", netip.PrefixFrom(own, 64)))
		b.Must(there.AddAddress("cable", netip.MustParsePrefix("fd00:88::2/64")))
		// Nobody answers for these: a packet waits for its next hop, and holds its route.
		spec := lab.HeadersSpec{From: own, First: netip.MustParseAddr("fd00:88::100"),
			N: wanted}
		client := here.Actor("client")
		free, refused, err := client.RawHeaders6(spec)
		b.Must(err)
		if refused["ENETUNREACH"] > 0 {
			b.CannotRun("no route to a network of the lab")
		}
		before := here.Snapshot()
		byDefault := here.GaugeOf(before, "ipv6-route-cache", "")
		cached, _ := before.Read().Maybe(host.Fact{Kind: host.RouteKind,
			Name: "ipv6.entries"})

		here.Sysctl("net.ipv6.route.gc_thresh", "0")
		here.Sysctl("net.ipv6.route.max_size", "16")
		g := here.GaugeOf(here.Snapshot(), "ipv6-route-cache", "")
		spec.First = netip.MustParseAddr("fd00:88::200")
		sent, refused, err := client.RawHeaders6(spec)
		b.Must(err)
		expected, formula := int64(wanted), "max_size = 16 has no reader (af6d10345ca7)"
		// The default of a kernel with the fix is a bound for nobody, and shows the fix.
		if !byDefault.Unbounded {
			expected, formula = max(0, g.Ceiling-g.Used), Formula(g)
		}
		o := Exactly(expected, int64(sent))
		o.Formula = formula
		o.Expect("ENETUNREACH", wanted-sent, refused["ENETUNREACH"])
		o.Without("packets sent with the default of max_size", wanted, free)
		o.WithoutThat("routes that their packets hold", "more than 16", cached,
			cached > most)
		return o
	},
})
