package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

var _ = register(Limit{
	ID:      "conntrack",
	Title:   "entries of the connection tracking table",
	Measure: Held,
	Scope:   Netns,
	Doc: "Where a firewall or NAT rule needs it, netfilter keeps one entry for each connection (and each UDP flow and ping) that passes or ends here. " +
		"At `nf_conntrack_max` entries the kernel first evicts an entry that has not seen traffic both ways (early_drop) and, where it finds none nearby, drops the first packet of the new connection. Connections that have an entry go on. " +
		"A closed connection keeps its entry for `nf_conntrack_tcp_timeout_time_wait` seconds, so the table is also a ceiling on new connections each second. " +
		"A namespace in which no rule needs tracking has no entries and no ceiling.",
	Formula: "held = nf_conntrack_max; per second = nf_conntrack_max / nf_conntrack_tcp_timeout_time_wait; for each network namespace that tracks",
	Myths: []Myth{
		{"only established connections take entries", "a closed connection keeps its entry for nf_conntrack_tcp_timeout_time_wait (120 s by default, apart from TCP's own 60 s): 262,144 entries carry 2,184 short connections each second", "net/netfilter/nf_conntrack_proto_tcp.c tcp_timeouts"},
		{"raising nf_conntrack_max is enough", "the entries hang in nf_conntrack_buckets chains, and every packet of a tracked connection searches one: raise both, at 8 bytes a bucket", "net/netfilter/nf_conntrack_core.c nf_conntrack_hash_resize"},
		{"every container has a maximum of its own", "there is one value for the host, and each namespace counts its own entries against it; in a child namespace the file is read-only since Linux 5.13 (before, a write there changed the host)", "net/netfilter/nf_conntrack_standalone.c, 2671fa4dc010"},
		{"connection tracking works wherever its module is loaded", "since Linux 4.10 a namespace tracks only when a rule needs it; look at nf_conntrack_count", "net/netfilter/nf_conntrack_proto.c nf_ct_netns_get"},
		{"a full table makes connect() fail with \"operation not permitted\"", "TCP takes no notice of the drop, sends the SYN again and ends with ETIMEDOUT; the error shows with sendto() on UDP and raw sockets", "net/ipv4/tcp_output.c tcp_connect; net/netfilter/core.c nf_hook_slow"},
	},
	Knobs: append([]Knob{
		{Name: "net.netfilter.nf_conntrack_max", Does: "is how many entries each network namespace may have; one value for the host, the next new connection sees a change; 0 is no limit", Not: "does not resize the hash table: set nf_conntrack_buckets with it; read-only in a child namespace; the key is there only after nf_conntrack has been loaded, so a sysctl.d file may come too early at boot", Source: "net/netfilter/nf_conntrack_core.c __nf_conntrack_alloc"},
		{Name: "net.nf_conntrack_max", Does: "is the same value under its older name; initial network namespace only", Source: "net/netfilter/nf_conntrack_standalone.c nf_ct_netfilter_table"},
		{Name: "net.netfilter.nf_conntrack_buckets", Does: "is the size of the hash table, shared by all namespaces; 8 bytes each; a write rebuilds the table at once", Not: "does not change nf_conntrack_max once the module is loaded; read-only in a child namespace", Source: "net/netfilter/nf_conntrack_standalone.c nf_conntrack_hash_sysctl"},
		{Name: "net.netfilter.nf_conntrack_count", Does: "is the number of entries of this namespace; read-only", Not: "is not the number of connections: closed ones, UDP and ICMP count as well", Source: "net/netfilter/nf_conntrack_standalone.c"},
	}, conntrackTimeouts()...),
	Signs: []Sign{
		{Text: "nf_conntrack: table full, dropping packet", Means: "the table had nf_conntrack_max entries: the first packets of new connections were dropped, established ones go on", Look: "maxconn check --limit conntrack; sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max"},
		{Text: "nf_conntrack: table full in netns…dropping packet", Means: "newer kernels: a namespace other than the initial one had nf_conntrack_max entries; the number is that of its net: link", Look: "lsns -t net, then maxconn check --netns with that namespace"},
		{Text: "operation not permitted", Errno: "EPERM", Call: "sendto", Means: "netfilter on this host dropped the packet: a rule that drops, or a full conntrack table. TCP connect() does not get this error, it times out", Look: "maxconn check --limit conntrack, then the rules of the OUTPUT chain"},
		{Text: "connection timed out", Errno: "ETIMEDOUT", Call: "connect", Means: "the SYN was dropped on the way, perhaps by a full conntrack table on either host or on a router between them", Look: "maxconn check --limit conntrack --for 10s"},
	},
	Sources: []string{
		"net/netfilter/nf_conntrack_core.c __nf_conntrack_alloc, early_drop, nf_conntrack_in (4.4-6.18)",
		"net/netfilter/nf_conntrack_proto_tcp.c tcp_timeouts (4.4-6.18)", "net/netfilter/nf_conntrack_standalone.c (4.4-6.18)",
	},
	Needs: []host.Fact{
		conntrackMax, conntrackCount, conntrackBuckets, conntrackTimeWait, host.All(host.ConntrackKind), host.System("scope"),
		host.All(host.SlabKind), host.Sysctl("net.core.somaxconn"),
	},
	Gauges: conntrackGauges,
})

