package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const AcceptQueue ID = "accept-queue"

var _ = register(Limit{
	ID:      AcceptQueue,
	Title:   "connections that wait for accept()",
	Measure: Burst,
	Scope:   Listener,
	Bounds:  Flows{Inbound, Burst},
	Doc: "The kernel finishes the handshake and keeps the connection in the listener's " +
		"accept queue until the application calls accept(). " +
		"A full queue drops new SYNs and the last ACK of handshakes in silence; the " +
		"client sends its SYN again after 1 s, so the fault shows as connection times " +
		"of 1, 3 or 7 s (of 1 to 5 s from clients since Linux 6.5, see " +
		"tcp_syn_linear_timeouts). " +
		"The queue limit is the smaller of the backlog argument of listen() and " +
		"net.core.somaxconn at the time of the call. A larger queue takes longer " +
		"bursts; it does not help an application that does not accept.",
	Formula: "burst = min(backlog, somaxconn) + 1; for each listening socket",
	Myths: []Myth{
		{"raising net.core.somaxconn takes effect at once",
			"it is applied inside listen(): a listener keeps its limit until " +
				"listen() is called again on it",
			"net/socket.c __sys_listen_socket"},
		{"raising net.core.somaxconn helps any server",
			"it is only an upper bound: an application that asks for a backlog of " +
				"128 (Rust), 511 (nginx, Node, Redis) or 5 stays there",
			"net/socket.c __sys_listen_socket"},
		{"tcp_max_syn_backlog has to be raised together with somaxconn",
			"since Linux 4.4 the SYN queue is bounded by the same number as the " +
				"accept queue; tcp_max_syn_backlog acts only with tcp_syncookies=0",
			"net/ipv4/tcp_input.c tcp_conn_request"},
		{"ListenOverflows counts lost clients",
			"it counts every dropped SYN and ACK, retransmissions too",
			"net/ipv4/tcp_ipv4.c " +
				"tcp_v4_syn_recv_sock"},
		{"a server can hold only 65,535 connections on a port",
			"the port is the same for all of them; the client's address and port " +
				"tell them apart",
			"net/ipv4/inet_hashtables.c __inet_lookup_established"},
	},
	Knobs: []string{
		"net.core.somaxconn", "net.ipv4.tcp_abort_on_overflow",
		"net.ipv4.tcp_migrate_req", "backlog argument of listen()",
	},
	Signs: []Sign{
		{
			Text:  "connection timed out",
			Errno: "ETIMEDOUT",
			Call:  "connect",
			Means: "the SYN was never answered: a full accept queue drops it in " +
				"silence, and so do a full SYN queue, a full conntrack table " +
				"and a firewall",
			Look: "maxconn check --for 10s, on the server",
		},
		{
			Text:  "connection reset by peer",
			Errno: "ECONNRESET",
			Call:  "read",
			Means: "connect() had succeeded, and the server reset the connection " +
				"before the application took it: its accept queue was full and " +
				"net.ipv4.tcp_abort_on_overflow is 1 (TcpExt.EmbryonicRsts and " +
				"ListenOverflows grow), or the listener, or its member of a " +
				"SO_REUSEPORT group, was closed with connections in the queue, " +
				"as in a restart (tcp_migrate_req=1 moves them to another " +
				"member). Most resets have other causes",
			Look: "on the server: sysctl net.ipv4.tcp_abort_on_overflow; nstat " +
				"-az TcpExtEmbryonicRsts TcpExtListenOverflows; maxconn check " +
				"--limit accept-queue --for 10s",
		},
		{
			Text: "times the listen queue of a socket overflowed",
			Means: "netstat -s: TcpExt ListenOverflows, dropped SYNs and ACKs at a " +
				"full accept queue, retransmissions counted again",
			Look: "maxconn check --for 10s",
		},
	},
	Sources: []string{
		"net/socket.c __sys_listen_socket (4.4-6.18)",
		"include/net/sock.h sk_acceptq_is_full (4.4-6.18)",
		"net/ipv4/tcp_input.c tcp_conn_request (4.10-6.18)",
	},
	Needs: append([]host.Fact{
		host.Sysctl("net.core.somaxconn"), host.All(host.ProcessKind),
		host.System("kernel"),
		host.Counter("TcpExt.ListenOverflows"), host.Counter("TcpExt.ListenDrops"),
	}, groupNeeds...),
	Details: []host.Fact{host.Sysctl("net.core.somaxconn"), host.System("kernel"),
		host.Counter("TcpExt.ListenDrops")},
	Decides:     Flows{Inbound, Burst},
	Refusals:    []host.Fact{host.Counter("TcpExt.ListenOverflows")},
	DropReasons: []string{"TCP_LISTEN_OVERFLOW"},
	Silent:      true,
	Follows:     []ID{ProcessFiles},
	Gauges:      acceptGauges,
})

