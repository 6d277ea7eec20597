package limit

import (
	"math"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

const Orphans ID = "orphans"

var _ = register(Limit{
	ID:      Orphans,
	Title:   "connections that the application has closed and that are not finished",
	Measure: Held,
	Scope:   Host,
	Doc: "After close() the kernel still has to deliver what was written and to get the " +
		"peer's acknowledgement; until then the connection is an orphan: it belongs to " +
		"no process any more. " +
		"`tcp_max_orphans` is how many of them the whole host, all network namespaces " +
		"together, may have; one more stays (measured on 5.10 to 7.2). Above that a " +
		"connection that is closed is reset at once and what it had not yet delivered " +
		"is lost. " +
		"For an orphan whose peer has stalled, the count is doubled, and doubled again " +
		"after an ICMP error, so such orphans are reset from a quarter of the limit " +
		"on. TIME_WAIT sockets are no orphans.",
	Formula: "reset at close() when orphans > tcp_max_orphans; reset at a retransmission " +
		"when orphans * 2 or orphans * 4 > tcp_max_orphans; for the whole host",
	Myths: []Myth{
		{"TIME_WAIT sockets are orphans",
			"they are entries of another table (tcp_max_tw_buckets); orphans are " +
				"full sockets in FIN_WAIT_1, LAST_ACK and CLOSING, and in " +
				"FIN_WAIT_2 only with tcp_fin_timeout above 60 (measured: 70 " +
				"gives an orphan, 60 none)",
			"net/ipv4/tcp.c __tcp_close, net/ipv4/tcp_input.c tcp_rcv_state_process"},
		{"below tcp_max_orphans nothing is reset",
			"an orphan whose peer has not answered or opened its window for 4 " +
				"minutes counts twice, with an ICMP error four times: it is " +
				"reset when half or a quarter of the limit is reached",
			"net/ipv4/tcp_timer.c tcp_out_of_resources (shift)"},
		{"TCPAbortOnMemory means that memory was short",
			"the counter and the check are the same for too many orphans and for " +
				"tcp_mem exceeded; the log line tells them apart",
			"net/ipv4/tcp.c tcp_check_oom"},
		{"an orphan costs 64 KB",
			"that is the worst case with a full send buffer; an orphan with " +
				"nothing to send costs about " + socketSize,
			"Documentation/networking/ip-sysctl.rst"},
	},
	Knobs: []string{
		"net.ipv4.tcp_max_orphans", "net.ipv4.tcp_orphan_retries",
		"net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_retries2",
	},
	Signs: []Sign{
		{
			Text: "TCP: too many orphaned sockets",
			Means: "more connections that applications have closed are unfinished " +
				"than net.ipv4.tcp_max_orphans allows, with stalled ones " +
				"counted two or four times; the one concerned was reset",
			Look: "maxconn check --limit orphans, on the host itself",
		},
		{
			Text: "connections aborted due to memory pressure",
			Means: "netstat -s: TcpExt TCPAbortOnMemory, closed connections that " +
				"were reset because of too many orphans or because TCP buffers " +
				"exceeded tcp_mem",
			Look: "maxconn check --limit orphans --limit tcp-memory",
		},
	},
	Sources: []string{
		"net/ipv4/tcp.c tcp_check_oom, __tcp_close (4.4-6.18)",
		"net/ipv4/tcp_timer.c tcp_out_of_resources (4.4-6.18)", "net/ipv4/tcp.c " +
			"tcp_too_many_orphans (5.16-6.18)",
	},
	Needs: []host.Fact{
		host.Sysctl("net.ipv4.tcp_max_orphans"), host.Sockstat("TCP.orphan"),
		host.Counter("TcpExt.TCPAbortOnMemory"),
		host.Sysctl("net.ipv4.tcp_mem"), host.Sockstat("TCP.mem"),
		host.Sysctl("net.ipv4.tcp_fin_timeout"), host.Sysctl("net.ipv4.tcp_orphan_retries"),
	},
	Details: []host.Fact{host.Sysctl("net.ipv4.tcp_fin_timeout"),
		host.Sysctl("net.ipv4.tcp_orphan_retries")},
	Refusals: []host.Fact{host.Counter("TcpExt.TCPAbortOnMemory")}, RefusalsShared: true,
	Gauges: orphanGauges,
})

// orphansNear is where to warn: from half of the limit on, orphans whose peer has stalled
// are reset (shift 1). From a quarter on it is those that had an ICMP error too (shift 2),
// whose peer is most likely gone: worth a line, no more. Monitors warn at a quarter and a
// half (netdata, tcp_orphans.conf).
const orphansNear = 0.5

func orphanGauges(r *host.Reader, _ Workload) []Gauge {
	limit, used := r.Int(host.Sysctl("net.ipv4.tcp_max_orphans")),
		r.Int(host.Sockstat("TCP.orphan"))
	if r.Err() != nil {
		return nil
	}
	limit = max(limit, 0) // compared as a signed number: below 0 is as good as 0
	// Bounds stays empty: these connections are closed already.
	g := Gauge{
		Subject: thisHost,
		Unit:    "orphans",
		Ceiling: limit,
		Used:    settled(used, limit),
		Near:    orphansNear,
		Owner:   "net.ipv4.tcp_max_orphans",
		Steps:   orphanSteps(limit, used),
	}
	counter := host.Counter("TcpExt.TCPAbortOnMemory")
	if !r.Has(counter) {
		g.Unseen = []host.Missing{{Fact: counter, Why: unreadable(r, counter)}}
	}
	if used*4 < limit {
		return []Gauge{g}
	}
	reset, _ := r.Moved(counter)
	if !buffersFull(r) {
		g.Refused = max(reset, 0)
	}
	g.Refusing = used > limit || g.Refused > 0
	g.Harms, g.Notice = limit == 0, true
	g.Cause = orphanCause(limit, used, g.Refused)
	g.Evidence = orphanEvidence(r, used, reset)
	g.Remedies = orphanRemedies(limit, used)
	if g.Refusing || g.Harms || g.IsNear() {
		g.Enough, g.Lift = max(5*min(used, math.MaxInt32), 4096),
			closedLift("net.ipv4.tcp_max_orphans", limit, 4096,
				"each orphan takes 2.4 "+
					"KB of kernel memory, and up to 64 KB with a full "+
					"send buffer")
	}
	return []Gauge{g}
}

// buffersFull says whether TCP buffers exceed tcp_mem, the other reason for TCPAbortOnMemory.
func buffersFull(r *host.Reader) bool {
	pages, ok := r.Maybe(host.Sockstat("TCP.mem"))
	thresholds := strings.Fields(r.Optional(host.Sysctl("net.ipv4.tcp_mem")))
	if !ok || len(thresholds) != 3 {
		return false
	}
	most, err := strconv.ParseInt(thresholds[2], 10, 64)
	return err == nil && pages > most
}

func orphanSteps(limit, used int64) []Step {
	return []Step{
		{
			Label: "orphans that the host may have",
			Value: limit,
			Unit:  "connections",
			How:   Read,
			From:  "net.ipv4.tcp_max_orphans",
		},
		{
			Label: "from here on an orphan is reset whose peer has stalled and " +
				"which had an ICMP error",
			Sum:   itoa(limit) + " / 4",
			Value: limit / 4,
			Unit:  "connections",
			How:   Computed,
		},
		{
			Label: "orphans of the host now" + unsettled(used, limit),
			Value: settled(used, limit),
			Unit:  "connections",
			How:   Read,
			From:  "/proc/net/sockstat TCP orphan",
		},
	}
}

func orphanCause(limit, used, reset int64) string {
	setting := "net.ipv4.tcp_max_orphans = " + itoa(limit)
	switch {
	case limit == 0:
		return setting +
			" resets every connection that is closed before the peer has " +
			"acknowledged all"
	case used > limit:
		return plural(used, "connection") +
			" that applications have closed are not finished, more than " + setting +
			": each further one is " +
			"reset at close() and what it has not delivered is lost"
	case reset > 0:
		return plural(reset, "closed connection") + " were reset in the window: " +
			figure.Count(used) + " orphans are too many for " + setting +
			", where those with a " +
			"stalled peer count two or four times"
	case used*2 >= limit:
		return figure.Count(used) +
			" connections that applications have closed are not finished, half of " +
			setting + " or more: those whose " +
			"peer has stalled count twice and are reset"
	}
	return figure.Count(used) +
		" connections that applications have closed are not finished, a quarter of " +
		setting + " or more: those whose " +
		"peer has stalled and that had an ICMP error count four times and are reset"
}

func orphanEvidence(r *host.Reader, used, reset int64) []Evidence {
	ev := []Evidence{{"sockstat TCP.orphan", itoa(used),
		"of the whole host, all network namespaces together"}}
	if reset > 0 {
		ev = append(ev, Evidence{"TcpExt.TCPAbortOnMemory", "+" + itoa(reset),
			"closed connections of this network namespace that were reset in the " +
				"window, for too many orphans or for TCP buffers above tcp_mem"})
	}
	if n, ok := r.Maybe(host.Counter("TcpExt.TCPAbortOnMemory")); ok && n > 0 {
		ev = append(ev, Evidence{"TcpExt.TCPAbortOnMemory", itoa(n),
			"the same since this network namespace was made; other namespaces " +
				"count their own"})
	}
	if buffersFull(r) {
		ev = append(ev, Evidence{"sockstat TCP.mem", "above net.ipv4.tcp_mem",
			"TCP buffers are over their limit, which resets closed connections " +
				"too: see tcp-memory"})
	}
	if n, ok := r.Maybe(host.Sysctl("net.ipv4.tcp_orphan_retries")); ok {
		ev = append(ev, Evidence{"net.ipv4.tcp_orphan_retries", itoa(n),
			"how often an orphan sends again before it is given up; 0 means 8"})
	}
	if n, ok := r.Maybe(host.Sysctl("net.ipv4.tcp_fin_timeout")); ok && n > timeWaitSeconds {
		ev = append(ev, Evidence{"net.ipv4.tcp_fin_timeout", itoa(n),
			"above 60 closed connections in FIN_WAIT_2 are orphans for " +
				itoa(n-timeWaitSeconds) + " s; the default of " +
				knob.Usual("net.ipv4.tcp_fin_timeout") + " makes none"})
	}
	return ev
}

func orphanRemedies(limit, used int64) []Remedy {
	// Five times as many keep the use below the quarter from which on stalled ones are reset.
	want := min(roundUp(max(5*min(used, math.MaxInt32), 4096)), math.MaxInt32)
	out := []Remedy{}
	if want > limit {
		out = append(out, Remedy{Kind: BySetting, Setting: "net.ipv4.tcp_max_orphans",
			From: itoa(limit), To: itoa(want), TakesEffect: Now,
			Text: "allow more, on the host itself; each takes " + socketSize +
				" of kernel memory, and up to 64 KB with a full send buffer"})
	}
	return append(out,
		Remedy{
			Kind:    Live,
			Setting: "ss -tn state fin-wait-1 state last-ack state closing",
			Text: "see which peers do not acknowledge: unreachable ones, or " +
				"ones that read nothing",
			TakesEffect: Now,
		},
		Remedy{
			Kind: ByApplication,
			Text: "before close(), wait until the peer has read all " +
				"(shutdown(), then read() until 0, with a timeout): a " +
				"connection that is finished leaves no orphan",
			TakesEffect: AtStart,
		},
	)
}
