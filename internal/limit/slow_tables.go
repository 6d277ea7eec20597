package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const SlowTables ID = "slow-tables"

var _ = register(Limit{
	ID:      SlowTables,
	Title:   "tables that get slower as they fill, and refuse no connection",
	Measure: Held,
	Scope:   Netns,
	Doc: "TCP finds its sockets in hash tables of a fixed number of buckets. They are never " +
		"full: the chains in the buckets get longer, and each connection costs more CPU " +
		"time. Measured on Linux 6.18, one CPU: connect() over loopback takes 8 us where " +
		"a bucket of the connection table has one socket, 14 us where it has 62, 89 us " +
		"where it has 1,000 (medians; about 0.08 us for each, a third of that where " +
		"caches are warm); bind() to the port of a listener looks at every connection " +
		"that was accepted there, 2 us with none and 0.3 ms with 7,500 (about 0.04 us " +
		"for each), while nobody else can bind to that port. A SO_REUSEPORT group finds " +
		"its member without a search, and holds at most 32,768: listen() on one more " +
		"fails with ENOMEM. Listeners of different addresses on one port share a chain " +
		"before about Linux 4.16, which has a table by port and address.",
	Formula: "sockets of a bucket = all sockets of the table / tcp_ehash_entries; a " +
		"SO_REUSEPORT group has at most 32,768 listeners",
	Myths: []Myth{
		{"the connection table bounds the number of connections",
			"its size is that of the index; a bucket takes any number of sockets",
			"net/ipv4/inet_hashtables.c inet_ehash_insert"},
		{"more SO_REUSEPORT listeners are always better",
			"each adds an accept queue of its own and nothing else; clients go to " +
				"them by a hash, and the group ends at 32,768",
			"net/core/sock_reuseport.c reuseport_grow"},
	},
	Knobs: []string{"net.ipv4.tcp_ehash_entries", "net.ipv4.tcp_child_ehash_entries",
		"thash_entries"},
	Signs: []Sign{{
		Text: "listen … cannot allocate memory",
		Means: "the SO_REUSEPORT group has 32,768 listeners already, or the kernel had " +
			"no memory for the queue",
		Look: "maxconn check --limit slow-tables; ss -ltn for that port",
	}},
	Sources: []string{
		"net/ipv4/inet_hashtables.c inet_ehash_insert, __inet_lookup_established " +
			"(4.4-6.18)",
		"net/ipv4/inet_connection_sock.c inet_csk_bind_conflict (4.4-6.18)",
		"net/core/sock_reuseport.c reuseport_grow (U16_MAX, doubled from 128; 4.6-6.18)",
	},
	Needs:   slowNeeds(),
	Details: slowNeeds(),
	Gauges:  slowGauges,
})

var ehashSize = host.Sysctl("net.ipv4.tcp_ehash_entries")

func slowNeeds() []host.Fact {
	return []host.Fact{ehashSize, host.Sockstat("TCP.alloc"), host.Sockstat("TCP.inuse"),
		host.Sockstat("TCP6.inuse"), host.Sockstat("TCP.tw"),
		host.All(host.ListenerKind), host.All(host.InboundKind)}
}

// From when on a table is worth a line, by the costs that Doc has: connect() at one and a tenth of
// its usual time, bind() at 10 ms, half of a group.
const (
	longChain     = 10
	manyOfOnePort = 250_000
	mostOfAGroup  = 1 << 15
	largeGroup    = mostOfAGroup / 2
)

func slowGauges(r *host.Reader, _ Workload) []Gauge {
	gauges := chainGauge(r)
	members := map[string]int64{}
	var names []string
	for _, row := range r.Rows(host.ListenerKind) {
		name, _, _ := strings.Cut(row.Name(), "~")
		if members[name]++; members[name] == 1 {
			names = append(names, name)
		}
	}
	for _, name := range names {
		if n := members[name]; n >= largeGroup {
			gauges = append(gauges, groupGauge(name, n))
		}
	}
	for _, row := range r.Rows(host.InboundKind) {
		if n := row.Sockets(); n >= manyOfOnePort {
			gauges = append(gauges, bindGauge(row.Name(), n))
		}
	}
	return gauges
}

