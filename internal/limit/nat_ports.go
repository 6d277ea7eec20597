package limit

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const NATPorts ID = "nat-ports"

var _ = register(Limit{
	ID:      NATPorts,
	Title:   "source ports of an address that SNAT or MASQUERADE gives",
	Measure: Held,
	Scope:   Peer,
	Bounds:  Flows{Direction: Outbound, Measure: Held},
	Doc: "A host that rewrites source addresses (a router, a node of a cluster, a host of " +
		"containers) gives each connection a source port that no other connection to the " +
		"same destination address and port has at that address. A connection keeps its " +
		"own port where that is free; else the kernel looks for one from 1024 to 65535, " +
		"or in the range of the rule (`masquerade to :40000-40009`, `--to-ports`). " +
		"So there are at most 64,512 connections for each source address, destination " +
		"address and port. Where no free port is found, the SYN is dropped and the " +
		"client " +
		"waits; established connections go on. An entry of connection tracking keeps its " +
		"port until it goes: a closed one for `nf_conntrack_tcp_timeout_time_wait` " +
		"seconds (since about Linux 6.5 the last tries take over one in TIME_WAIT). " +
		"Since Linux 5.0 (and stable kernels of 2018 and after) the search ends after " +
		"128, " +
		"64, 32, 16 and 8 ports from random places, so a range of more than 128 ports " +
		"refuses some connections before all are taken.",
	Formula: "held = 65535 - 1024 + 1 = 64,512, or the ports of the rule, for each rewritten " +
		"source address, destination address and port",
	Myths: []Myth{
		{"the ports of ip_local_port_range are those that MASQUERADE gives",
			"the range and its reserved ports are for the host's own connections; " +
				"MASQUERADE takes 1024 to 65535 unless its rule says otherwise",
			"net/netfilter/nf_nat_core.c nf_nat_l4proto_unique_tuple"},
		{"64,512 connections are all that one address can have",
			"each destination address and port has them by itself: the same port is " +
				"used towards many", "net/netfilter/nf_nat_core.c " +
				"nf_nat_used_tuple"},
		{"random-fully gives more ports",
			"it chooses among the same ones; it makes it less likely that two new " +
				"connections take the same port at the same moment",
			"net/netfilter/nf_nat_core.c get_unique_tuple " +
				"(NF_NAT_RANGE_PROTO_RANDOM_ALL)"},
		{"a growing insert_failed means that the ports have run out",
			"it also counts packets of one flow that met, such as two DNS queries of " +
				"one socket; ports have run out where a source has as many " +
				"entries " +
				"towards one destination as it has ports",
			"net/netfilter/nf_conntrack_core.c __nf_conntrack_confirm"},
	},
	Knobs: append([]string{"net.netfilter.nf_conntrack_count"}, conntrackTimeouts()...),
	Signs: []Sign{{
		Text:  "connection timed out",
		Errno: "ETIMEDOUT",
		Call:  "connect",
		Means: "the SYN was dropped on the way, perhaps by a host that rewrites source " +
			"addresses (SNAT, MASQUERADE, a node of a cluster) and had no free " +
			"source " +
			"port towards that destination",
		Look: "maxconn check --limit nat-ports --for 10s on that host",
	}},
	Sources: []string{
		"net/netfilter/nf_nat_core.c get_unique_tuple, nf_nat_l4proto_unique_tuple " +
			"(5.1-6.18)",
		"net/netfilter/nf_nat_proto_common.c nf_nat_l4proto_unique_tuple (4.4-5.0); " +
			"a504b703bb1d (5.0: bounded search)",
		"net/netfilter/nf_conntrack_core.c __nf_conntrack_confirm (4.4-6.18)",
	},
	Needs: []host.Fact{
		host.All(host.NATKind), host.All(host.SNATKind), host.All(host.RestKind),
		rulesetFact("legacy"), conntrackMax, conntrackCount, host.All(host.ConntrackKind),
		host.Sysctl("net.core.somaxconn"),
	},
	Details:  []host.Fact{conntrackMax, host.All(host.RestKind)},
	Refusals: []host.Fact{conntrackStat("insert_failed")}, RefusalsShared: true,
	Silent: true,
	Gauges: natPortGauges,
})

