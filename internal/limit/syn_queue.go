package limit

import (
	"github.com/maxconn/maxconn/internal/host"

	"github.com/maxconn/maxconn/internal/figure"
)

const SYNQueue ID = "syn-queue"

var _ = register(Limit{
	ID:      SYNQueue,
	Title:   "half-open connections of a listener",
	Measure: Burst,
	Scope:   Listener,
	Bounds:  Flows{Inbound, Burst},
	Doc: "Between the SYN and the last ACK of the handshake a connection is half-open " +
		"(SYN_RECV) and takes a place in the listener's SYN queue. " +
		"Since Linux 4.4 that queue has the same limit as the accept queue: the " +
		"smaller of the backlog argument of listen() and net.core.somaxconn. " +
		"When it is full, the kernel answers further SYNs with SYN cookies " +
		"(`tcp_syncookies` = 1): connections still get through, but without window " +
		"scaling and SACK unless both ends use timestamps. " +
		"With `tcp_syncookies` = 0 further SYNs are dropped in silence, and " +
		"`tcp_max_syn_backlog` sets a second, often lower, ceiling.",
	Formula: "burst = min(backlog, somaxconn) + 1 (" + oneMore.Before() +
		": no + 1); with tcp_syncookies=0 also at most tcp_max_syn_backlog - " +
		"tcp_max_syn_backlog/4 + 1; for each listening socket",
	Myths: []Myth{
		{"net.ipv4.tcp_max_syn_backlog is the size of the SYN queue",
			"since Linux 4.4 the backlog of the listener is; tcp_max_syn_backlog " +
				"acts only with tcp_syncookies=0 (measured: with cookies on " +
				"and a value of 16 a listener held 300 half-open connections)",
			"net/ipv4/tcp_input.c tcp_conn_request; ef547f2ac16b"},
		{"\"possible SYN flooding\" in the log means an attack",
			"it means that a SYN queue was full once; usually the backlog is too " +
				"small for a burst. It is logged once in the life of a listener",
			"net/ipv4/tcp_input.c tcp_syn_flood_action"},
		{"SYN cookies make room for more connections",
			"they stand in for the SYN queue only; a full accept queue drops SYNs " +
				"all the same, with and without cookies",
			"net/ipv4/tcp_input.c tcp_conn_request (sk_acceptq_is_full), 5ea8ea2cb7f1"},
		{"SYN cookies should be off on a busy server",
			"with tcp_syncookies=1 cookies are sent only while the queue is full; " +
				"with 0 the same SYNs are dropped, and tcp_max_syn_backlog " +
				"becomes a second ceiling",
			"net/ipv4/tcp_input.c tcp_conn_request, tcp_syn_flood_action"},
	},
	Knobs: []string{
		"net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_syncookies",
		"net.ipv4.tcp_synack_retries", "net.ipv4.tcp_syn_retries",
		"net.ipv4.tcp_syn_linear_timeouts", "net.core.somaxconn", "TCP_DEFER_ACCEPT",
	},
	Signs: []Sign{
		{
			Text: "possible SYN flooding on port…sending cookies",
			Means: "the SYN queue of the listener on that port was full and " +
				"tcp_syncookies is 1: connections still get through. It " +
				"usually means that the backlog is too small for a burst; it " +
				"is logged once in the life of a listener",
			Look: "maxconn check --limit syn-queue --for 10s",
		},
		{
			Text: "possible SYN flooding on port…dropping request",
			Means: "the SYN queue of the listener on that port was full and " +
				"tcp_syncookies is 0: SYNs are dropped. It is logged once in " +
				"the life of a listener",
			Look: "maxconn check --limit syn-queue --for 10s",
		},
		{
			Text: "possible SYN flooding on port…",
			Means: "the SYN queue of the listener on that port was full; usually " +
				"its backlog is too small for a burst, sometimes peers never " +
				"answer. \"Sending cookies\": connections get through; " +
				"\"Dropping request\": SYNs are dropped",
			Look: "maxconn check --limit syn-queue --for 10s",
		},
		{
			Text: "SYNs to LISTEN sockets dropped",
			Means: "netstat -s: TcpExt ListenDrops, all SYNs and last ACKs dropped " +
				"at listeners. Together with \"times the listen queue of a " +
				"socket overflowed\" the accept queue was full; alone, the SYN " +
				"queue was (tcp_syncookies=0), or memory or a route was missing",
			Look: "maxconn check --for 10s",
		},
		{
			Text: "SYN cookies sent",
			Means: "netstat -s: TcpExt SyncookiesSent, SYNs that met a full SYN " +
				"queue and were answered with a cookie (with tcp_syncookies=2: " +
				"every SYN); nothing was dropped",
			Look: "maxconn check --limit syn-queue --for 10s",
		},
		{
			Text: "TCPReqQFullDoCookies",
			Means: "netstat -s: SYNs that met a full SYN queue and were answered " +
				"with a cookie (with tcp_syncookies=2: every SYN); nothing was " +
				"dropped",
			Look: "maxconn check --limit syn-queue --for 10s",
		},
		{
			Text: "TCPReqQFullDrop",
			Means: "netstat -s: SYNs that met a full SYN queue and were dropped, " +
				"because tcp_syncookies is 0; the client sends its SYN again " +
				"after 1 s",
			Look: "maxconn check --limit syn-queue --for 10s",
		},
		{
			Text:  "connection timed out",
			Errno: "ETIMEDOUT",
			Call:  "connect",
			Means: "the SYN was never answered: a full SYN queue drops it in " +
				"silence only with tcp_syncookies=0; a full accept queue, a " +
				"full conntrack table and a firewall do as well",
			Look: "maxconn check --for 10s, on the server",
		},
	},
	Sources: []string{
		"net/ipv4/tcp_input.c tcp_conn_request, tcp_syn_flood_action (4.4-6.18)",
		"include/net/inet_connection_sock.h inet_csk_reqsk_queue_is_full (4.4: " +
			"ef547f2ac16b; 6.13 and stable kernels: 3479c7549fb1)",
		"net/ipv4/inet_connection_sock.c reqsk_timer_handler (4.4-6.18)",
	},
	Needs: append([]host.Fact{
		host.System("kernel"), synCookies,
		host.Sysctl("net.ipv4.tcp_max_syn_backlog"), host.Sysctl("net.ipv4.tcp_timestamps"),
		host.Sysctl("net.core.somaxconn"), host.Counter("TcpExt.TCPReqQFullDoCookies"),
		host.Counter("TcpExt.TCPReqQFullDrop"), host.Counter("TcpExt.ListenDrops"),
		host.Counter("TcpExt.ListenOverflows"), host.Counter("TcpExt.SyncookiesRecv"),
		host.Counter("TcpExt.TCPDeferAcceptDrop"),
	}, groupNeeds...),
	Details: []host.Fact{host.Sysctl("net.core.somaxconn"),
		host.Sysctl("net.ipv4.tcp_timestamps"), host.Counter("TcpExt.SyncookiesRecv"),
		host.Counter("TcpExt.TCPDeferAcceptDrop")},
	Refusals: []host.Fact{host.Counter("TcpExt.TCPReqQFullDrop")},
	Silent:   true,
	Gauges:   synGauges,
})