// chainGauge is the table of connections: the host's where the size is negative, and then what is
// counted in other namespaces is there, too, but for their TIME_WAITs.
func chainGauge(r *host.Reader) []Gauge {
	if !r.Has(ehashSize) {
		return nil // before Linux 6.1, which shows it
	}
	size, _ := r.Maybe(ehashSize)
	timeWaits, _ := r.Maybe(host.Sockstat("TCP.tw"))
	sockets, known := r.Maybe(host.Sockstat("TCP.alloc"))
	g := Gauge{Subject: thisHost, Unbounded: true, Owner: "thash_entries= at boot, or memory"}
	if size > 0 {
		g.Subject = thisNetns
		g.Owner = "tcp_child_ehash_entries where the namespace was made"
		sockets, known = r.Maybe(host.Sockstat("TCP.inuse"))
		six, _ := r.Maybe(host.Sockstat("TCP6.inuse"))
		sockets += max(six, 0)
	}
	buckets := max(size, -size)
	if sockets = sockets + max(timeWaits, 0); !known || buckets <= 0 || sockets < 0 {
		return nil
	}
	chain := sockets / buckets
	g.Steps = []Step{
		{Label: "buckets of the connection table", Value: buckets, Unit: "buckets",
			How: Read, From: ehashSize.Name},
		{Label: "sockets that are known to be in it", Value: sockets, Unit: "sockets",
			How: Read, From: "/proc/net/sockstat"},
		{Label: "sockets of one bucket, on average", Sum: figure.Count(sockets) + " / " +
			figure.Count(buckets), Value: chain, Unit: "sockets", How: Computed},
	}
	if g.Notice = chain >= longChain; g.Notice {
		g.Cause = "a bucket of the connection table has " + plural(chain, "socket") +
			" on average: nothing is refused, and each connect() takes about " +
			figure.Count(chain*80) + " ns more (measured on Linux 6.18)"
		g.Remedies = chainRemedies(size > 0, sockets)
	}
	return []Gauge{g}
}

func chainRemedies(own bool, sockets int64) []Remedy {
	to := itoa(roundUp(min(sockets, 1<<24)))
	if own {
		return []Remedy{{Kind: BySetting, To: to,
			Setting: "net.ipv4.tcp_child_ehash_entries",
			Text: "in the namespace that makes this one, before it is made anew; 0 " +
				"shares the host's table", TakesEffect: AtStart}}
	}
	return []Remedy{{Kind: BySetting, Setting: "thash_entries", To: to,
		Text: "thash_entries=" + to + " on the kernel's command line; 8 bytes for each " +
			"bucket", TakesEffect: AtBoot}}
}

// groupGauge is of a SO_REUSEPORT group that nears its end.
func groupGauge(name string, n int64) Gauge {
	return Gauge{
		Subject: Subject{Kind: Listener, Name: name, Listener: name}, Unit: "listeners",
		Ceiling: mostOfAGroup, Used: n, Notice: true,
		Owner: "net/core/sock_reuseport.c reuseport_grow",
		Cause: "the SO_REUSEPORT group of " + name + " has " + figure.Count(n) + " of " +
			figure.Count(mostOfAGroup) + " listeners: listen() on one more than " +
			"these fails with ENOMEM",
		Steps: []Step{{Label: "listeners of one group", Value: mostOfAGroup,
			Unit: "listeners", How: Computed, Sum: "128 doubled while below 65,536"}},
		Remedies: []Remedy{{Kind: ByApplication, TakesEffect: AtStart,
			Text: "as many listeners as there are threads that call accept(), not " +
				"one for each task"}},
	}
}

// bindGauge is of a port with so many connections that a restart of its server shows it.
func bindGauge(name string, n int64) Gauge {
	return Gauge{
		Subject:   Subject{Kind: Listener, Name: name, Listener: name},
		Unbounded: true, Notice: true, Owner: "the number of connections",
		Cause: "bind() to the port of " + name + " looks at its " + figure.Count(n) +
			" connections, about " + figure.Count(n/25_000) + " ms of CPU time for " +
			"each socket that is bound there (0.04 us for each connection, measured " +
			"on Linux 6.18)",
		Steps: []Step{{Label: "connections that bind() looks at", Value: n,
			Unit: "connections", How: Read, From: "inbound " + name}},
		Remedies: []Remedy{{Kind: ByApplication, TakesEffect: AtStart,
			Text: "hand the listening sockets over at a restart (socket activation, " +
				"SCM_RIGHTS) instead of binding anew"}},
	}
}
