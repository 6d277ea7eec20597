package limit

import (
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

const IPv6RouteCache ID = "ipv6-route-cache"

const routesMax = "net.ipv6.route.max_size"

var _ = register(Limit{
	ID:      IPv6RouteCache,
	Title:   "cached routes of IPv6, before Linux 6.3",
	Measure: Held,
	Scope:   Netns,
	Doc: "IPv6 keeps a route of its own for a destination whose path has an MTU or a " +
		"redirect of its own, and for packets that a raw socket or a tunnel sends to " +
		"another next hop. A namespace may have net.ipv6.route.max_size of them (" +
		knob.UnboundedRoutes.Before() + "); above it no further one is made, " +
		"connect() and sendto() to such a destination fail with ENETUNREACH, and the " +
		"log says \"Route cache is full\". Connections to destinations on ordinary " +
		"paths share the route of their network and take none. Since then there is no " +
		"such bound (the fix is that of CVE-2023-52340; distributions have it in older " +
		"kernels).",
	Formula: "net.ipv6.route.max_size + 1 routes of the namespace; no bound since Linux 6.3",
	Myths: []Myth{
		{"net.ipv6.route.max_size bounds the routing table",
			"only before Linux 4.18 do routes of the table count; since then " +
				"those that are cached do",
			"net/ipv6/route.c ip6_dst_alloc; net/core/dst.c dst_alloc"},
		{"net.ipv4.route.max_size does the same for IPv4",
			"IPv4 has no route cache since Linux 3.6, and the setting has no reader",
			"net/ipv4/route.c ipv4_route_table"},
	},
	Knobs: []string{routesMax, "net.ipv4.route.max_size"},
	Signs: []Sign{{
		Text: "Route cache is full: consider increasing sysctl",
		Means: "before Linux 6.3: more than net.ipv6.route.max_size cached IPv6 routes; " +
			"connect() and sendto() to further destinations fail with ENETUNREACH. " +
			"IPv4 has no such bound",
		Look: "maxconn check --limit ipv6-route-cache; cat /proc/net/rt6_stats (the " +
			"sixth number, hexadecimal); sysctl net.ipv6.route.max_size",
	}},
	Sources: []string{
		"net/ipv6/route.c ip6_dst_gc (4.4-6.2: entries > rt_max_size); af6d10345ca7 (6.3)",
		"net/core/dst.c dst_alloc (4.4-6.18)",
		"net/ipv6/route.c rt6_stats_seq_show (4.4-6.18)",
	},
	Needs:  []host.Fact{routesHeld, host.Sysctl(routesMax), kernelRelease},
	Gauges: routeGauges,
})

var routesHeld = host.Fact{Kind: host.RouteKind, Name: "ipv6.entries"}

func routeGauges(r *host.Reader, _ Workload) []Gauge {
	g := Gauge{Subject: thisNetns, Unit: "entries", Unbounded: true, Owner: routesMax}
	answer := r.Kernel().Has(knob.UnboundedRoutes)
	top, known := maybe(r, host.Sysctl(routesMax), &g)
	switch {
	// The change sets the default to the largest number, which bounds nothing before it.
	case answer == host.Yes, known && top >= 1<<31-1:
		g.Unseen = nil
		return []Gauge{g}
	case !known && host.IsAbsence(r.Why(host.Sysctl(routesMax))):
		return nil // no IPv6
	}
	used, counted := maybe(r, routesHeld, &g)
	if counted {
		g.Used = max(used, 0)
		g.Steps = append(g.Steps, Step{Label: "cached routes of this namespace",
			Value: g.Used, Unit: "entries", How: Read, From: "/proc/net/rt6_stats"})
	}
	if !known {
		g.AtMost = true
		return []Gauge{g}
	}
	g.Unbounded, g.Ceiling = false, max(top, 0)+1
	g.Steps = append(g.Steps, Step{Label: "routes that may be there when one more is made",
		Sum: figure.Count(max(top, 0)) + " + 1", Value: g.Ceiling, Unit: "entries",
		How: Computed, From: routesMax})
	if answer == host.Untold {
		g.AtMost, g.Why = true, backported(r)
	}
	return []Gauge{g.cached(counted, answer)}
}

// maybe is a fact of a gauge that does without. Only a snapshot that says why it lacks the fact
// leaves open whether the limit refuses: one that an older maxconn took says nothing.
func maybe(r *host.Reader, f host.Fact, g *Gauge) (n int64, known bool) {
	if r.Has(f) {
		if n, known = r.Maybe(f); known {
			return n, true
		}
	}
	m := notANumber(r, f)
	g.Unseen = append(g.Unseen, m)
	g.Decides = g.Decides || m.Why != host.NotInSnapshot
	return 0, false
}

// backported is why nobody knows from the release which of two kernels it is.
func backported(r *host.Reader) string {
	if why := r.Kernel().Backports(); why != "" {
		return why
	}
	return "which fixes this kernel has taken over is not known"
}

// cached judges the use of a cache that has a bound.
func (g Gauge) cached(counted bool, answer host.Answer) Gauge {
	if !counted || !g.IsNear() {
		return g
	}
	may := ""
	if g.Refusing = g.Full() && answer == host.No; answer == host.Untold {
		may = " (unless this kernel has af6d10345ca7, which its release does not tell)"
		g.Near, g.Notice = 2, true
	}
	g.Cause = "IPv6 has " + figure.Count(g.Used) + " cached routes of " +
		figure.Count(g.Ceiling) + " (" + routesMax + "): at that number connect() to a " +
		"destination that needs one of its own fails with ENETUNREACH" + may
	g.Evidence = []Evidence{{"route ipv6.entries", itoa(g.Used),
		"routes that count, those of paths with an MTU of their own among them"}}
	g.Enough, g.Lift = 2*g.Used, func(need int64) []Remedy { return raiseRoutes(g, need) }
	g.Remedies = g.Lift(g.Enough)
	return g
}

func raiseRoutes(g Gauge, need int64) []Remedy {
	to := itoa(min(roundUp(min(need, 1<<30)), 1<<30))
	return []Remedy{{Kind: BySetting, Setting: routesMax, From: itoa(g.Ceiling - 1), To: to,
		Text: "room for more cached routes", TakesEffect: Now,
		Sum:    figure.Count(need) + " routes, up to the next power of two",
		Cost:   "none by itself; each route takes about 400 bytes of kernel memory",
		Lasts:  untilBoot,
		Change: host.Setting{Fact: host.Sysctl(routesMax), Want: to}}}
}