func synGauges(r *host.Reader, _ Workload) []Gauge {
	f := readSynFacts(r)
	var gauges []Gauge
	reported := false
	groups := listenerGroups(r)
	for _, g := range groups {
		if missing := g.unknown(); len(missing) > 0 {
			gauges = append(gauges, blind(g.subject(), Inbound, missing...))
			continue
		}
		q := newSynGroup(f, g)
		q.alone = len(groups) == 1
		if !f.cookiesKnown { // the queue bounds what comes in where cookies are off
			gauges = append(gauges, blind(g.subject(), Inbound))
		}
		out := q.gauge(r)
		reported = reported || out.Refusing || out.Harms || out.Notice || q.acceptFull
		gauges = append(gauges, out)
	}
	if out, ok := synNamespace(f); ok && !reported {
		out.Evidence = synCounters(r, f)
		gauges = append(gauges, out)
	}
	return gauges
}

// synCount is a counter of the namespace: since it was made, and in the window.
type synCount struct {
	total, moved int64
	known        bool
}

func readSynCount(r *host.Reader, name string) (c synCount) {
	c.total, c.known = r.Maybe(host.Counter(name))
	c.moved, _ = r.Moved(host.Counter(name))
	return c
}

// oneMore is 3479c7549fb1: the queue holds one request more than the backlog. The stable releases
// are from their announcements, January and February 2025; measured with 5.10.223, 6.1.176 and
// 6.12.107.
var oneMore = host.Change{
	Since: host.V(6, 13),
	Stable: []host.Version{
		host.V(5, 4).At(290), host.V(5, 10).At(234), host.V(5, 15).At(177),
		host.V(6, 1).At(125), host.V(6, 6).At(72), host.V(6, 12).At(10),
	},
}