func acceptGauges(r *host.Reader, w Workload) []Gauge {
	var gauges []Gauge
	attributed, drops := false, true
	for _, g := range listenerGroups(r) {
		gauge := blind(g.subject(), Inbound, g.unknown()...)
		if len(gauge.Unseen) == 0 {
			gauge = acceptGauge(r, g)
		}
		gauges = append(gauges, gauge)
		attributed = attributed || gauge.Refusing
		for _, m := range g.members {
			drops = drops && m.dropsKnown
		}
	}
	if n, _ := r.Moved(host.Counter("TcpExt.ListenOverflows")); n > 0 && !attributed {
		gauges = append(gauges, unattributed(n, drops))
	}
	return gauges
}

// unattributed speaks of overflows in the window that no listener shows: it is gone, or
// its queue had room again when it was looked at and the kernel keeps no counter for each listener.
func unattributed(overflows int64, drops bool) Gauge {
	why := "the listener is gone by now"
	if !drops {
		why = "this kernel counts no drops for each listener, and none was full when " +
			"they were looked at"
	}
	return Gauge{
		Subject:   Subject{Kind: Netns, Name: "a listener of this network namespace"},
		Unbounded: true, Refusing: true, Refused: overflows,
		Cause: "an accept queue overflowed in the window, and the listener is unknown: " +
			why,
		Owner: "listen() argument of the application or net.core.somaxconn",
		Evidence: []Evidence{{"TcpExt.ListenOverflows", "+" + itoa(overflows),
			"SYNs and ACKs dropped at full accept queues in the window, " +
				"retransmissions included"}},
		Remedies: []Remedy{{
			Kind:    Live,
			Setting: "maxconn check --for 60s --limit accept-queue",
			Text: "look again while it happens: the listener whose queue is " +
				"full is named",
			TakesEffect: Now,
		}},
	}
}

