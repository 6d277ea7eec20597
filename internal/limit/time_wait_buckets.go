package limit

import (
	"math"
	"time"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const TimeWaitBuckets ID = "time-wait-buckets"

var _ = register(Limit{
	ID:      TimeWaitBuckets,
	Title:   "sockets in TIME_WAIT and FIN_WAIT_2 in this network namespace",
	Measure: Held,
	Scope:   Netns,
	Doc: "`tcp_max_tw_buckets` is how many sockets of a network namespace may be in " +
		"TIME_WAIT, or in FIN_WAIT_2 after the application closed them. When the table " +
		"is full, a connection that closes is dropped at once " +
		"instead of going through TIME_WAIT. No connection is refused by that, and " +
		"nothing is logged; only TcpExt TCPTimeWaitOverflow counts it. What is lost is " +
		"what TIME_WAIT is for: " +
		"late packets of an old connection may reach a new one, and a peer whose last " +
		"data or FIN arrives after that gets a RST. An entry costs 256 bytes of kernel " +
		"memory.",
	Formula: "sockets in TIME_WAIT + closed sockets in FIN_WAIT_2 <= tcp_max_tw_buckets; " +
		"for each network namespace",
	Myths: []Myth{
		{"a small tcp_max_tw_buckets saves memory or frees ports safely",
			"an entry costs 256 bytes, 131,072 of them 32 MiB; sockets that " +
				"overflow the table lose the protection of TIME_WAIT, and a " +
				"peer that has not finished gets RST (11 for 15 overflows, " +
				"measured)", "net/ipv4/tcp_minisocks.c tcp_time_wait"},
		{"the kernel log tells when the table is full",
			"the old line \"time wait bucket table overflow\" is gone, although " +
				"ip-sysctl.rst still promises a warning; the only sign is " +
				"TcpExt TCPTimeWaitOverflow",
			"net/ipv4/tcp_minisocks.c tcp_time_wait (LINUX_MIB_TCPTIMEWAITOVERFLOW)"},
		{"it limits how many connections a host can make",
			"it limits sockets that are already closed; a full table refuses no " +
				"connection", "net/ipv4/inet_timewait_sock.c inet_twsk_alloc"},
	},
	Knobs: []string{
		"net.ipv4.tcp_max_tw_buckets", "net.ipv4.tcp_child_ehash_entries",
		"net.ipv4.tcp_ehash_entries",
	},
	Signs: []Sign{
		{
			Text: "time wait bucket table overflow",
			Means: "tcp_max_tw_buckets was reached; kernels of the 2.6 series " +
				"logged this, those from 4.4 on do not and only count it in " +
				"TcpExt TCPTimeWaitOverflow",
			Look: "maxconn check --limit time-wait-buckets --for 10s",
		},
		{
			Text: "TCPTimeWaitOverflow",
			Means: "netstat -s and nstat: closed connections that did not go " +
				"through TIME_WAIT because the table was full (or, rarely, no " +
				"memory was to be had); not lost connections",
			Look: "maxconn check --limit time-wait-buckets --for 10s",
		},
	},
	Sources: []string{
		"net/ipv4/inet_timewait_sock.c inet_twsk_alloc (4.4-6.18)",
		"net/ipv4/tcp_minisocks.c tcp_time_wait (4.4-6.18)",
		"net/ipv4/tcp_ipv4.c tcp_set_hashinfo (6.1-6.18)",
	},
	Needs: []host.Fact{
		host.Sysctl("net.ipv4.tcp_max_tw_buckets"), host.Sockstat("TCP.tw"),
		host.Counter("TcpExt.TCPTimeWaitOverflow"),
		host.Sysctl("net.ipv4.tcp_ehash_entries"), host.System("scope"),
	},
	Details: []host.Fact{host.Sysctl("net.ipv4.tcp_ehash_entries"), host.System("scope")},
	Gauges:  bucketGauges,
})

// buckets is the table of one network namespace.
type buckets struct {
	limit, used         int64
	overflowed, moved   int64 // since the namespace was made; in the window
	counted             bool  // the counter could be read
	windowed            bool
	entries             int64 // size of the hash table, 0 = unknown
	ownTable            bool  // a table of the namespace's own, not the host's
	window              time.Duration
	atDefault, tooSmall bool
}

func bucketGauges(r *host.Reader, _ Workload) []Gauge {
	b := readBuckets(r)
	if r.Err() != nil {
		return nil
	}
	// Bounds stays empty: a full table refuses no connection.
	g := Gauge{
		Subject:   thisNetns,
		Unit:      "sockets in TIME_WAIT",
		Ceiling:   max(b.limit, 0),
		Used:      b.used,
		Unbounded: b.limit < 0,
		Owner:     b.owner(),
		Steps:     b.steps(),
	}
	if !b.counted {
		g.Unseen = []host.Missing{{Fact: host.Counter("TcpExt.TCPTimeWaitOverflow"),
			Why: unreadable(r, host.Counter("TcpExt.TCPTimeWaitOverflow"))}}
	}
	full := b.limit >= 0 && b.used >= b.limit && b.used > 0
	g.Harms = full || b.moved > 0 || b.tooSmall // never Refusing: no connection is lost
	g.Notice = (b.overflowed > 0 && !b.windowed) || b.limit < 0
	if !g.Harms && !g.Notice && !g.IsNear() {
		return []Gauge{g}
	}
	g.Cause, g.Evidence = b.cause(full), b.evidence()
	if b.limit >= 0 || (b.overflowed > 0 && !b.windowed) {
		g.Lift = closedLift("net.ipv4.tcp_max_tw_buckets", b.limit, 4096,
			"each takes 256 bytes of kernel memory")
		g.Remedies = []Remedy{watchIt}
		if g.Harms || g.IsNear() {
			g.Enough = b.enough()
			g.Remedies = g.Lift(g.Enough)
		}
	}
	return []Gauge{g}
}

func readBuckets(r *host.Reader) buckets {
	b := buckets{limit: r.Int(host.Sysctl("net.ipv4.tcp_max_tw_buckets")),
		used: r.Int(host.Sockstat("TCP.tw"))}
	counter := host.Counter("TcpExt.TCPTimeWaitOverflow")
	b.overflowed, b.counted = r.Maybe(counter)
	b.moved, _ = r.Moved(counter)
	b.windowed = windowed(r)
	b.window, _ = time.ParseDuration(r.Optional(host.System("window")))
	if n, ok := r.Maybe(host.Sysctl("net.ipv4.tcp_ehash_entries")); ok {
		b.entries, b.ownTable = max(n, -n),
			n > 0 && r.Optional(host.System("scope")) == "child"
	}
	b.atDefault = b.entries > 0 && b.limit == b.entries/2
	// A counter alone tells of the past. It speaks of a table that is too small where
	// the table is more than half full again, or where more overflowed than it holds;
	// the latter not for a table of 65,536, which one bad hour may have filled long
	// ago. A window in which it stood still says that this is over.
	past := b.limit > 0 && b.overflowed > 0 && (!b.windowed || b.moved > 0)
	b.tooSmall = b.limit == 0 ||
		(past && (b.used*2 >= b.limit || (b.overflowed > b.limit && b.limit < 65536)))
	return b
}

func (b buckets) owner() string {
	switch {
	case b.atDefault && b.ownTable:
		return "kernel default: half of the namespace's own hash table, set by " +
			"tcp_child_ehash_entries where it was made"
	case b.atDefault:
		return "kernel default: half of the connection hash table"
	}
	return "net.ipv4.tcp_max_tw_buckets"
}

func (b buckets) steps() []Step {
	steps := []Step{{
		Label: "sockets that the table holds",
		Value: b.limit,
		Unit:  "sockets",
		How:   Read,
		From:  "net.ipv4.tcp_max_tw_buckets",
	}}
	if b.entries > 0 {
		steps = append(steps, Step{
			Label: "what the kernel sets by default, half of tcp_ehash_entries",
			Sum:   itoa(b.entries) + " / 2",
			Value: b.entries / 2,
			Unit:  "sockets",
			How:   Computed,
			From:  "net.ipv4.tcp_ehash_entries",
		})
	}
	return append(steps, Step{
		Label: "in TIME_WAIT or closed in FIN_WAIT_2 now",
		Value: b.used,
		Unit:  "sockets",
		How:   Read,
		From:  "/proc/net/sockstat TCP tw",
	})
}

func (b buckets) cause(full bool) string {
	setting := "net.ipv4.tcp_max_tw_buckets = " + itoa(b.limit)
	small := ""
	if b.atDefault && b.ownTable {
		small = " (the namespace was made with a hash table of only " +
			figure.Count(b.entries) + " entries of its own)"
	}
	switch {
	case b.limit < 0:
		return setting +
			" is taken as an unsigned number: nothing limits the table on kernels " +
			"that do so, and older ones let no socket into TIME_WAIT"
	case b.limit == 0:
		return setting + " lets no closed connection into TIME_WAIT"
	case full:
		return setting + small +
			": the table is full, connections that close now skip TIME_WAIT"
	case b.moved > 0:
		return setting + small + " is too small: " + plural(b.moved, "closed connection") +
			" skipped TIME_WAIT in the window"
	case b.tooSmall:
		return setting + small + " is too small: " + plural(b.overflowed,
			"closed connection") + " skipped TIME_WAIT since the namespace was made"
	case b.used*10 >= b.limit*9:
		return setting + small +
			": the table is nearly full; once it is, connections that close skip " +
			"TIME_WAIT"
	}
	return plural(b.overflowed, "closed connection") +
		" skipped TIME_WAIT since the namespace was made; the table is not full now"
}

func (b buckets) evidence() []Evidence {
	ev := []Evidence{{"sockstat TCP.tw", itoa(b.used),
		"sockets in TIME_WAIT or closed in FIN_WAIT_2; clients and servers alike, no " +
			"connection that is in use"}}
	if b.moved > 0 {
		ev = append(ev, Evidence{"TcpExt.TCPTimeWaitOverflow", "+" + itoa(b.moved),
			"closed connections that skipped TIME_WAIT in the window"})
	}
	if b.overflowed > 0 {
		ev = append(ev, Evidence{"TcpExt.TCPTimeWaitOverflow", itoa(b.overflowed),
			"closed connections that skipped TIME_WAIT since the namespace was " +
				"made, for want of an entry or (rarely) of memory; not refused " +
				"or lost connections, and not logged"})
	}
	return ev
}

// enough is what 60 s of closing need and what has overflowed, twice what is there, and not less
// than the kernel's default.
func (b buckets) enough() int64 {
	need := max(2*min(b.used, math.MaxInt32), b.used+min(b.overflowed, 65536), b.entries/2)
	if b.moved > 0 && b.window >= time.Second {
		need = max(need, b.used+int64(float64(b.moved)*timeWaitSeconds/b.window.Seconds()))
	}
	return min(max(need, 4096), math.MaxInt32)
}