// synFacts is what all listeners of a namespace share.
type synFacts struct {
	cookies, max, somaxconn                int64
	cookiesKnown, maxKnown, somaxconnKnown bool
	windowed                               bool
	// the test is ">" (3479c7549fb1, 6.13) and not ">="
	oneMore                                         host.Answer
	doCookies, fullDrop, drops, overflows, deferred synCount
	unseen                                          []host.Missing
}

func readSynFacts(r *host.Reader) (f synFacts) {
	f.cookies, f.cookiesKnown = r.Maybe(synCookies)
	f.max, f.maxKnown = r.Maybe(host.Sysctl("net.ipv4.tcp_max_syn_backlog"))
	f.somaxconn, f.somaxconnKnown = r.Maybe(host.Sysctl("net.core.somaxconn"))
	f.windowed = windowed(r)
	f.oneMore = r.Kernel().Has(oneMore)
	f.doCookies, f.fullDrop = readSynCount(r, "TcpExt.TCPReqQFullDoCookies"),
		readSynCount(r, "TcpExt.TCPReqQFullDrop")
	f.drops, f.overflows = readSynCount(r, "TcpExt.ListenDrops"),
		readSynCount(r, "TcpExt.ListenOverflows")
	f.deferred = readSynCount(r, "TcpExt.TCPDeferAcceptDrop")
	miss := func(fact host.Fact, known bool) {
		if !known {
			f.unseen = append(f.unseen, notANumber(r, fact))
		}
	}
	miss(synCookies, f.cookiesKnown)
	if f.refuses() {
		miss(host.Sysctl("net.ipv4.tcp_max_syn_backlog"), f.maxKnown)
		miss(host.Counter("TcpExt.ListenDrops"), f.drops.known)
		miss(host.Counter("TcpExt.ListenOverflows"), f.overflows.known)
	} else {
		miss(host.Counter("TcpExt.TCPReqQFullDoCookies"), f.doCookies.known)
	}
	return f
}

// happened is a counter as far as it tells of now: in the window where there was one, else
// since the namespace was made.
func (f synFacts) happened(total, moved int64) bool {
	if f.windowed {
		return moved > 0
	}
	return total > 0
}

// cookiesSent says whether a SYN queue of the namespace was full and SYN cookies were sent.
func (f synFacts) cookiesSent() bool { return f.happened(f.doCookies.total, f.doCookies.moved) }

// refuses says whether a full SYN queue drops SYNs.
func (f synFacts) refuses() bool { return f.cookiesKnown && f.cookies == 0 }

// stores says whether the SYN queue is used at all.
func (f synFacts) stores() bool { return !f.cookiesKnown || f.cookies < 2 }

// lost is how many SYNs were dropped at SYN queues of the namespace. A queue that the
// backlog bounds counts them in TCPReqQFullDrop; drops by tcp_max_syn_backlog show only as
// ListenDrops that no full accept queue explains.
func (f synFacts) lost(byMax bool) (total, moved int64) {
	if f.fullDrop.known && (!byMax || !f.drops.known || !f.overflows.known) {
		return f.fullDrop.total, f.fullDrop.moved
	}
	if !f.drops.known || !f.overflows.known {
		return 0, 0
	}
	return max(0, f.drops.total-f.overflows.total), max(0, f.drops.moved-f.overflows.moved)
}

// admitted is how many half-open connections of unknown peers a listener takes with
// tcp_syncookies=0. The sysctl is an unchecked int, so it may be negative.
func (f synFacts) admitted() int64 { return max(0, f.max-f.max>>2+1) }