var (
	conntrackMax      = host.Sysctl("net.netfilter.nf_conntrack_max")
	conntrackCount    = host.Sysctl("net.netfilter.nf_conntrack_count")
	conntrackBuckets  = host.Sysctl("net.netfilter.nf_conntrack_buckets")
	conntrackTimeWait = host.Sysctl("net.netfilter.nf_conntrack_tcp_timeout_time_wait")
)

// conntrackTimeouts are the times that an entry stays without a packet, by the tracker's state.
func conntrackTimeouts() (knobs []Knob) {
	for _, t := range []struct{ name, state, standard string }{
		{"established", "an established connection", "432000 (five days)"},
		{"time_wait", "a closed connection, counted from its last packet: nf_conntrack_max divided by it is the ceiling on new connections each second", "120"},
		{"fin_wait", "a connection of which one side has sent FIN", "120"},
		{"syn_sent", "a connection of which only the SYN was seen", "120"},
		{"syn_recv", "a connection whose SYN was answered and not yet acknowledged", "60"},
		{"close_wait", "a connection whose FIN was acknowledged and whose other side has not closed", "60"},
		{"last_ack", "a connection that waits for the last ACK", "30"},
		{"close", "a connection that ended with RST", "10"},
		{"unacknowledged", "a connection with data that nobody acknowledges", "300"},
		{"max_retrans", "a connection whose packets are sent again and again", "300"},
	} {
		knobs = append(knobs, Knob{
			Name: "net.netfilter.nf_conntrack_tcp_timeout_" + t.name,
			Does: "seconds without a packet after which the entry of " + t.state + " goes; " + t.standard + " by default; entries that get a packet take the new value; per network namespace",
			Not:  "does not close the TCP connection and does not change TCP's own timers; an entry that goes too early makes later packets of its connection look new or invalid to the rules", Source: "net/netfilter/nf_conntrack_proto_tcp.c tcp_timeouts; Documentation/networking/nf_conntrack-sysctl.rst",
		})
	}
	return knobs
}

func conntrackStat(name string) host.Fact { return host.Fact{Kind: host.ConntrackKind, Name: name} }

// conntrackTable is the table of one namespace.
type conntrackTable struct {
	max, entries, buckets, timeWait   int64
	entryBytes                        int64
	child                             bool
	drop, early                       int64 // since the namespace was made
	dropped, evicted                  int64 // in the window
	bucketsKnown, timeWaitKnown, sure bool
}

func conntrackGauges(r *host.Reader, _ Workload) []Gauge {
	if conntrackAbsent(r) {
		return []Gauge{untracked("nf_conntrack is not loaded: nothing is tracked", 0, "net.netfilter.nf_conntrack_count")}
	}
	t := readConntrack(r)
	switch {
	case r.Err() != nil:
		return nil
	case t.max <= 0:
		return []Gauge{untracked("0 is no limit (__nf_conntrack_alloc)", 0, conntrackMax.Name)}
	case t.entries <= 0:
		return []Gauge{untracked("entries of this namespace: nothing is tracked here", 0, conntrackCount.Name)}
	}
	gauges := []Gauge{t.held(r)}
	if g, ok := t.perSecond(r); ok {
		gauges = append(gauges, g)
	}
	return gauges
}

// conntrackAbsent says that the kernel runs without connection tracking, as opposed to hiding it: kernels may keep these
// sysctls from user namespaces, but not /proc/net/stat.
func conntrackAbsent(r *host.Reader) bool {
	gone := func(f host.Fact) bool { return !r.Has(f) && doesNotExist(r.Why(f)) }
	return gone(conntrackMax) && gone(conntrackCount) && gone(conntrackStat("entries")) && r.Has(host.Sysctl("net.core.somaxconn"))
}