func rulesetFact(name string) host.Fact { return host.Fact{Kind: host.RulesetKind, Name: name} }

// The ports that the kernel gives where a rule names none.
const (
	firstNATPort = 1024
	allNATPorts  = lastPort - firstNATPort + 1
	// tries is how many ports in a row are looked at first (nf_nat_l4proto_unique_tuple).
	tries = 128
)

// snatRule is a rule that rewrites source addresses.
type snatRule struct {
	name      string
	to        []netip.Addr // first and last; none: any
	low, high int64
	named     bool // the rule names ports
	unread    bool
}

func (x snatRule) ports() int64 { return x.high - x.low + 1 }

func newSNATRule(row host.Row) snatRule {
	x := snatRule{name: row.Name(), low: firstNATPort, high: lastPort}
	for end := range strings.SplitSeq(row.Text("to"), "-") {
		if a, err := netip.ParseAddr(end); err == nil {
			x.to = append(x.to, a)
		}
	}
	switch text := row.Text("ports"); text {
	case "any":
	case "", "unknown":
		x.unread, x.low = true, 1
	default:
		low, high, _ := strings.Cut(text, "-")
		a, err1 := strconv.ParseUint(low, 10, 16)
		b, err2 := strconv.ParseUint(high, 10, 16)
		if x.named = err1 == nil && err2 == nil && a <= b; x.named {
			x.low, x.high = int64(a), int64(b)
		}
		x.unread = !x.named
	}
	return x
}

// gives says whether the rule may have given the address these ports.
func (x snatRule) gives(a netip.Addr, low, high int64) bool {
	if len(x.to) > 0 && (a.Less(x.to[0]) || x.to[len(x.to)-1].Less(a)) {
		return false
	}
	return low <= x.high && x.low <= high
}

// natFacts is what is known of the rewriting of this namespace.
type natFacts struct {
	rules  []snatRule
	whole  bool // all rules were read
	unseen []host.Missing
	clash  clashes
	drops  []Evidence
}

// clashes are packets in the window whose entry could not be made because another has its addresses
// and ports (both counters move: __nf_conntrack_confirm), beside what a full table drops.
type clashes int64

func natPortGauges(r *host.Reader, _ Workload) []Gauge {
	if conntrackAbsent(r) {
		return []Gauge{untracked("nf_conntrack is not loaded: no source is rewritten", 0,
			conntrackCount.Name)}
	}
	if entries, known := conntrackEntries(r); known && entries <= 0 {
		return []Gauge{untracked("entries of this namespace: no source is rewritten", 0,
			conntrackCount.Name)}
	}
	n := readNAT(r)
	var gauges []Gauge
	near := false
	for _, row := range r.Rows(host.NATKind) {
		g := n.gauge(row)
		near = near || g.IsNear()
		gauges = append(gauges, g)
	}
	gauges = append(gauges, n.others(r, near)...)
	if len(gauges) == 0 {
		gauges = append(gauges, untracked("connections whose source is rewritten", 0,
			"conntrack"))
	}
	return gauges
}

func readNAT(r *host.Reader) (n natFacts) {
	for _, row := range r.Rows(host.SNATKind) {
		n.rules = append(n.rules, newSNATRule(row))
	}
	legacy := r.Optional(rulesetFact("legacy"))
	n.whole = r.Partial(host.SNATKind) == "" && legacy != "" &&
		!slices.Contains(strings.Split(legacy, ","), "nat")
	if !n.whole && legacy != "" && r.Partial(host.SNATKind) == "" {
		n.unseen = append(n.unseen, host.Missing{Fact: rulesetFact("legacy"),
			Why: "rules of the older iptables (iptables-legacy) are not read"})
	}
	evicted, _ := r.Moved(conntrackStat("early_drop"))
	unplaced, known := r.Moved(conntrackStat("insert_failed"))
	dropped, _ := r.Moved(conntrackStat("drop"))
	if known && evicted == 0 {
		n.clash = clashes(max(0, min(unplaced, dropped)))
	}
	n.drops = conntrackCounters(r, "drop", "insert_failed")
	return n
}

