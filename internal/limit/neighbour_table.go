package limit

import (
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const NeighbourTable ID = "neighbour-table"

var _ = register(Limit{
	ID:      NeighbourTable,
	Title:   "hosts on the same link that the kernel knows",
	Measure: Held,
	Scope:   Host,
	Doc: "To send to a host on the same link, or to a gateway, the kernel needs an entry " +
		"with its hardware address: ARP for IPv4, neighbour discovery for IPv6. Each " +
		"of the two tables is one for all network namespaces and holds `gc_thresh3` " +
		"entries. " +
		"When it is full and nothing can be thrown out, packets to further neighbours " +
		"are dropped. Hosts behind a gateway share the entry of the gateway, so the " +
		"table bounds neighbours, not connections.",
	Formula: "no ceiling in connections; gc_thresh3 neighbours on the same link, for IPv4 " +
		"and IPv6 each, over all network namespaces",
	Myths: []Myth{
		{"every remote client takes an entry",
			"only hosts on the same link and gateways do; clients behind a router " +
				"share its entry", "net/ipv4/ip_output.c ip_finish_output2"},
		{"each container has a neighbour table of its own",
			"the entries are kept apart, the table and its thresholds are one for " +
				"all namespaces, and they can be set in the initial one only",
			"net/core/neighbour.c neigh_sysctl_register"},
		{"more entries than gc_thresh3 mean an overflow",
			"permanent entries and those that a routing daemon or overlay network " +
				"put there do not count since Linux 5.0; table_fulls counts " +
				"the real overflows",
			"net/core/neighbour.c neigh_alloc (gc_entries)"},
		{"a full table makes connect() fail with ENOBUFS",
			"TCP takes no notice, sends the SYN again and ends with ETIMEDOUT; the " +
				"error shows with UDP and raw sockets that set IP_RECVERR " +
				"(over IPv4 as EINVAL, to all of them, before Linux 6.6; over " +
				"IPv6 as EINVAL)",
			"net/ipv4/tcp_output.c tcp_connect; net/ipv4/ip_output.c " +
				"ip_finish_output2"},
	},
	Knobs: append(neighbourKnobs("ipv4"), neighbourKnobs("ipv6")...),
	Signs: []Sign{
		{
			Text: "neighbour: arp_cache: neighbor table overflow!",
			Means: "the IPv4 neighbour table had gc_thresh3 entries, all in use: " +
				"packets to further hosts on the same link are dropped, " +
				"whatever namespace they come from",
			Look: "maxconn check --limit neighbour-table in the initial network " +
				"namespace; ip -s neigh",
		},
		{
			Text: "neighbour: ndisc_cache: neighbor table overflow!",
			Means: "the IPv6 neighbour table had gc_thresh3 entries, all in use: " +
				"packets to further hosts on the same link are dropped, " +
				"whatever namespace they come from",
			Look: "maxconn check --limit neighbour-table in the initial network " +
				"namespace; ip -6 -s neigh",
		},
		{
			Text: "neighbour table overflow",
			Means: "the neighbour table of IPv4 or IPv6 had gc_thresh3 entries; " +
				"wording of older kernels",
			Look: "maxconn check --limit neighbour-table in the initial network " +
				"namespace",
		},
		{
			Text:  "no buffer space available",
			Errno: "ENOBUFS",
			Call:  "sendto",
			Means: "no room for the packet on this host: the neighbour table was " +
				"full (over IPv4; EINVAL over IPv6, and before Linux 6.6), or " +
				"the transmit queue of the device was. UDP and raw sockets see " +
				"it if they " +
				"set IP_RECVERR, as ping does; TCP never does",
			Look: "maxconn check --limit neighbour-table --limit transmit-queue " +
				"--for 10s",
		},
	},
	Sources: []string{
		"net/core/neighbour.c neigh_alloc, neigh_forced_gc, ___neigh_create (4.4-6.18)",
		"net/ipv4/ip_output.c ip_finish_output2 (4.4-6.18)", "net/ipv4/udp.c " +
			"udp_send_skb, net/ipv4/raw.c raw_sendmsg (4.4-6.18)",
	},
	Needs:    neighbourNeeds(),
	Details:  neighbourDetails(),
	Refusals: neighbourFulls(), RefusalsShared: true,
	DropReasons: []string{"NEIGH_CREATEFAIL"},
	Gauges:      neighbourGauges,
})

// neighbourFamily is one of the two tables and the facts that speak of it.
type neighbourFamily struct {
	title, log, sysctl   string
	entries, fulls, own  host.Fact
	thresh1, thresh2, t3 host.Fact
}

func neighbourFamilies() []neighbourFamily {
	family := func(title, log, sysctl, table string) neighbourFamily {
		fact := func(name string) host.Fact {
			return host.Fact{Kind: host.NeighbourKind, Name: name}
		}
		prefix := "net." + sysctl + ".neigh.default.gc_thresh"
		return neighbourFamily{
			title, log, sysctl, fact(table + ".entries"), fact(table + ".table_fulls"),
			fact("own." + sysctl),
			host.Sysctl(prefix + "1"), host.Sysctl(prefix + "2"),
			host.Sysctl(prefix + "3"),
		}
	}
	return []neighbourFamily{family("IPv4 neighbours (ARP)", "arp_cache", "ipv4", "arp"),
		family("IPv6 neighbours", "ndisc_cache", "ipv6", "ndisc")}
}

// neighbourFulls are the counters of both families.
func neighbourFulls() (all []host.Fact) {
	for _, f := range neighbourFamilies() {
		all = append(all, f.fulls)
	}
	return all
}

func neighbourNeeds() []host.Fact {
	needs := []host.Fact{host.System("scope")}
	for _, f := range neighbourFamilies() {
		needs = append(needs, f.entries, f.fulls, f.own, f.thresh1, f.thresh2, f.t3)
	}
	return needs
}

// neighbourDetails spare a namespace without neighbours a warning of others, or speak of the
// remedy alone.
func neighbourDetails() (facts []host.Fact) {
	for _, f := range neighbourFamilies() {
		facts = append(facts, f.own, f.thresh1, f.thresh2)
	}
	return append(facts, host.System("scope"))
}

func neighbourKnobs(family string) []string {
	name := "net." + family + ".neigh.default.gc_thresh"
	return []string{name + "1", name + "2", name + "3"}
}

// neighbours is one table as it is now.
type neighbours struct {
	neighbourFamily
	used, max, min, mid int64 // entries; gc_thresh3, 1 and 2
	maxKnown, child     bool
	usedKnown, ownKnown bool // entries of all namespaces; of this one alone
	overflows, moved    int64
	overflowsKnown      bool
	windowed            bool
	idle                bool // this namespace has no neighbours
}

func neighbourGauges(r *host.Reader, _ Workload) (gauges []Gauge) {
	for _, f := range neighbourFamilies() {
		n := readNeighbours(r, f)
		if !n.gone(r) {
			gauges = append(gauges, n.gauge(r))
		}
	}
	return gauges
}

func readNeighbours(r *host.Reader, f neighbourFamily) (n neighbours) {
	n.neighbourFamily = f
	n.child = r.Optional(host.System("scope")) == "child"
	n.max, n.maxKnown = r.Maybe(f.t3)
	n.min, _ = r.Maybe(f.thresh1)
	n.mid, _ = r.Maybe(f.thresh2)
	n.overflows, n.overflowsKnown = r.Maybe(f.fulls)
	n.moved, _ = r.Moved(f.fulls)
	n.windowed = windowed(r)
	own, ownKnown := r.Maybe(f.own)
	n.idle = ownKnown && own == 0
	if n.used, n.usedKnown = r.Maybe(f.entries); !n.usedKnown {
		n.used, n.ownKnown = own, ownKnown
	}
	return n
}

// gone says that the initial namespace has no such table: a kernel without IPv6.
func (n neighbours) gone(r *host.Reader) bool {
	return !n.child && !n.usedKnown && !n.maxKnown && host.IsAbsence(r.Why(n.t3)) &&
		host.IsAbsence(r.Why(n.entries))
}

func (n neighbours) gauge(r *host.Reader) Gauge {
	g := Gauge{
		Subject:   Subject{Kind: Family, Name: n.title},
		Unbounded: true,
		Owner:     n.t3.Name,
		Steps:     n.steps(),
	}
	for _, f := range n.missing() {
		g.Unseen = append(g.Unseen, notANumber(r, f))
	}
	exempt := n.used > n.max && n.overflowsKnown && n.overflows == 0
	near := n.maxKnown && n.max > 0 && n.used*10 >= n.max*9 && !exempt
	// The counter is the host's: while the table is full nobody gets an entry, but one that
	// was full for a while need not have refused this namespace.
	g.Refusing = n.moved > 0 && near
	g.Harms = n.moved > 0 && !n.idle
	g.Notice = near || n.moved > 0 || (n.overflows > 0 && !n.windowed)
	if near || (g.Harms && n.maxKnown && n.usedKnown) {
		g.Unbounded, g.Ceiling, g.Used, g.Unit = false, n.max, n.used, "entries"
	}
	if !g.Notice {
		return g
	}
	if g.Refusing {
		g.Refused = n.moved
	}
	g.Cause, g.Evidence = n.cause(near), n.evidence()
	if g.Harms || near {
		g.Remedies, g.Enough, g.Lift = n.remedies(), 2*min(n.used, most), n.lift
	} else {
		g.Remedies = []Remedy{{
			Kind:        Live,
			Setting:     "maxconn check --for 10s",
			Text:        "see whether the counter still moves",
			TakesEffect: Now,
		}}
	}
	return g
}

// missing are the facts that would have told more.
func (n neighbours) missing() (facts []host.Fact) {
	if !n.maxKnown {
		facts = append(facts, n.t3)
	}
	if !n.usedKnown {
		facts = append(facts, n.entries)
	}
	if !n.overflowsKnown {
		facts = append(facts, n.fulls)
	}
	return facts
}

func (n neighbours) steps() (steps []Step) {
	if n.maxKnown {
		steps = append(steps, Step{
			ID:    EntriesOfAll,
			Label: "neighbours that all namespaces may have together",
			Value: n.max,
			Unit:  "entries",
			How:   Read,
			From:  n.t3.Name,
		})
	}
	switch {
	case n.usedKnown:
		steps = append(steps, Step{
			Label: "entries of all namespaces, permanent ones included",
			Value: n.used,
			Unit:  "entries",
			How:   Read,
			From:  "/proc/net/stat/" + n.log,
		})
	case n.ownKnown:
		steps = append(steps, Step{
			ID:    EntriesHere,
			Label: "entries of this namespace; those of others count as well",
			Value: n.used,
			Unit:  "entries",
			How:   Read,
			From:  "netlink",
		})
	}
	return steps
}

func (n neighbours) cause(near bool) string {
	ceiling := "net." + n.sysctl + ".neigh.default.gc_thresh3"
	if n.maxKnown {
		ceiling += " = " + itoa(n.max)
	}
	switch {
	case n.moved > 0:
		return "the neighbour table was full in the window (" + plural(n.moved, "time") +
			"), and packets to hosts on the same link were dropped; " + ceiling
	case near:
		return "the neighbour table holds " + figure.Count(n.used) + " of " +
			figure.Count(n.max) + " entries (" + ceiling + "): at that number new " +
			"hosts on the same link can no longer be reached"
	}
	return "the neighbour table was full since boot (" + plural(n.overflows, "time") +
		") and packets to hosts on the same link were dropped; " + ceiling
}

func (n neighbours) evidence() (ev []Evidence) {
	if n.usedKnown {
		ev = append(ev, Evidence{"/proc/net/stat/" + n.log + " entries", itoa(n.used),
			"entries of all namespaces; permanent ones and those of routing " +
				"daemons are included here and do not count against gc_thresh3 " +
				"since Linux 5.0"})
	} else if n.ownKnown {
		ev = append(ev, Evidence{"netlink", itoa(n.used),
			"entries of this namespace; those of others count as well"})
	}
	if n.overflowsKnown {
		value := itoa(n.overflows)
		if n.moved > 0 {
			value = figure.Count(n.overflows) + " (+" + figure.Count(n.moved) +
				" in the window)"
		}
		ev = append(ev, Evidence{"/proc/net/stat/" + n.log + " table_fulls", value,
			"times that no entry could be made, on the whole host; each lost a " +
				"packet, retransmissions included"})
	}
	return ev
}

// remedies double what is there or used.
func (n neighbours) remedies() []Remedy { return n.lift(2 * min(max(n.max, n.used), 1<<28)) }

// lift raises the thresholds from the highest down, so that they stay in order all the time, in the
// proportion that they have by default (1 : 4 : 8).
func (n neighbours) lift(need int64) (out []Remedy) {
	to := roundUp(min(need, 1<<29))
	if !n.maxKnown {
		to = 0
	}
	for _, x := range []struct {
		fact     host.Fact
		from, to int64
		text     string
	}{
		{n.t3, n.max, to, "room for more hosts on the same link"},
		{n.thresh2, n.mid, to / 2,
			"so that the kernel throws out entries in use no sooner than it must"},
		{n.thresh1, n.min, to / 8, "so that entries are kept while there are few"},
	} {
		if x.from > 0 && x.to > x.from {
			out = append(out, n.raise(x.fact, x.from, x.to, x.text, need))
		}
	}
	return append(out, Remedy{
		Kind: ByTopology,
		Text: "fewer hosts on one link: a route without a gateway to a wide " +
			"prefix makes every host of it a neighbour; through a gateway they " +
			"share one entry",
		TakesEffect: Now,
	})
}

func (n neighbours) raise(f host.Fact, from, to int64, text string, need int64) Remedy {
	m := Remedy{Kind: BySetting, Setting: f.Name, From: itoa(from), To: itoa(to), Text: text,
		TakesEffect: Now,
		Sum: figure.Count(need) +
			" neighbours, up to the next power of two, and the thresholds as 1 : 4 : 8",
		Cost:  "none by itself; each entry takes about 400 bytes of kernel memory",
		Risk:  "one table for the host: a scan of a wide network can fill more memory",
		Lasts: untilBoot,
	}
	if n.child {
		m.TakesEffect = NowInInitial
		return m
	}
	m.Change = host.Setting{Fact: f, Want: m.To}
	return m
}