func acceptGauge(r *host.Reader, g group) Gauge {
	m := g.fullest()
	out := Gauge{
		Subject: g.subject(),
		Bounds:  Inbound,
		Ceiling: g.capacity(),
		Used:    g.queued(),
		Near:    neverNear,
		Refused: max(m.moved, 0),
	}
	if n := len(g.members); n > 1 {
		out.AtMost, out.Fits = true, spread(g.capacities())
	}
	if g.uneven(m) || (len(g.members) > 1 && m.moved > 0) {
		out.Ceiling, out.Used = m.capacity(), m.queue
		out.Subject.Process, out.Subject.PID = m.process, m.pid
	}
	somaxconn, known := r.Maybe(host.Sysctl("net.core.somaxconn"))
	out.Steps = acceptSteps(g, m, somaxconn, known)
	if !m.dropsKnown {
		out.Unseen = []host.Missing{{Fact: m.row.Fact,
			Why: "no counter of drops for each listener (sock_diag gives it since " +
				"Linux 4.7)"}}
	}
	out.Owner = backlogOwner(m, somaxconn, known)
	lift := newQueueLift(r, g.sharing(out, m))
	out.Lift = lift.to
	pace := acceptPace(r, g, m)
	overflowed, _ := r.Moved(host.Counter("TcpExt.ListenOverflows"))
	full := m.queue >= m.capacity()
	out.Refusing = (full && (m.refused() || pace != keepsUp)) || (m.moved > 0 && overflowed > 0)
	out.Harms = m.queue > 0 && (pace != keepsUp || m.oldest.AtLeast(stalled))
	switch {
	case out.Refusing || out.Harms:
		out.Cause = acceptCause(r, g, m, somaxconn, known, pace)
		out.Remedies = acceptRemedies(g, m, somaxconn, known, pace)
		if pace == keepsUp {
			out.Enough = 2*out.Used + max(m.moved, 0)
			if m.moved > 0 {
				out.Peak = 2*max(out.Ceiling, out.Used) + m.moved
				lift.dropped, lift.needs = m.moved, [2]int64{out.Enough, out.Peak}
				out.Lift = lift.to
			}
		}
	case out.Used*10 >= out.Ceiling*9 && m.queue > 0:
		out.Notice, out.Cause = true, nearFull(full)+"; "+backlogCause(m, somaxconn, known)
		out.Remedies = []Remedy{watchIt}
	case m.oftenDrops() && !m.window && everOverflowed(r):
		out.Harms, out.Enough = true, m.drops
		out.Cause = figure.Count(m.drops) + " SYNs or ACKs were dropped at this listener " +
			"since it was opened, and its process runs for less than " +
			string(host.AgeOf(m.running.Below())) + "; the queue is not full at " +
			"this instant; " + backlogCause(m, somaxconn, known)
		out.Remedies = append(acceptRemedies(g, m, somaxconn, known, keepsUp), watchIt)
	case m.drops > 0 && !m.window && everOverflowed(r):
		out.Notice, out.Cause = true,
			figure.Count(m.drops)+" SYNs or ACKs were dropped at this listener "+
				"since it was opened; the queue is not full now"
		out.Remedies = []Remedy{watchIt}
		if out.Decides = m.pid != 0 && m.running == ""; out.Decides {
			out.Unseen = append(out.Unseen, lacking(m.row, "running"))
		}
	default:
		return out
	}
	out.Evidence = acceptEvidence(r, m)
	return out
}

var watchIt = Remedy{
	Kind:        Live,
	Setting:     "maxconn check --for 10s",
	Text:        "see whether the counter still moves",
	TakesEffect: Now,
}

func nearFull(full bool) string {
	if full {
		return "the queue is full at this instant and has refused nobody that is known of"
	}
	return "the queue is nearly full at this instant, and is being served"
}

// everOverflowed says whether the namespace has had overflows, or whether that cannot be told.
func everOverflowed(r *host.Reader) bool {
	n, counted := r.Maybe(host.Counter("TcpExt.ListenOverflows"))
	return n > 0 || !counted
}

func acceptSteps(g group, m member, somaxconn int64, known bool) []Step {
	steps := []Step{{
		Label: "queue limit of the listener (sk_max_ack_backlog)",
		Value: m.limit,
		Unit:  "connections",
		How:   Read,
		From:  "sock_diag",
	}}
	if known {
		steps = append(steps, Step{
			Label: "cap at the next listen()",
			Value: somaxconn,
			Unit:  "connections",
			How:   Read,
			From:  "net.core.somaxconn",
		})
	}
	steps = append(steps, Step{
		Label: "connections that the queue holds",
		Sum:   itoa(m.limit) + " + 1",
		Value: m.capacity(),
		Unit:  "connections",
		How:   Computed,
	})
	if len(g.members) > 1 {
		steps = append(steps, Step{
			Label: "over the " + itoa(int64(len(g.members))) + " members of the " +
				"SO_REUSEPORT group, when the hash spreads evenly",
			Value: g.capacity(),
			Unit:  "connections",
			How:   Computed,
		}, spreadStep(g.capacities()))
	}
	return append(steps, Step{
		Label: "in the queue now",
		Value: m.queue,
		Unit:  "connections",
		How:   Read,
		From:  "sock_diag",
	})
}