// gauge is one source towards one destination.
func (n natFacts) gauge(row host.Row) Gauge {
	source, destination, _ := strings.Cut(row.Name(), "->")
	g := Gauge{
		Subject: Subject{Kind: Peer, Name: source + " -> " + destination, Source: source,
			Destination: destination},
		Unit: "ports", Owner: "the rule that rewrites the source",
	}
	a, _ := netip.ParseAddr(source)
	ports, rule, exact := n.ports(a, row.Count("low"), row.Count("high"))
	own, ownKnown := row.Int("own")
	entries := max(0, row.Count("entries"))
	g.Ceiling, g.Used = ports, entries+max(0, own)
	g.AtMost = !exact || !ownKnown
	if !ownKnown {
		g.Unseen = append(g.Unseen, lacking(row, "own"))
	}
	if !n.whole {
		g.Unseen = append(g.Unseen, n.unseen...)
	}
	g.Steps = portSteps(ports, rule)
	closing, unanswered := row.Count("closing"), row.Count("unanswered")
	// What is closing may be taken over by newer kernels: only drops show that it was not.
	g.Refusing = g.Full() && g.Used-closing >= g.Ceiling || n.clash > 0 && g.IsNear()
	if g.Refusing {
		g.Refused = int64(n.clash)
	}
	if !g.Refusing && !g.IsNear() {
		return g
	}
	g.Cause = natCause(g, closing, unanswered)
	g.Evidence = append([]Evidence{{"conntrack entries",
		figure.Count(g.Used) + " of " + figure.Count(g.Ceiling),
		"source ports of " + source + " in use towards " + destination + ": " +
			figure.Count(closing) + " of closed connections, " +
			figure.Count(unanswered) + " of unanswered ones"}}, n.drops...)
	g.Remedies = natRemedies(rule, closing*2 > g.Used)
	return g
}

// ports is how many an address may be given by the rules that may have given it those it has, the
// rule, where it is one, and whether that is sure.
func (n natFacts) ports(a netip.Addr, low, high int64) (ports int64, rule *snatRule, exact bool) {
	var found []snatRule
	for _, x := range n.rules {
		if x.gives(a, low, high) {
			found = append(found, x)
		}
	}
	switch len(found) {
	case 0: // a rule that is gone, or none of nf_tables
		return allNATPorts, nil, false
	case 1:
		return found[0].ports(), &found[0], n.whole && !found[0].unread
	}
	least, most, same := found[0].low, found[0].high, true
	for _, x := range found[1:] {
		same = same && x.low == least && x.high == most && !x.unread
		least, most = min(least, x.low), max(most, x.high)
	}
	return most - least + 1, &found[0], n.whole && same && !found[0].unread
}

func portSteps(ports int64, rule *snatRule) []Step {
	if rule != nil && rule.named && rule.ports() == ports {
		return []Step{{Label: "source ports that the rule " + rule.name + " names",
			Sum:   itoa(rule.high) + " - " + itoa(rule.low) + " + 1",
			Value: ports, Unit: "ports", How: Computed}}
	}
	if ports != allNATPorts {
		return []Step{{Label: "source ports from the first to the last that the rules " +
			"name " +
			"which may have given them", Value: ports, Unit: "ports", How: Computed}}
	}
	return []Step{{Label: "source ports that the kernel gives where a rule names none",
		Sum: "65535 - 1024 + 1", Value: ports, Unit: "ports", How: Computed}}
}

func natCause(g Gauge, closing, unanswered int64) string {
	text := figure.Count(g.Used) + " of " + plural(g.Ceiling, "source port") + " of " +
		g.Subject.Source + " towards " + g.Subject.Destination + " are in use"
	if g.Refusing {
		text += ": SNAT or MASQUERADE finds no free source port, and the SYNs of further " +
			"connections are dropped"
	}
	switch {
	case closing*2 > g.Used:
		text += "; " + figure.Count(closing) + " are held by connections that have " +
			"closed, for up to nf_conntrack_tcp_timeout_time_wait"
	case unanswered*2 > g.Used:
		text += "; " + figure.Count(unanswered) + " by connections that nobody answers"
	}
	if g.Refusing && g.Ceiling > tries && !g.Full() {
		text += "; the kernel looks at some of the ports, not at all"
	}
	return text
}