// doesNotExist says whether a reason is that the file is not there.
func doesNotExist(why string) bool {
	return strings.Contains(why, "no such file") || strings.Contains(why, "not exist")
}

func untracked(label string, value int64, from string) Gauge {
	return Gauge{
		Subject: Subject{Name: "this network namespace"}, Bounds: Both, Unbounded: true,
		Steps: []Step{{Label: label, Value: value, How: Read, From: from}},
	}
}

func readConntrack(r *host.Reader) (t conntrackTable) {
	t.max = r.Int(conntrackMax)
	if n, ok := r.Maybe(conntrackCount); ok {
		t.entries = n
	} else if n, ok := r.Maybe(conntrackStat("entries")); ok {
		t.entries = n
	} else {
		t.entries = r.Int(conntrackCount)
	}
	t.buckets, t.bucketsKnown = r.Maybe(conntrackBuckets)
	t.timeWait, t.timeWaitKnown = r.Maybe(conntrackTimeWait)
	t.child = r.Optional(host.System("scope")) == "child"
	t.drop, _ = r.Maybe(conntrackStat("drop"))
	t.early, _ = r.Maybe(conntrackStat("early_drop"))
	t.dropped, _ = r.Moved(conntrackStat("drop"))
	t.evicted, _ = r.Moved(conntrackStat("early_drop"))
	t.entryBytes = 256 // struct nf_conn in its slab, without extensions
	if row, ok := r.Row(host.SlabKind, "nf_conntrack"); ok {
		if n, ok := row.Int("size"); ok && n > 0 {
			t.entryBytes, t.sure = n, true
		}
	}
	return t
}

func (t conntrackTable) held(r *host.Reader) Gauge {
	g := Gauge{
		Subject: Subject{Name: "this network namespace"}, Bounds: Both, Ceiling: t.max, Used: t.entries,
		Owner: "net.netfilter.nf_conntrack_max (one value for the host)", Steps: t.steps(), Lift: t.lift,
	}
	if !t.bucketsKnown {
		g.Unseen = append(g.Unseen, notANumber(r, conntrackBuckets))
	}
	for _, f := range []host.Fact{conntrackStat("drop"), conntrackStat("early_drop")} {
		if _, ok := r.Maybe(f); !ok {
			g.Unseen = append(g.Unseen, notANumber(r, f))
		}
	}
	g.Refusing = g.Full() || t.evicted > 0 || (t.dropped > 0 && g.IsNear())
	if g.Refusing {
		g.Refused = max(0, t.dropped)
	}
	g.Notice = g.IsNear() || t.dropped > 0 || t.drop > 0 || t.early > 0
	if g.Refusing || g.Notice {
		g.Cause, g.Evidence = t.cause(g), t.evidence(r)
		g.Remedies = []Remedy{{Kind: Live, Setting: "maxconn check --for 10s", Text: "see whether the counters still move", TakesEffect: "now"}}
	}
	if g.Refusing || g.IsNear() {
		g.Remedies = t.lift(2 * min(t.max, 1<<40))
	}
	return g
}

func (t conntrackTable) cause(g Gauge) string {
	figures := Count(t.entries) + " of " + Count(t.max) + " entries (net.netfilter.nf_conntrack_max)"
	switch {
	case g.Full():
		return "the connection tracking table is full: " + figures
	case g.Refusing:
		return "the connection tracking table was full in the window; now it has " + figures
	case g.IsNear():
		return "the connection tracking table is nearly full: " + figures
	case t.dropped > 0:
		return "connection tracking dropped packets in the window although the table has room; two packets of one flow that met, or a lack of memory"
	case t.early > 0:
		return "the connection tracking table was full at some time since the namespace was made; now it is not"
	}
	return "connection tracking has dropped packets since the namespace was made, as it does when the table is full; now it is not"
}

func (t conntrackTable) evidence(r *host.Reader) []Evidence {
	ev := []Evidence{{"net.netfilter.nf_conntrack_count", itoa(t.entries) + " of " + itoa(t.max), "entries: open and closed connections, UDP and ICMP"}}
	for _, c := range []struct{ name, meaning string }{
		{"drop", "packets that connection tracking dropped: the first ones of new connections at a full table, retransmissions included; seldom for another reason"},
		{"early_drop", "entries evicted to make room at a full table; never otherwise"},
		{"insert_failed", "packets of one flow that met while their entry was made; not a sign of a full table"},
	} {
		n, ok := r.Maybe(conntrackStat(c.name))
		if !ok || n == 0 {
			continue
		}
		value := itoa(n)
		if moved, _ := r.Moved(conntrackStat(c.name)); moved > 0 {
			value += " (+" + itoa(moved) + " in the window)"
		}
		ev = append(ev, Evidence{"/proc/net/stat/nf_conntrack " + c.name, value, c.meaning})
	}
	return ev
}