// backlogOwner names who set the queue limit.
func backlogOwner(m member, somaxconn int64, known bool) string {
	switch {
	case !known:
		return "listen() argument of the application or net.core.somaxconn"
	case m.limit < somaxconn:
		return "listen() argument of the application"
	case m.limit == somaxconn:
		return "net.core.somaxconn"
	}
	return "net.core.somaxconn at the time of listen() (it is lower now)"
}

func acceptCause(r *host.Reader, g group, m member, somaxconn int64, known bool, pace pace) string {
	var parts []string
	if g.uneven(m) {
		parts = append(parts, "one slow member of a SO_REUSEPORT group of "+
			itoa(int64(len(g.members)))+", "+who(m.process, m.pid)+
			", has a full queue "+
			"while the others have room: the kernel chooses by hash, not by load")
	}
	wait := plural(m.queue, "connection") + " wait"
	if m.oldest.AtLeast(stalled) {
		wait += ", the oldest for more than " + string(m.oldest)
	}
	switch pace {
	case processStopped:
		parts = append(parts, "the process is stopped (state T) and does not accept")
	case processFrozen:
		parts = append(parts, "the process is frozen with its cgroup and does not accept")
	case outOfFiles:
		parts = append(parts, "accept() fails with EMFILE: "+who(m.process, m.pid)+
			" has no descriptor left ("+string(ProcessFiles)+" says why): "+wait)
	case notAtAll:
		parts = append(parts, "the application does not accept: "+wait+
			", the youngest for more than "+string(m.youngest))
	case tooSlow:
		parts = append(parts, "the application accepts too slowly, or not at all: "+wait)
	}
	parts = append(parts, backlogCause(m, somaxconn, known))
	if pace == keepsUp && m.queue > 0 && m.oldest.AtLeast(stalled) {
		parts = append(parts,
			"nothing of it was accepted yet, and the oldest connection has waited "+
				"for more than "+string(m.oldest))
	}
	return strings.Join(parts, "; ")
}

// backlogCause says where the queue limit comes from.
func backlogCause(m member, somaxconn int64, known bool) string {
	switch {
	case !known:
		return "the queue limit is " + figure.Count(m.limit)
	case m.limit < somaxconn:
		return "the application asked for a backlog of " + figure.Count(m.limit) +
			" (net.core.somaxconn is " + figure.Count(somaxconn) + " and does not " +
			"cap it)"
	case m.limit == somaxconn:
		return "net.core.somaxconn = " + figure.Count(somaxconn) +
			" cuts the backlog, the application asked for that or more"
	}
	return "net.core.somaxconn was at least " + figure.Count(m.limit) +
		" when the application called listen(), now it is " + figure.Count(somaxconn)
}

func acceptEvidence(r *host.Reader, m member) []Evidence {
	ev := []Evidence{{"sock_diag " + m.name(), itoa(m.queue) + " of " + itoa(m.capacity()),
		"connections wait for accept()"}}
	switch {
	case m.moved > 0:
		ev = append(ev, Evidence{"sock_diag " + m.name() + " drops",
			"+" + itoa(m.moved), "SYNs and ACKs dropped at this listener in the " +
				"window, retransmissions included"})
	case m.drops > 0:
		ev = append(ev, Evidence{"sock_diag " + m.name() + " drops", itoa(m.drops),
			"SYNs and ACKs dropped at this listener since it was opened, " +
				"retransmissions included"})
	}
	if m.oldest.AtLeast(stalled) && m.queue > 0 {
		ev = append(ev, Evidence{"tcp_info", "over " + string(m.oldest),
			"the longest wait for accept() in the queue"})
	}
	for _, name := range []string{"TcpExt.ListenOverflows", "TcpExt.ListenDrops"} {
		moved, _ := r.Moved(host.Counter(name))
		n, _ := r.Maybe(host.Counter(name))
		switch {
		case moved > 0:
			ev = append(ev, Evidence{name, "+" + itoa(moved),
				"of this network namespace in the window"})
		case !windowed(r) && n > 0:
			ev = append(ev, Evidence{name, itoa(n),
				"of this network namespace since it was made"})
		}
	}
	return ev
}