// natRemedies are for a host that rewrites source addresses: each has its ports once for each
// destination address and port.
func natRemedies(rule *snatRule, closing bool) (out []Remedy) {
	if rule != nil && rule.named && rule.ports() < allNATPorts {
		out = append(out, Remedy{
			Kind: ByTopology,
			Text: "a wider range of ports in the rule " + rule.name + ", which names " +
				itoa(rule.low) + "-" + itoa(rule.high) + ", or none: then it has " +
				figure.Count(allNATPorts) + " (nft -a list ruleset, iptables -t " +
				"nat -S)",
			TakesEffect: NowForNew,
		})
	}
	if closing {
		out = append(out, Remedy{
			Kind: ByApplication,
			Text: "connections that are kept and used again: a closed one keeps its " +
				"port " +
				"on the host that rewrites it",
			TakesEffect: AtStart,
		})
	}
	return append(out, Remedy{
		Kind: ByTopology,
		Text: "more source addresses in the SNAT range (snat to 192.0.2.1-192.0.2.4): " +
			"each " +
			"has its ports once for each destination address and port",
		TakesEffect: NowForNew,
	}, Remedy{
		Kind: ByTopology,
		Text: "other destinations: more addresses or ports at the far end, or " +
			"connections that are kept and used again",
		TakesEffect: NowForNew,
	})
}

// manyClashes is more than packets of one flow that meet in the one window.
const manyClashes = 10

// others is what the rows do not tell: entries that were dropped where no source is short of ports,
// rows that were not seen, and rules that may bound connections of which nothing is rewritten yet.
func (n natFacts) others(r *host.Reader, near bool) (gauges []Gauge) {
	partial := r.Partial(host.NATKind)
	if n.clash > 0 && !near {
		gauges = append(gauges, n.clashed(partial != ""))
	}
	if partial != "" {
		gauges = append(gauges, blind(Subject{}, Outbound,
			host.Missing{Fact: host.All(host.NATKind), Why: partial}))
		return gauges
	}
	narrow := n.narrowest()
	if row, ok := r.Row(host.RestKind, string(host.NATKind)); ok &&
		row.Count("largest")*10 >= narrow*9 {
		gauges = append(gauges, blind(Subject{}, Outbound, host.Missing{
			Fact: host.All(host.NATKind), Why: "rows with as many entries as a rule " +
				"has " +
				"ports are not shown"}))
	}
	if narrow < allNATPorts || !n.whole {
		gauges = append(gauges, Gauge{Bounds: Outbound, Unbounded: true, AtMost: true,
			Unseen: n.unseen, Why: "which connections the rules for source NAT " +
				"rewrite is not known"})
	}
	return gauges
}

// narrowest is the fewest ports that a rule has.
func (n natFacts) narrowest() int64 {
	least := int64(allNATPorts)
	for _, x := range n.rules {
		if x.unread {
			return 1
		}
		least = min(least, x.ports())
	}
	return least
}

// clashed tells of new connections that were dropped although no source that was seen is short of
// ports.
func (n natFacts) clashed(unseen bool) Gauge {
	g := Gauge{Subject: thisNetns, Unbounded: true, Notice: true, Evidence: n.drops,
		Steps: []Step{{Label: "packets of new connections that could not be entered",
			Value: int64(n.clash), How: Read, From: "/proc/net/stat/nf_conntrack"}}}
	g.Cause = "connection tracking could not enter " + plural(int64(n.clash), "packet") +
		" of new connections in the window (insert_failed) and dropped them although the " +
		"table has room: "
	if !unseen {
		g.Harms = n.clash >= manyClashes
		g.Cause += "no source is short of ports, so packets of one flow met (a race), as " +
			"two DNS queries of one socket do"
		g.Remedies = []Remedy{{
			Kind: ByTopology,
			Text: "random-fully in the rules for SNAT and MASQUERADE " +
				"(--random-fully): new " +
				"connections then seldom try a port that is being taken",
			TakesEffect: NowForNew,
		}}
		return g
	}
	if n.clash >= manyClashes {
		g.Refusing, g.Refused = true, int64(n.clash)
	}
	g.Cause += "SNAT or MASQUERADE has no free source port towards a destination, or packets " +
		"of one flow met; which, could not be seen"
	g.Remedies = natRemedies(nil, false)
	return g
}
