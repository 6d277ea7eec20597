package limit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const EphemeralPorts ID = "ephemeral-ports"

var _ = register(Limit{
	ID:      EphemeralPorts,
	Title:   "local ports for outbound connections",
	Measure: Held,
	Scope:   Peer,
	Bounds:  Flows{Outbound, Held},
	Doc: "An outbound connection needs a local port that no other connection of the same " +
		"source address to the same destination " +
		"address and port uses. connect() chooses it from `ip_local_port_range`. When " +
		"none is left it fails with EADDRNOTAVAIL, " +
		"\"Cannot assign requested address\", before any packet is sent and without " +
		"any counter. Another destination, or another source address, has a full set " +
		"of ports of its own.",
	Formula: "held = ports in ip_local_port_range - reserved ports - ports held by any " +
		"bind() or listener; for each (source address, destination address, " +
		"destination port)",
	Myths: []Myth{
		{"a host can open only 28,232 (or 64 k) outbound connections",
			"the ceiling counts for each source address and destination; two " +
				"destinations have twice as many",
			"net/ipv4/inet_hashtables.c __inet_hash_connect"},
		{"connect() can use only half of the range",
			"since about Linux 4.6 it takes the parity of the low end first and the " +
				"other half after that; all ports are usable, but above half " +
				"each connect() first searches the full half in vain, a step " +
				"from about 20 us to 600 us and more",
			"net/ipv4/inet_hashtables.c __inet_hash_connect, 1580ab63fc9a"},
		{"only connections use up ports",
			"one bind() or listener on a port of the range takes it away from " +
				"connect() to every destination",
			"net/ipv4/inet_hashtables.c __inet_hash_connect (tb->fastreuse >= 0)"},
		{"widening the range to 1024-65535 is harmless",
			"a client connection may then take the port of a server that is just " +
				"restarting, which fails with EADDRINUSE; reserve the ports of " +
				"servers first",
			"net/ipv4/inet_connection_sock.c inet_csk_bind_conflict"},
	},
	Knobs: []string{
		"net.ipv4.ip_local_port_range", "net.ipv4.ip_local_port_step_width",
		"net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
		"net.ipv4.ip_autobind_reuse", "IP_BIND_ADDRESS_NO_PORT", "IP_LOCAL_PORT_RANGE",
		"net.ipv4.tcp_syn_retries", "net.ipv4.tcp_syn_linear_timeouts",
	},
	Signs: []Sign{
		{
			Text:  "cannot assign requested address",
			Errno: "EADDRNOTAVAIL",
			Call:  "connect",
			Means: "no local port was free for this source address and destination " +
				"(or bind() was given an address that this host does not have)",
			Look: "maxconn check --limit ephemeral-ports --limit time-wait",
		},
		{
			Text:  "address already in use",
			Errno: "EADDRINUSE",
			Call:  "bind",
			Means: "for a server: something holds its port, another listener, or " +
				"an outbound connection that took it from " +
				"ip_local_port_range; for bind(address, 0): no port is free, " +
				"for without IP_BIND_ADDRESS_NO_PORT one set of ports serves " +
				"all destinations",
			Look: "ss -tanp 'sport = :PORT'; maxconn check --limit ephemeral-ports",
		},
	},
	Sources: []string{
		"net/ipv4/inet_hashtables.c __inet_hash_connect (4.6-6.18)",
		"net/ipv4/inet_connection_sock.c inet_csk_find_open_port (4.6-6.18)",
	},
	Needs: append([]host.Fact{
		host.All(host.OutboundKind), host.All(host.SourceKind), host.All(host.BinderKind),
		host.All(host.ListenerKind), host.All(host.AddressKind), activeOpens,
	}, slices.Concat(twReuseNeeds, poolNeeds, attemptNeeds)...),
	Details: []host.Fact{host.All(host.BinderKind), host.All(host.AddressKind),
		unprivilegedPort},
	Decides:   Flows{Direction: Outbound},
	SoleErrno: "EADDRNOTAVAIL",
	Gauges:    ephemeralGauges,
})

