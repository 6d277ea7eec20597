package limit

import (
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

const Conntrack ID = "conntrack"

var _ = register(Limit{
	ID:      Conntrack,
	Title:   "entries of the connection tracking table",
	Measure: Held,
	Scope:   Netns,
	Bounds:  Flows{Direction: Both},
	Doc: "Where a firewall or NAT rule needs it, netfilter keeps one entry for each " +
		"connection (and each UDP flow and ping) that passes or ends here. " +
		"At `nf_conntrack_max` entries the kernel first evicts an entry that has not " +
		"seen traffic both ways (early_drop) and, where it finds none nearby, drops " +
		"the first packet of the new connection. Connections that have an entry go on. " +
		"A closed connection keeps its entry for `nf_conntrack_tcp_timeout_time_wait` " +
		"seconds, so the table is also a ceiling on new connections each second. " +
		"A proxy takes two entries for each client: one for the client's connection " +
		"and one for its own to the server. " +
		"A namespace in which no rule needs tracking has no entries and no ceiling.",
	Formula: "held = nf_conntrack_max - entries that others hold; per second = " +
		"(nf_conntrack_max - entries of open connections) / " +
		"nf_conntrack_tcp_timeout_time_wait; " +
		"for each network namespace that tracks; what is subtracted is rounded down, " +
		"because it moves all the time",
	Myths: []Myth{
		{"only established connections take entries",
			"a closed connection keeps its entry for " +
				"nf_conntrack_tcp_timeout_time_wait (" +
				knob.Usual(conntrackTimeWait.Name) + " s by default, apart " +
				"from TCP's own 60 s): 262,144 entries carry 2,184 short " +
				"connections each second",
			"net/netfilter/nf_conntrack_proto_tcp.c tcp_timeouts"},
		{"raising nf_conntrack_max is enough",
			"the entries hang in nf_conntrack_buckets chains, and every packet of " +
				"a tracked connection searches one: raise both, at 8 bytes " +
				"a bucket", "net/netfilter/nf_conntrack_core.c " +
				"nf_conntrack_hash_resize"},
		{"every container has a maximum of its own",
			"there is one value for the host, and each namespace counts its own " +
				"entries against it; in a child namespace the file is " +
				"read-only (before " + conntrackShut() +
				", a write there changed the host)",
			"net/netfilter/nf_conntrack_standalone.c, 2671fa4dc010"},
		{"connection tracking works wherever its module is loaded",
			"since Linux 4.10 a namespace tracks only when a rule needs it; look " +
				"at nf_conntrack_count",
			"net/netfilter/nf_conntrack_proto.c nf_ct_netns_get"},
		{"a full table makes connect() fail with \"operation not permitted\"",
			"TCP takes no notice of the drop, sends the SYN again and ends with " +
				"ETIMEDOUT; the error shows with sendto() on UDP and raw sockets",
			"net/ipv4/tcp_output.c tcp_connect; net/netfilter/core.c nf_hook_slow"},
	},
	Knobs: append([]string{
		"net.netfilter.nf_conntrack_max", "net.nf_conntrack_max",
		"net.netfilter.nf_conntrack_buckets", "net.netfilter.nf_conntrack_count",
	}, conntrackTimeouts()...),
	Signs: []Sign{
		{
			Text: "nf_conntrack: table full, dropping packet",
			Means: "the table had nf_conntrack_max entries: the first packets of " +
				"new connections were dropped, established ones go on",
			Look: "maxconn check --limit conntrack; sysctl " +
				"net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max",
		},
		{
			Text: "nf_conntrack: table full in netns…dropping packet",
			Means: "newer kernels: a namespace other than the initial one had " +
				"nf_conntrack_max entries; the number is that of its net: link",
			Look: "lsns -t net, then maxconn check --netns with that namespace",
		},
		{
			Text:  "operation not permitted",
			Errno: "EPERM",
			Call:  "sendto",
			Means: "netfilter on this host dropped the packet: a rule that drops, " +
				"or a full conntrack table. TCP connect() does not get this " +
				"error, it times out",
			Look: "maxconn check --limit conntrack, then the rules of the " +
				"OUTPUT chain",
		},
		{
			Text:  "connection timed out",
			Errno: "ETIMEDOUT",
			Call:  "connect",
			Means: "the SYN was dropped on the way, perhaps by a full conntrack " +
				"table on either host or on a router between them",
			Look: "maxconn check --limit conntrack --for 10s",
		},
	},
	Sources: []string{
		"net/netfilter/nf_conntrack_core.c __nf_conntrack_alloc, early_drop, " +
			"nf_conntrack_in (4.4-6.18)",
		"net/netfilter/nf_conntrack_core.c __nf_conntrack_confirm (4.4-6.18)",
		"net/netfilter/nf_conntrack_proto_tcp.c tcp_timeouts (4.4-6.18)",
		"net/netfilter/nf_conntrack_standalone.c (4.4-6.18)",
	},
	Needs: []host.Fact{
		conntrackMax, conntrackCount, conntrackBuckets, conntrackTimeWait,
		host.All(host.ConntrackKind), host.System("scope"),
		host.All(host.SlabKind), host.Sysctl("net.core.somaxconn"),
		host.All(host.InboundKind), host.All(host.OutboundKind), host.All(host.RestKind),
	},
	Details: []host.Fact{host.All(host.SlabKind), conntrackBuckets, host.System("scope"),
		conntrackStat("insert_failed")},
	Refusals: []host.Fact{conntrackStat("drop")}, RefusalsShared: true,
	Silent:   true,
	Foreseen: Foreseen{Each: PerConnection}, // both directions are one entry
	Gauges:   conntrackGauges,
})

var (
	conntrackMax      = host.Sysctl("net.netfilter.nf_conntrack_max")
	conntrackCount    = host.Sysctl("net.netfilter.nf_conntrack_count")
	conntrackBuckets  = host.Sysctl("net.netfilter.nf_conntrack_buckets")
	conntrackTimeWait = host.Sysctl("net.netfilter.nf_conntrack_tcp_timeout_time_wait")
)

// conntrackTimeouts are the settings of the times that an entry stays without a packet.
func conntrackTimeouts() (names []string) {
	for _, state := range knob.TrackStates() {
		names = append(names, state.Key())
	}
	return names
}

// conntrackShut is since when a child namespace cannot change the maximum.
func conntrackShut() string { return knob.Lookup(conntrackMax.Name).Scope.ReadOnly.String() }

func conntrackStat(name string) host.Fact { return host.Fact{Kind: host.ConntrackKind, Name: name} }

// conntrackTable is the table of one namespace.
type conntrackTable struct {
	max, entries, buckets, timeWait int64
	entryBytes                      int64
	child                           bool
	drop, early                     int64 // since the namespace was made
	dropped, evicted                int64 // in the window
	windowed                        bool
	// entries of this namespace's connections, -1 where not known; of open ones
	own, open                         int64
	bucketsKnown, timeWaitKnown, sure bool
}

func conntrackGauges(r *host.Reader, _ Workload) []Gauge {
	if conntrackAbsent(r) {
		return []Gauge{untracked("nf_conntrack is not loaded: nothing is tracked", 0,
			"net.netfilter.nf_conntrack_count")}
	}
	entries, known := conntrackEntries(r)
	if known && entries <= 0 {
		return []Gauge{untracked("entries of this namespace: nothing is tracked here", 0,
			conntrackCount.Name)}
	}
	t := readConntrack(r)
	t.entries = entries
	switch {
	case r.Err() != nil:
		return nil
	case t.max <= 0:
		return []Gauge{untracked("0 is no limit (__nf_conntrack_alloc)", 0,
			conntrackMax.Name)}
	}
	t.own, t.open = trackedConnections(r)
	gauges := []Gauge{t.table(r), t.held()}
	if g, ok := t.perSecond(r); ok {
		gauges = append(gauges, g)
	}
	return gauges
}

// conntrackAbsent says that the kernel runs without connection tracking, as opposed to
// hiding it: kernels may keep these sysctls from user namespaces, but not /proc/net/stat.
func conntrackAbsent(r *host.Reader) bool {
	gone := func(f host.Fact) bool { return !r.Has(f) && host.IsAbsence(r.Why(f)) }
	return gone(conntrackMax) && gone(conntrackCount) && gone(conntrackStat("entries")) &&
		r.Has(host.Sysctl("net.core.somaxconn"))
}

func untracked(label string, value int64, from string) Gauge {
	return Gauge{
		Subject: thisNetns, Bounds: Both, Unbounded: true,
		Steps: []Step{{Label: label, Value: value, How: Read, From: from}},
	}
}

// conntrackEntries is the entries of this namespace, from either of the two places that show them.
func conntrackEntries(r *host.Reader) (n int64, known bool) {
	if n, known = r.Maybe(conntrackCount); known {
		return n, true
	}
	return r.Maybe(conntrackStat("entries"))
}

func readConntrack(r *host.Reader) (t conntrackTable) {
	t.max = r.Int(conntrackMax)
	if _, known := conntrackEntries(r); !known {
		r.Int(conntrackCount)
	}
	t.windowed = windowed(r)
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

// trackedConnections counts this namespace's connections, each of which has an entry, and
// how many of them are open. Where they could not be listed it is -1: then nothing can be
// said of the entries of others.
func trackedConnections(r *host.Reader) (own, open int64) {
	for _, kind := range []host.Kind{host.InboundKind, host.OutboundKind, host.RestKind} {
		if r.Partial(kind) != "" {
			return -1, 0
		}
		for _, row := range r.Rows(kind) {
			n := min(max(row.Sockets(), 0), most)
			open += n - min(max(row.Count("TIME_WAIT"), 0), n)
			own += n
		}
	}
	return own, open
}

// coarse rounds a number of entries down to a power of ten that is a hundredth of the table
// or less: entries come and go.
func (t conntrackTable) coarse(n int64) int64 {
	unit := int64(1)
	for unit*10 <= t.max/100 {
		unit *= 10
	}
	return min(max(n, 0), t.max) / unit * unit
}

// table is the entries themselves.
func (t conntrackTable) table(r *host.Reader) Gauge {
	g := Gauge{
		Subject: thisNetns, Unit: "entries", Ceiling: t.max, Used: t.entries,
		Owner: conntrackOwner, Steps: t.steps(),
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
	g.Notice = g.IsNear() || t.dropped > 0 || (!t.windowed && (t.drop > 0 || t.early > 0))
	if g.Refusing || g.Notice {
		g.Cause, g.Evidence = t.cause(g), t.evidence(r)
	}
	switch {
	case g.Refusing || g.IsNear():
		g.Remedies, g.Enough, g.Lift = t.lift(2*min(t.max, 1<<40)), 2*min(t.entries, 1<<40),
			t.lift
	case g.Notice && !t.windowed:
		g.Remedies = []Remedy{{
			Kind:        Live,
			Setting:     "maxconn check --for 10s",
			Text:        "see whether the counters still move",
			TakesEffect: Now,
		}}
	}
	return g
}

const conntrackOwner = "net.netfilter.nf_conntrack_max (one value for the host)"

// held is how many connections the table has room for beside the entries of others.
func (t conntrackTable) held() Gauge {
	others := int64(0)
	if t.own >= 0 {
		others = t.coarse(t.entries - t.own)
	}
	g := Gauge{
		Subject: thisNetns, Bounds: Both, Ceiling: t.max - others,
		Used: max(min(t.own, t.entries), 0), AtMost: true, Near: neverNear,
		Owner: conntrackOwner, Lift: func(need int64) []Remedy {
			return t.lift(min(need, most) + others)
		},
	}
	g.Steps = t.lessBy(others,
		"entries that are not for connections that this namespace has now (closed and "+
			"forwarded ones, UDP, ICMP)",
		"connections at one entry each; a proxy takes two for each client")
	if others > 0 {
		g.Cause = "others hold about " + figure.Count(others) + " of the " +
			figure.Count(t.max) + " entries of the connection tracking table"
	}
	return g
}

func (t conntrackTable) steps() []Step {
	steps := []Step{{
		Label: "entries that each namespace may have; a connection takes one",
		Value: t.max,
		Unit:  "entries",
		How:   Read,
		From:  conntrackMax.Name,
	}}
	if t.bucketsKnown && t.buckets > 0 {
		steps = append(steps,
			Step{
				Label: "chains of the hash table",
				Value: t.buckets,
				Unit:  "buckets",
				How:   Read,
				From:  conntrackBuckets.Name,
			},
			Step{
				Label: "entries a chain when the table is full, rounded up",
				Sum:   itoa(t.max) + " / " + itoa(t.buckets),
				Value: (t.max-1)/t.buckets + 1,
				Unit:  "entries",
				How:   Computed,
			})
	}
	return steps
}

// lessBy is the table less the entries that are not free for what is asked about.
func (t conntrackTable) lessBy(entries int64, what, result string) []Step {
	steps := []Step{{
		Label: "entries that each namespace may have",
		Value: t.max,
		Unit:  "entries",
		How:   Read,
		From:  conntrackMax.Name,
	}}
	if entries > 0 {
		steps = append(steps, Step{
			Label: what + ", rounded down",
			Value: entries,
			Unit:  "entries",
			How:   Computed,
			From:  conntrackCount.Name + ", sock_diag",
		})
	}
	if result == "" {
		return steps
	}
	return append(steps, Step{
		Label: result,
		Sum:   itoa(t.max) + " - " + itoa(entries),
		Value: t.max - entries,
		Unit:  "connections",
		How:   Computed,
	})
}

// perSecond is the rate of connections that are opened and closed forever: each keeps its entry for
// the tracker's TIME_WAIT. One that ends with RST goes sooner.
func (t conntrackTable) perSecond(r *host.Reader) (Gauge, bool) {
	g := Gauge{
		Subject: thisNetns, Bounds: Both, Measure: PerSecond, AtMost: t.own < 0,
		Owner: "net.netfilter.nf_conntrack_max and nf_conntrack_tcp_timeout_time_wait",
	}
	if !t.timeWaitKnown {
		return blind(thisNetns, Both, notANumber(r, conntrackTimeWait)).of(PerSecond), true
	}
	if t.timeWait <= 0 {
		return g, false
	}
	open := t.coarse(min(t.open, t.entries)) // over loopback one entry has two sockets
	if g.Ceiling = (t.max - open) / t.timeWait; g.Ceiling == 0 {
		return g, false // less than one a second: the table itself tells more
	}
	const label = "connections each second that are opened and closed; a proxy takes two " +
		"entries for each"
	sum := itoa(t.max) + " / " + itoa(t.timeWait)
	if open > 0 {
		sum = "(" + itoa(t.max) + " - " + itoa(open) + ") / " + itoa(t.timeWait)
	}
	g.Steps = append(t.lessBy(open, "entries of connections that are open now", ""),
		Step{
			Label: "seconds that a closed connection keeps its entry",
			Value: t.timeWait, Unit: "seconds", How: Read, From: conntrackTimeWait.Name,
		},
		Step{Label: label, Sum: sum, Value: g.Ceiling, Unit: "connections/s",
			How: Computed})
	g.Lift = func(need int64) []Remedy {
		return t.lift(min(need, most/t.timeWait)*t.timeWait + open)
	}
	return g, true
}
