package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const DatapathMaps ID = "datapath-maps"

var _ = register(Limit{
	ID:      DatapathMaps,
	Title:   "connections that an eBPF datapath (Cilium, Calico) can follow",
	Measure: Held,
	Scope:   Host,
	Doc: "A datapath of eBPF programs follows connections in maps of its own, not in " +
		"nf_conntrack: Cilium in `cilium_ct4_global` (TCP) and `cilium_ct_any4_global` " +
		"(the rest), and the ports that it masquerades with in " +
		"`cilium_snat_v4_external`; Calico in `cali_v4_ct`. Each has a fixed number of " +
		"entries. Calico's is a hash table: when it is full, a new connection gets no " +
		"entry and its packets are dropped. Cilium's throw out the entries that were not " +
		"used for longest (LRU): new connections go on, and idle ones lose theirs, so " +
		"that their next packet is taken for that of an unknown connection; where all " +
		"CPUs insert at once, an insertion may fail with room left (\"CT: Map insertion " +
		"failed\"). A connection between two pods of one node takes several entries, and " +
		"so the maps bound entries, not connections. To see them takes CAP_SYS_ADMIN.",
	Formula: "max_entries of the map; how many entries a connection takes is for the " +
		"datapath to say: one for each end on this node, and one for a service",
	Myths: []Myth{
		{"net.netfilter.nf_conntrack_max lifts it",
			"that table is not the datapath's; Cilium has bpf-ct-global-tcp-max, " +
				"bpf-ct-global-any-max, bpf-nat-global-max and " +
				"bpf-map-dynamic-size-ratio, Calico has bpfMapSizeConntrack",
			"Cilium pkg/maps/ctmap; Calico felix/bpf/conntrack/map.go"},
		{"an LRU map is never full",
			"it always is, sooner or later: entries of connections that ended " +
				"without a FIN stay until they are thrown out or collected, and " +
				"a CPU that finds no free entry in a few attempts gives up",
			"kernel/bpf/bpf_lru_list.c bpf_common_lru_pop_free"},
	},
	Knobs: []string{"net.netfilter.nf_conntrack_max"},
	Signs: []Sign{
		{
			Text: "CT: Map insertion failed",
			Means: "Cilium's datapath could not put a new connection into its table " +
				"of connections, a BPF map: the map is full, mostly, and the " +
				"first packet of each further connection is dropped. The " +
				"kernel's own table (nf_conntrack) is another one",
			Look: "maxconn check --limit datapath-maps as root of the node; " +
				"cilium-dbg bpf ct list global | wc -l against " +
				"bpf-ct-global-tcp-max; the metric cilium_bpf_map_pressure",
		}, {
			Text: "No mapping for NAT masquerade",
			Means: "Cilium's datapath found no free port to masquerade with, or no " +
				"room in its map of translations (cilium_snat_v4_external)",
			Look: "maxconn check --limit datapath-maps as root of the node; " +
				"cilium-dbg bpf nat list | wc -l against bpf-nat-global-max",
		},
	},
	Sources: []string{
		"kernel/bpf/hashtab.c htab_map_update_elem, alloc_htab_elem (E2BIG), " +
			"htab_lru_map_update_elem (4.10-6.18)",
		"kernel/bpf/bpf_lru_list.c bpf_common_lru_pop_free (4.10-6.18)",
		"Cilium bpf/lib/conntrack.h ct_create4 (DROP_CT_CREATE_FAILED); Calico " +
			"felix/bpf-gpl/conntrack.h",
	},
	Needs:  []host.Fact{host.All(host.DatapathKind)},
	Gauges: datapathGauges,
})

func datapathGauges(r *host.Reader, _ Workload) (gauges []Gauge) {
	for _, row := range r.Rows(host.DatapathKind) {
		gauges = append(gauges, datapathGauge(row))
	}
	return gauges
}

func datapathGauge(row host.Row) Gauge {
	name, _, _ := strings.Cut(row.Name(), ":")
	top, _ := row.Int("max")
	entries, counted := row.Int("entries")
	lru := row.Text("type") == "lru_hash"
	g := Gauge{
		Subject: Subject{Kind: Host, Name: "map " + row.Name()},
		Unit:    "entries", Ceiling: max(top, 0), Used: max(entries, 0),
		Owner: "the configuration of " + datapathOf(name),
		Steps: []Step{{Label: "entries that the map takes", Value: max(top, 0),
			Unit: "entries", How: Read, From: "datapath " + row.Name() + " max"}},
	}
	if !counted || top <= 0 || entries < 0 {
		g.Unbounded, g.Ceiling, g.Used = true, 0, 0
		g.Decides = !lru // full, it would refuse
		g.Unseen = append(g.Unseen, host.Missing{Fact: host.Fact{Kind: row.Fact.Kind,
			Name: row.Name() + "#entries"}, Why: "its entries were not counted: it " +
			"is too large, or the kernel older than 5.6"})
		return g
	}
	full := entries >= top
	near := entries >= top-top/10
	// A table of least recent use is at its top for good, and goes on.
	if g.Refusing = full && !lru; lru {
		g.Near = 2 // what is full is no fault by itself
		g.Notice = near
	}
	if !near {
		return g
	}
	g.Cause = name + " holds " + figure.Count(entries) + " of " + figure.Count(top) +
		" entries: " + whenFull(lru)
	g.Evidence = []Evidence{{"datapath " + row.Name() + " entries", figure.Count(entries) +
		" of " + figure.Count(top), "entries of the whole host, those of connections " +
		"that ended included until they are collected"}}
	g.Remedies = datapathRemedies(name)
	return g
}

func whenFull(lru bool) string {
	if lru {
		return "at that number each new connection throws out the entry that was not " +
			"used for longest, and that connection is unknown at its next packet"
	}
	return "at that number the packets of new connections are dropped"
}

// datapathOf is whose map it is.
func datapathOf(name string) string {
	if strings.HasPrefix(name, "cali") {
		return "Calico"
	}
	return "Cilium"
}

func datapathRemedies(name string) []Remedy {
	setting := "bpf-ct-global-tcp-max (TCP) or bpf-ct-global-any-max (the rest), or " +
		"bpf-map-dynamic-size-ratio, in cilium-config"
	switch {
	case strings.HasPrefix(name, "cali"):
		setting = "bpfMapSizeConntrack in FelixConfiguration"
	case strings.HasPrefix(name, "cilium_snat"):
		setting = "bpf-nat-global-max, or bpf-map-dynamic-size-ratio, in cilium-config"
	}
	return []Remedy{
		{Kind: ByApplication, TakesEffect: AtStart,
			Text: "raise " + setting + "; the agent makes the map anew, and " +
				"connections lose their entries then"},
		{Kind: ByTopology, TakesEffect: NowForNew,
			Text: "connections that are kept and used again take one entry instead " +
				"of one each; fewer pods on the node"},
	}
}