// synCounters are the counters of the namespace that speak of SYN queues. Zero is worth a
// line only where it tells something.
func synCounters(r *host.Reader, f synFacts) (ev []Evidence) {
	cookies := f.doCookies.total > 0
	for _, c := range []struct {
		name, meaning string
		zero          bool
	}{
		{"TCPReqQFullDoCookies",
			"SYNs that met a full SYN queue and were answered with a cookie, in " +
				"this namespace; not lost", false},
		{"SyncookiesRecv", "cookies that came back in an ACK: connections of real peers",
			cookies},
		{"TCPReqQFullDrop",
			"SYNs that met a SYN queue at the ceiling of its backlog and were " +
				"dropped, in this namespace; drops by tcp_max_syn_backlog are " +
				"not counted here", f.refuses()},
		{"ListenDrops", "all SYNs and ACKs dropped at listeners of this namespace, " +
			figure.Count(f.overflows.total) + " of them at a full accept queue " +
			"(ListenOverflows)", false},
		{"TCPDeferAcceptDrop",
			"ACKs held back by TCP_DEFER_ACCEPT: such connections stay half-open " +
				"until data comes, and take places in the SYN queue", false},
	} {
		n := readSynCount(r, "TcpExt."+c.name)
		if !n.known || (n.total == 0 && !c.zero) ||
			(c.name == "ListenDrops" && !f.overflows.known) {
			continue
		}
		value := itoa(n.total)
		if n.moved > 0 {
			value = figure.Count(n.total) + " (+" + figure.Count(n.moved) +
				" in the window)"
		}
		if n.total == 0 && c.name == "SyncookiesRecv" {
			c.meaning = "no cookie came back in an ACK: the peers that got one did " +
				"not answer"
		}
		ev = append(ev, Evidence{"TcpExt." + c.name, value, c.meaning})
	}
	if n, ok := r.Maybe(host.Sysctl("net.ipv4.tcp_timestamps")); ok && n == 0 && cookies {
		ev = append(ev, Evidence{"net.ipv4.tcp_timestamps", "0",
			"connections that come in by a cookie have no window scaling and no SACK"})
	}
	return ev
}

// synNamespace speaks for the namespace when a SYN queue was full and no listener can be named.
func synNamespace(f synFacts) (Gauge, bool) {
	g := Gauge{
		Subject: Subject{Kind: Netns, Name: "listeners of this namespace"}, Unbounded: true,
		Owner: "backlog of a listener",
		Remedies: []Remedy{{
			Kind:    Live,
			Setting: "maxconn check --for 10s",
			Text: "see which listener has half-open connections while the " +
				"counters move; the kernel log names its port once (\"possible " +
				"SYN flooding on port\")",
			TakesEffect: Now,
		}},
	}
	total, moved := f.lost(f.refuses())
	switch {
	case !f.stores():
		return g, false
	case f.mayDrop() && f.fullDrop.moved > 0:
		g.Refusing, g.Refused = true, f.fullDrop.moved
		g.Cause = "SYNs were dropped at a full SYN queue in the window; the listener " +
			"cannot be named"
	case f.mayDrop() && moved > 0:
		g.Harms, g.Refused = true, moved
		g.Cause = "SYNs were dropped in the window although no accept queue was full: " +
			"by tcp_max_syn_backlog while SYN cookies are off, or for lack of " +
			"memory or of a route; the listener cannot be named"
	case f.doCookies.moved > 0:
		g.Harms = true
		g.Cause = "a SYN queue was full in the window and SYN cookies were sent; it is " +
			"not full any more and the listener cannot be named"
	case f.windowed:
		return g, false
	case f.mayDrop() && total > 0:
		g.Notice = true
		g.Cause = "SYNs were dropped since the namespace was made although no accept " +
			"queue was full (" + figure.Count(total) +
			" of them); no SYN queue is full now"
	case f.doCookies.total > 0:
		g.Notice = true
		g.Cause = "SYNs met a full SYN queue since the namespace was made and were " +
			"answered with a cookie (" + figure.Count(f.doCookies.total) +
			" of them); none is full now"
	default:
		return g, false
	}
	return g, true
}

// notANumber says why a fact could not be used as a whole number.
func notANumber(r *host.Reader, f host.Fact) host.Missing {
	if why := r.Why(f); why != "" {
		return host.Missing{Fact: f, Why: why}
	}
	return host.Missing{Fact: f, Why: "its text is not a whole number"}
}