func (t conntrackTable) steps() []Step {
	steps := []Step{{Label: "entries that each namespace may have; a connection takes one", Value: t.max, Unit: "entries", How: Read, From: conntrackMax.Name}}
	if t.bucketsKnown && t.buckets > 0 {
		steps = append(steps,
			Step{Label: "chains of the hash table", Value: t.buckets, Unit: "buckets", How: Read, From: conntrackBuckets.Name},
			Step{Label: "entries a chain when the table is full, rounded up", Sum: itoa(t.max) + " / " + itoa(t.buckets), Value: (t.max-1)/t.buckets + 1, Unit: "entries", How: Computed})
	}
	return steps
}

// perSecond is the rate of connections that are opened and closed for ever: each keeps its entry for
// the tracker's TIME_WAIT. One that ends with RST goes sooner.
func (t conntrackTable) perSecond(r *host.Reader) (Gauge, bool) {
	g := Gauge{
		Subject: Subject{Name: "this network namespace"}, Bounds: Both, Measure: PerSecond,
		Owner: "net.netfilter.nf_conntrack_max and nf_conntrack_tcp_timeout_time_wait",
	}
	if !t.timeWaitKnown {
		g.Unbounded, g.Unseen = true, []host.Missing{notANumber(r, conntrackTimeWait)}
		return g, true
	}
	if t.timeWait <= 0 {
		return g, false
	}
	if g.Ceiling = t.max / t.timeWait; g.Ceiling == 0 {
		return g, false // less than one a second: the table itself tells more
	}
	g.Steps = []Step{
		{Label: "entries that each namespace may have", Value: t.max, Unit: "entries", How: Read, From: conntrackMax.Name},
		{Label: "seconds that a closed connection keeps its entry", Value: t.timeWait, Unit: "seconds", How: Read, From: conntrackTimeWait.Name},
		{Label: "connections each second that are opened and closed", Sum: itoa(t.max) + " / " + itoa(t.timeWait), Value: g.Ceiling, Unit: "connections/s", How: Computed},
	}
	g.Lift = func(need int64) []Remedy { return t.lift(min(need, 1<<40/t.timeWait) * t.timeWait) }
	return g, true
}

// lift raises the table to so many entries: always the hash table with the maximum, one bucket an entry
// as the kernel itself has it since 5.15 (d532bcd0b269).
func (t conntrackTable) lift(need int64) []Remedy {
	to := roundUp(min(max(need, t.max), 1<<30))
	effect := "now"
	if t.child {
		effect = "now; it has to be written in the initial network namespace, here the file is read-only"
	}
	bytes := "up to " + wholeMiB(max(0, to-t.max)*t.entryBytes) + " more when full (" + Count(t.entryBytes) + " bytes an entry"
	if !t.sure {
		bytes += " at least"
	}
	var out []Remedy
	if t.max < to && t.buckets < to {
		from := ""
		if t.bucketsKnown {
			from = itoa(t.buckets)
		}
		out = append(out, Remedy{Kind: BySetting, Setting: conntrackBuckets.Name, From: from, To: itoa(to),
			Text: "the hash table grows with the maximum, so that each packet finds its entry fast; " + wholeMiB(to*8), TakesEffect: effect})
	}
	if t.max < to {
		out = append(out, Remedy{Kind: BySetting, Setting: conntrackMax.Name, From: itoa(t.max), To: itoa(to), Text: "more entries, " + bytes + "), never without its hash table", TakesEffect: effect})
	}
	return append(out,
		Remedy{Kind: ByTopology, Text: "rules that exempt ports from tracking (notrack in nft, -j CT --notrack in the raw table) where neither NAT nor a stateful rule needs it: their connections take no entry", TakesEffect: "at the next connection"},
		Remedy{Kind: ByApplication, Text: "keep connections and use them again: each closed one keeps its entry for a while", TakesEffect: "at the next start of the process"})
}

// wholeMiB rounds up, as for memory that has to be there.
func wholeMiB(bytes int64) string { return Count((bytes+(1<<20-1))>>20) + " MiB" }
