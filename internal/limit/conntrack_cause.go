package limit

import (
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

func (t conntrackTable) cause(g Gauge) string {
	figures := figure.Count(t.entries) + " of " + figure.Count(t.max) +
		" entries (net.netfilter.nf_conntrack_max)"
	switch {
	case g.Full():
		return "the connection tracking table is full: " + figures
	case g.Refusing:
		return "the connection tracking table was full in the window; now it has " + figures
	case g.IsNear():
		return "the connection tracking table is nearly full: " + figures
	case t.dropped > 0:
		return "connection tracking dropped packets in the window although the table " +
			"has room; two packets of one flow that met, or a lack of memory"
	case t.early > 0:
		return "the connection tracking table was full at some time since the " +
			"namespace was made; now it is not"
	}
	return "connection tracking has dropped packets since the namespace was made, as it " +
		"does when the table is full; now it is not"
}

func (t conntrackTable) evidence(r *host.Reader) []Evidence {
	ev := []Evidence{{"net.netfilter.nf_conntrack_count",
		figure.Count(t.entries) + " of " + figure.Count(t.max), "entries: open and " +
			"closed connections, UDP and ICMP"}}
	for _, c := range []struct{ name, meaning string }{
		{"drop", "packets that connection tracking dropped: the first ones of new " +
			"connections at a full table, retransmissions included; seldom for " +
			"another reason"},
		{"early_drop", "entries evicted to make room at a full table; never otherwise"},
		{"insert_failed",
			"packets whose entry could not be made because another has its " +
				"addresses and ports: SNAT without a free port, or packets of " +
				"one flow that met; not a sign of a full table"},
	} {
		n, ok := r.Maybe(conntrackStat(c.name))
		if !ok || n == 0 {
			continue
		}
		value := itoa(n)
		if moved, _ := r.Moved(conntrackStat(c.name)); moved > 0 {
			value = figure.Count(n) + " (+" + figure.Count(moved) + " in the window)"
		}
		ev = append(ev, Evidence{"/proc/net/stat/nf_conntrack " + c.name, value, c.meaning})
	}
	return ev
}

// clashes is how many packets in the window were dropped because another entry had their addresses
// and ports, beside what a full table drops: both counters move then
// (__nf_conntrack_confirm).
func (t conntrackTable) clashes() int64 {
	if t.evicted > 0 {
		return 0
	}
	return min(t.unplaced, t.dropped)
}

// manyClashes is more than packets of one flow that meet in the one window.
const manyClashes = 10

// noTuple says that new entries found their addresses and ports taken.
func (t conntrackTable) noTuple() string {
	text := "connection tracking could not enter " + plural(t.unplaced, "packet") +
		" of new connections in the window (insert_failed) and dropped them although the " +
		"table has room: SNAT or MASQUERADE has no free source port towards a destination"
	if t.clashes() < manyClashes {
		text += ", or two packets of one flow met"
	}
	return text
}

// natRemedies are for a host that rewrites source addresses: each has its ports once for each
// destination address and port.
func natRemedies() []Remedy {
	return []Remedy{{
		Kind: ByTopology,
		Text: "where this host does SNAT or MASQUERADE (nft list ruleset, iptables -t " +
			"nat -S): more source addresses in the SNAT range, or a wider range of " +
			"ports in the rule; each address has its ports once for each destination " +
			"address and port",
		TakesEffect: NowForNew,
	}, {
		Kind: ByTopology,
		Text: "random-fully in that rule (--random-fully): new connections then seldom " +
			"try a port that is taken or being taken; of no use where all are",
		TakesEffect: NowForNew,
	}, {
		Kind: ByTopology,
		Text: "other destinations: more addresses or ports at the far end, or " +
			"connections that are kept and used again",
		TakesEffect: NowForNew,
	}}
}
