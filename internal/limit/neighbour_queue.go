package limit

import (
	"net/netip"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const NeighbourQueue ID = "neighbour-queue"

var _ = register(Limit{
	ID:      NeighbourQueue,
	Title:   "packets that wait for the hardware address of a next hop",
	Measure: Burst,
	Scope:   Host,
	Doc: "A packet to a host on the same link, or through a gateway, waits until that one's " +
		"hardware address is known (ARP for IPv4, neighbour discovery for IPv6). So " +
		"long, " +
		"one queue for each such neighbour keeps `unres_qlen_bytes` of packets, counted " +
		"with what they take of kernel memory; each further one pushes the oldest out. A " +
		"SYN that was pushed out is sent again after a second. A gateway is one " +
		"neighbour " +
		"for all that is behind it, so a burst of connections after its entry has gone " +
		"stays in one queue. Where nobody answers, the queue is given up after " +
		"`mcast_solicit` questions (3) and connect() ends with EHOSTUNREACH.",
	Formula: "burst = unres_qlen_bytes / memory of a SYN (1,280 bytes; 832 or " +
		"896 since Linux 6.3, measured), for each neighbour whose hardware address is " +
		"not " +
		"known",
	Myths: []Myth{
		{"unres_qlen is the number of packets",
			"it is what unres_qlen_bytes gives for packets of full size (about 100 " +
				"by " +
				"default) and is computed from it; SYNs are smaller",
			"net/core/neighbour.c proc_unres_qlen"},
		{"the packets that came first are kept",
			"the oldest one is pushed out for each that does not fit",
			"net/core/neighbour.c __neigh_event_send"},
		{"changing the setting of \"default\" changes it for the devices",
			"a device copies it when it gets its first address; a value for each " +
				"device " +
				"counts from then on", "net/core/neighbour.c neigh_parms_alloc"},
		{"connect() is told",
			"TCP takes no notice that its SYN was pushed out and sends it again " +
				"after a " +
				"second", "net/ipv4/tcp_output.c tcp_connect"},
	},
	Knobs: []string{"net.ipv4.neigh.*.unres_qlen_bytes", "net.ipv6.neigh.*.unres_qlen_bytes",
		"net.ipv4.neigh.*.unres_qlen", "net.ipv6.neigh.*.unres_qlen"},
	Signs: []Sign{{
		Text: "NEIGH_QUEUEFULL",
		Means: "drop reason of the tracepoint skb:kfree_skb: more packets waited for the " +
			"hardware address of a next hop than unres_qlen_bytes holds",
		Look: "maxconn check --limit neighbour-queue --for 10s; ip -s neigh",
	}, {
		Text:  "no route to host",
		Errno: "EHOSTUNREACH",
		Call:  "connect",
		Means: "nobody answered for the hardware address of the destination or of the " +
			"gateway to it (ARP, neighbour discovery): the host is down, the address " +
			"is " +
			"wrong, or the link is",
		Look: "ip neigh show nud failed; ip route get with the destination",
	}},
	Sources: []string{
		"net/core/neighbour.c __neigh_event_send (4.4-6.18)",
		"net/ipv4/arp.c arp_tbl, net/ipv6/ndisc.c nd_tbl: SK_WMEM_MAX (4.4-6.18)",
		"net/ipv4/arp.c arp_error_report (4.4-6.18)",
	},
	Needs: []host.Fact{
		host.All(host.UnresolvedKind), host.All(host.RestKind), kernelRelease,
		neighbourDiscards("arp"), neighbourDiscards("ndisc"),
	},
	Details: []host.Fact{kernelRelease, host.All(host.RestKind),
		neighbourDiscards("arp"), neighbourDiscards("ndisc")},
	Silent:      true,
	DropReasons: []string{"NEIGH_QUEUEFULL"},
	Gauges:      neighbourQueueGauges,
})

func neighbourDiscards(table string) host.Fact {
	return host.Fact{Kind: host.NeighbourKind, Name: table + ".unresolved_discards"}
}

// synMemory is what a SYN that waits takes of kernel memory, in bytes, on x86-64: struct sk_buff
// and its data (tcp_stream_alloc_skb, __alloc_skb). Since 6.3 they come from a cache of their own
// size (bf9f1baa279f), which depends on how the kernel was built: least is the smallest. Measured:
// 1,280 on 5.10, 896 on Debian's 6.12, 832 on a 6.18 of few network devices.
func synMemory(r *host.Reader) (usual, least int64) {
	if r.Kernel().Before(6, 3) {
		return 1280, 1280
	}
	return 896, 832
}

func neighbourQueueGauges(r *host.Reader, _ Workload) (gauges []Gauge) {
	each, least := synMemory(r)
	for _, row := range r.Rows(host.UnresolvedKind) {
		gauges = append(gauges, unresolvedGauge(row, each, least))
	}
	if why := r.Partial(host.UnresolvedKind); why != "" {
		gauges = append(gauges, blind(Subject{Kind: Host, Name: "neighbours"}, 0,
			host.Missing{Fact: host.All(host.UnresolvedKind), Why: why}))
	}
	full := false
	for _, g := range gauges {
		full = full || g.Harms
	}
	for _, x := range []struct{ table, title string }{
		{"arp", "IPv4 neighbours (ARP)"}, {"ndisc", "IPv6 neighbours"}} {
		if g, ok := discarded(r, x.table, x.title, full); ok {
			gauges = append(gauges, g)
		}
	}
	if len(gauges) == 0 {
		gauges = []Gauge{{Subject: thisNetns, Unbounded: true, Owner: "unres_qlen_bytes",
			Steps: []Step{{Label: "neighbours whose hardware address is asked for now",
				Value: 0, How: Read, From: "netlink"}}}}
	}
	return gauges
}

// unresolvedGauge is the queue of one neighbour.
func unresolvedGauge(row host.Row, each, least int64) Gauge {
	family := "ipv4"
	if a, err := netip.ParseAddr(row.Name()); err == nil && a.Is6() {
		family = "ipv6"
	}
	setting := "net." + family + ".neigh." + row.Text("link") + ".unres_qlen_bytes"
	g := Gauge{Subject: Subject{Kind: Device, Name: row.Name() + " on " + row.Text("link")},
		Owner: setting}
	bytes, known := row.Int("queue")
	waiting, counted := row.Int("syn_sent")
	for _, field := range []string{"queue", "syn_sent"} {
		if _, ok := row.Int(field); !ok {
			g.Unseen = append(g.Unseen, lacking(row, field))
		}
	}
	if !known || !counted {
		g.Unbounded, g.AtMost, g.Decides = true, true, true
		return g
	}
	g.Ceiling, g.Used = max(0, bytes)/each, max(0, waiting)
	g.Most, g.AtMost = max(0, bytes)/least, true
	g.Steps = []Step{{Label: "packets of one neighbour that may wait", Value: bytes,
		Unit: "bytes", How: Read, From: setting}, {
		Label: "SYNs in it", Sum: itoa(bytes) + " / " + itoa(each), Value: g.Ceiling,
		Unit: "connections", How: Computed}}
	if !g.Full() && !g.IsNear() {
		return g
	}
	g.Harms = g.Used > g.Ceiling
	g.Cause = plural(waiting, "connection") + " under way to or through " + row.Name() +
		", whose hardware address is not known yet; the queue for it holds about " +
		plural(g.Ceiling, "SYN")
	if g.Harms {
		g.Cause += ", and the oldest were pushed out: they are sent again after a " +
			"second, " +
			"unless nobody answers at all"
	}
	g.Evidence = []Evidence{{"netlink neighbour " + row.Name(), "INCOMPLETE",
		"the kernel asks for its hardware address"}, {"sock_diag SYN_SENT",
		figure.Count(waiting), "connections to it or through it that wait"}}
	g.Enough, g.Lift = 2*min(g.Used, most), func(need int64) []Remedy {
		return moreQueue(setting, bytes, need, each)
	}
	g.Remedies = g.Lift(g.Enough)
	return g
}

// moreQueue is by hand: the setting is that of one device, of which a snapshot holds no sysctls.
func moreQueue(setting string, bytes, need, each int64) (out []Remedy) {
	if to := roundUp(min(need, 1<<20) * each); to > bytes {
		out = append(out, Remedy{Kind: BySetting, Setting: setting, From: itoa(bytes),
			To: itoa(to), TakesEffect: Now,
			Text: "room for " + plural(need, "SYN") + " that wait for a hardware " +
				"address; " +
				"up to " + wholeMiB(to) + " of kernel memory for each neighbour " +
				"that does " +
				"not answer; only by hand, because it is a setting of one device"})
	}
	return append(out, Remedy{
		Kind: ByTopology,
		Text: "see why the neighbour takes so long: ip neigh, ip -s link; a permanent " +
			"entry " +
			"(ip neigh replace ... nud permanent) for a gateway needs no question",
		TakesEffect: Now,
	})
}

// discarded is what the counter of one table says, which is the host's and shown in the initial
// namespace alone.
func discarded(r *host.Reader, table, title string, full bool) (Gauge, bool) {
	f := neighbourDiscards(table)
	n, known := r.Maybe(f)
	moved, _ := r.Moved(f)
	if !known || moved <= 0 && (n <= 0 || windowed(r)) || full {
		return Gauge{}, false
	}
	g := Gauge{Subject: Subject{Kind: Family, Name: title}, Unbounded: true, Notice: true,
		Harms: moved > 0, Owner: "unres_qlen_bytes of the device",
		Steps: []Step{{Label: "packets pushed out, on the whole host", Value: n,
			Unit: "packets", How: Read, From: "/proc/net/stat/" + table + "_cache"}}}
	value, when := figure.Count(n), "since boot"
	if moved > 0 {
		value, when = value+" (+"+figure.Count(moved)+" in the window)", "in the window"
	}
	g.Cause = "packets that waited for the hardware address of a next hop were pushed out " +
		when + "; a SYN among them was sent again after a second"
	g.Evidence = []Evidence{{"/proc/net/stat/" + table + "_cache unresolved_discards", value,
		"packets pushed out of the queue of a neighbour (unres_qlen_bytes), on the whole " +
			"host"}}
	g.Remedies = []Remedy{{
		Kind:    Live,
		Setting: "maxconn check --for 10s",
		Text: "see whether the counter still moves, and ip neigh show nud " +
			"incomplete",
		TakesEffect: Now,
	}}
	return g, true
}