func ephemeralGauges(r *host.Reader, w Workload) []Gauge {
	p := portPool(r)
	if r.Err() != nil {
		return nil
	}
	t := readTWReuse(r)
	gauges := append([]Gauge{anyDestination(r, p)}, servicesInRange(r, p)...)
	for _, row := range r.Table(host.OutboundKind) {
		gauges = append(gauges, oneDestination(r, p, t, row))
	}
	uses := usesOf(r)
	for _, row := range r.Table(host.SourceKind) {
		use := uses[row.Name()]
		if g, ok := boundBeforeConnect(p, row, use); ok {
			gauges = append(gauges, g)
		} else if g, ok := noneToBind(p, row, use.largest); ok {
			gauges = append(gauges, g)
		}
	}
	return gauges
}

// anyDestination is the ceiling towards a destination that has no connections yet.
func anyDestination(r *host.Reader, p pool) Gauge {
	g := Gauge{
		Subject: anyPeer, Bounds: Outbound,
		Ceiling: p.usable, AtMost: !p.boundListed, Doubt: !p.boundListed,
		Steps: p.steps(), Unseen: p.unseen(),
		Owner: "net.ipv4.ip_local_port_range", Lift: p.lift,
	}
	if p.size == 0 || p.usable*2 > p.size {
		return g
	}
	g.Notice, g.Harms, g.Refusing = true, p.usable*10 <= p.size, p.usable == 0
	cause, back := lostPorts(r, p)
	g.Cause, g.Remedies = cause, append([]Remedy{back}, p.wider(p.lost())...)
	if g.Harms {
		g.Enough = p.lost()
	}
	g.Evidence = poolEvidence(p)
	if b, _ := largestBinder(r); p.bound > p.reserved && p.bound >= p.listening {
		g.Subject.PID, g.Subject.Process = b.pid, b.process
	}
	return g
}

func poolEvidence(p pool) []Evidence {
	return []Evidence{
		{p.rangeName(), itoa(p.low) + " " + itoa(p.high),
			plural(p.size, "port")},
		{"net.ipv4.ip_local_reserved_ports", plural(p.reserved, "port") + " of the range",
			"connect() skips them"},
		{"sock_diag", itoa(p.held), "further ports held by listeners (" +
			figure.Count(p.listening) + ") and bound sockets (" +
			figure.Count(p.bound) + ")"},
	}
}

// binder is a process with sockets that are bound and nothing else.
type binder struct {
	process string
	pid     int64
}

// largestBinder is the process that holds most ports by bind() alone, and how many.
func largestBinder(r *host.Reader) (b binder, most int64) {
	for _, row := range r.Rows(host.BinderKind) {
		ports, err := host.ParsePorts(row.Text("ports"))
		if n := ports.Len(); err == nil && n > most {
			if most, b.process = n, row.Text("process"); row.Text("several") == "yes" {
				b.process = "several processes"
			}
			b.pid, _ = host.Row{Fields: host.Fields{{Name: "pid",
				Value: row.Name()}}}.Int("pid")
		}
	}
	return b, most
}

