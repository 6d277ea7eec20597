package limit

import (
	"slices"

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
			"has room; packets of one flow that met, no free port for SNAT (maxconn " +
			"explain nat-ports), or a lack of memory"
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
	return append(ev, conntrackCounters(r, "drop", "early_drop", "insert_failed")...)
}

// conntrackCounters are those of the named columns that are not zero.
func conntrackCounters(r *host.Reader, names ...string) (ev []Evidence) {
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
		if !slices.Contains(names, c.name) {
			continue
		}
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