// oneDestination is the ceiling of a source address to a destination that has connections now.
func oneDestination(r *host.Reader, p pool, t twReuse, row host.Row) Gauge {
	p = p.of(row)
	pid, _ := row.Int("pid")
	source, destination, _ := strings.Cut(row.Name(), "->")
	ranged := row.Count("ranged")
	waiting := min(row.Count("TIME_WAIT"), ranged)
	g := Gauge{
		Subject: Subject{
			Kind:        Peer,
			Name:        source + " -> " + destination,
			Source:      source,
			Destination: destination,
			Process:     row.Text("process"),
			PID:         pid,
		},
		Bounds: Outbound, Ceiling: p.usable, Used: ranged,
		AtMost: !p.boundListed || mayShare(r, source),
		Steps:  p.steps(), Unseen: p.unseen(), Owner: p.rangeName(),
		Lift: p.lift,
	}
	if row.Text("band") == "mixed" {
		g.AtMost, g.Why = true, "some sockets have a port range of their own"
	}
	if p.band {
		g.Lift = p.ownRange
	}
	state := t.stateOf(r, p, row)
	_, rangedKnown := row.Int("ranged")
	g.Doubt = g.AtMost
	if ports, bound := t.bindChose(r, p, source); bound && !rangedKnown {
		g.AtMost, g.Doubt = true, true // are the ports those of other destinations?
	} else if bound && ports > ranged {
		g.shareOut(p, ports-ranged)
		return g // the gauge of all destinations of the address explains this one
	}
	if mostlyTimeWait(row) && state != twTaken || mostlyFinWait(p, row) {
		g.Near = neverNear // the limits time-wait and fin-wait explain this one
		return g
	}
	if reusable, known := row.Int("reusable"); known {
		waiting = min(waiting, reusable)
	}
	if state == twTaken && waiting > 0 { // connect() takes these over
		g.Used = ranged - waiting
		g.Steps = append(g.Steps, Step{
			Label: "in use: sockets on such ports, less those in TIME_WAIT that " +
				"connect() may take over",
			Sum:   itoa(ranged) + " - " + itoa(waiting),
			Value: g.Used,
			Unit:  "ports",
			How:   Computed,
		})
	}
	g.Refusing = g.Full() && g.Used > 0
	if g.Notice = g.Used*2 > p.usable; !g.Notice {
		return g
	}
	// Above half each connect() first searches the full half of one parity in vain
	// (inet_hashtables.c __inet_hash_connect, since about 4.6): 20 to 40 times the CPU time.
	g.Harms = opening(r, row)
	held := portHolders{row}
	g.Cause = held.cause(r, p, g.Used, state == twTaken)
	g.Evidence = append(poolEvidence(p), stateEvidence(row)...)
	if g.IsNear() && !held.stuck() {
		g.Enough = g.Used + max(g.Used/4, 1)
		if p.usable*10 <= p.size {
			g.Enough = max(g.Enough, p.lost())
		}
	}
	if g.Harms && !held.stuck() {
		g.Enough = max(g.Enough, 2*g.Used)
	}
	g.Remedies = held.remedies(r, p, t, state, cmp.Or(g.Enough, 2*g.Used))
	return g
}

// opening says whether connections are being opened: to this destination, or in the time watched
// from this namespace.
func opening(r *host.Reader, row host.Row) bool {
	moved, _ := r.Moved(activeOpens)
	return moved > 0 || row.Count("SYN_SENT") > 0
}

var activeOpens = host.Counter("Tcp.ActiveOpens")

// shareOut takes off the ports that other destinations of the address use: bind() chose all
// of them before connect(), and so none serves two destinations.
func (g *Gauge) shareOut(p pool, others int64) {
	g.Ceiling, g.Near = max(p.usable-others, 0), neverNear
	g.Lift = func(need int64) []Remedy { return p.lift(min(need, most) + others) }
	g.Steps = append(g.Steps,
		Step{Label: "left to this destination: bind() chooses before connect() " +
			"(inferred), and other destinations of the address use the rest",
			Sum: itoa(p.usable) + " - " + itoa(others), Value: g.Ceiling, Unit: "ports",
			How: Computed})
}

// mostlyTimeWait says whether at least half the ports to a destination are held by TIME_WAIT.
func mostlyTimeWait(row host.Row) bool {
	return row.Count("TIME_WAIT")*2 >= row.Sockets() && row.Count("TIME_WAIT") > 0
}

// stateEvidence lists the states that a row's connections are in.
func stateEvidence(row host.Row) (out []Evidence) {
	for _, state := range host.States {
		if n := row.Count(state); n > 0 {
			out = append(out, Evidence{"sock_diag " + state, itoa(n),
				"connections " + row.Name()})
		}
	}
	return out
}
