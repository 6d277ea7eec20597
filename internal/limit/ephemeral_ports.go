package limit

import (
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
			"since Linux 4.5 it takes the parity of the low end first and the " +
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
		"net/ipv4/inet_hashtables.c __inet_hash_connect (4.5-6.18)",
		"net/ipv4/inet_connection_sock.c inet_csk_find_open_port (4.5-6.18)",
	},
	Needs: append([]host.Fact{
		host.All(host.OutboundKind), host.All(host.SourceKind), host.All(host.BinderKind),
		host.All(host.ListenerKind), host.All(host.AddressKind),
	}, append(twReuseNeeds, poolNeeds...)...),
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
	for _, row := range r.Table(host.SourceKind) {
		if g, ok := boundBeforeConnect(r, p, row); ok {
			gauges = append(gauges, g)
		}
	}
	return gauges
}

// anyDestination is the ceiling towards a destination that has no connections yet.
func anyDestination(r *host.Reader, p pool) Gauge {
	g := Gauge{
		Subject: anyPeer, Bounds: Outbound,
		Ceiling: p.usable, AtMost: !p.boundListed, Steps: p.steps(), Unseen: p.unseen(),
		Owner: "net.ipv4.ip_local_port_range", Lift: p.lift,
	}
	if p.size == 0 || p.usable*2 > p.size {
		return g
	}
	g.Notice, g.Harms, g.Refusing = true, p.usable*10 <= p.size, p.usable == 0
	g.Cause, g.Remedies = lostPorts(r, p)
	g.Evidence = poolEvidence(p)
	if b, _ := largestBinder(r); p.bound > p.reserved && p.bound >= p.listening {
		g.Subject.PID, g.Subject.Process = b.pid, b.process
	}
	return g
}

// lostPorts says why a namespace has few ports although its range is wide, and what would
// give them back.
func lostPorts(r *host.Reader, p pool) (cause string, remedies []Remedy) {
	left := plural(p.usable, "port") + " of " + figure.Count(p.size) +
		" left for outbound connections"
	switch {
	case p.reserved >= p.bound && p.reserved >= p.listening:
		return "net.ipv4.ip_local_reserved_ports takes " + plural(p.reserved, "port") +
				" of the range: " + left, []Remedy{
				{
					Kind:    BySetting,
					Setting: "net.ipv4.ip_local_reserved_ports",
					Text: "reserve only the ports that servers need: " +
						plural(p.reserved, "port") + " of the range are " +
						"reserved",
					TakesEffect: Now,
				},
				widerRange(p),
			}
	case p.bound >= p.listening:
		most, sockets := largestBinder(r)
		whose := who(most.process, most.pid)
		if sockets < p.bound {
			whose = figure.Count(sockets) + " of them in " + whose
		}
		return plural(p.bound, "port") +
				" of the range are held by sockets that are bound and not " +
				"connected (" + whose + "): " + left, []Remedy{
				{
					Kind: ByApplication,
					Text: "close the bound sockets of " +
						who(most.process, most.pid) +
						" or set IP_BIND_ADDRESS_NO_PORT before " +
						"bind(), so that no port is held before connect()",
					TakesEffect: AtBind,
				},
				widerRange(p),
			}
	}
	return plural(p.listening, "port") + " of the range are held by listeners: " + left,
		[]Remedy{
			{
				Kind:        ByApplication,
				Text:        "listen on ports outside ip_local_port_range",
				TakesEffect: AtBind,
			},
			widerRange(p),
		}
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
			most, b.process = n, row.Text("process")
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
		Bounds: Outbound, Ceiling: p.usable, Used: ranged, AtMost: !p.boundListed,
		Steps: p.steps(), Unseen: p.unseen(), Owner: p.rangeName(),
		Lift: p.lift,
	}
	if row.Text("band") == "mixed" {
		g.AtMost, g.Why = true, "some sockets have a port range of their own"
	}
	if p.band {
		g.Lift = p.ownRange
	}
	state := t.stateOf(r, p, row)
	if ports, bound := t.bindChose(r, p, source); bound && ports > ranged {
		g.shareOut(p, ports-ranged)
		return g // the gauge of all destinations of the address explains this one
	}
	if mostlyTimeWait(row) && state != twTaken || mostlyFinWait(p, row) {
		g.Near = neverNear // the limits time-wait and fin-wait explain this one
		return g
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
	g.Notice = g.Used*2 > p.usable
	if !g.Notice {
		return g
	}
	g.Cause = destinationCause(r, p, row, g.Used, state == twTaken)
	g.Evidence = append(poolEvidence(p), stateEvidence(row)...)
	g.Remedies = portRemedies(r, p, t, state, row)
	if g.IsNear() {
		g.Enough = g.Used + g.Used/4
	}
	return g
}

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

func destinationCause(r *host.Reader, p pool, row host.Row, used int64, reused bool) string {
	holders := portHolders(row, reused)
	switch {
	case used >= p.usable && p.usable*2 <= p.size:
		lost, _ := lostPorts(r, p)
		return holders + " use all of what is left: " + lost
	case used >= p.usable:
		return holders + " use all " + plural(p.usable, "port") +
			" of the range towards this destination"
	}
	return holders + " use " + figure.Count(used) + " of " + plural(p.usable, "port") +
		"; above half of the range each connect() first searches the used half in vain"
}

// portHolders says in which states the connections to a destination are. TIME_WAIT does not
// count where connect() takes its ports over.
func portHolders(row host.Row, reused bool) string {
	words := []struct{ state, words string }{
		{"ESTABLISHED", "established connections"},
		{"SYN_SENT", "connections under way (SYN_SENT)"},
		{"CLOSE_WAIT",
			"connections that the peer has closed and the application has not " +
				"(CLOSE_WAIT)"},
		{"FIN_WAIT_2",
			"connections that the application has closed and the peer has not " +
				"(FIN_WAIT_2)"},
		{"TIME_WAIT", "connections in TIME_WAIT"},
	}
	var parts []string
	for _, w := range words {
		switch n := row.Count(w.state); {
		case reused && w.state == "TIME_WAIT":
		case n == row.Sockets():
			return w.words
		case n > 0:
			parts = append(parts, figure.Count(n)+" "+w.words)
		}
	}
	return strings.Join(parts, " and ")
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

// ownRange is what widens the range that the program gave its sockets.
func (p pool) ownRange(int64) []Remedy {
	return []Remedy{{
		Kind: ByApplication,
		Text: "give the sockets a wider IP_LOCAL_PORT_RANGE, or none: they have the " +
			plural(p.size, "port") + " from " + itoa(p.low) + " to " + itoa(p.high) +
			" of the namespace's range (HAProxy: source ADDRESS:LOW-HIGH)",
		TakesEffect: "at the next connect()",
	}}
}

func portRemedies(r *host.Reader, p pool, t twReuse, state twState, row host.Row) (out []Remedy) {
	if p.band {
		return p.ownRange(0)
	}
	if p.usable*2 <= p.size {
		_, lost := lostPorts(r, p)
		out = append(out, lost[0])
	}
	if p.size < 28232 { // narrower than the default: the first thing to fix
		out = append(out, widerRange(p))
	}
	if row.Count("FIN_WAIT_2")*2 > row.Sockets() {
		out = append(out, Remedy{
			Kind: ByTopology,
			Text: "have the peer close its end: until then, or until " +
				"tcp_fin_timeout, the port stays taken",
			TakesEffect: AtClose,
		})
	}
	out = append(out,
		Remedy{
			Kind: ByApplication,
			Text: "keep connections and use them again (a pool, HTTP " +
				"keep-alive): fewer connections to one destination",
			TakesEffect: AtStart,
		},
		Remedy{
			Kind: ByTopology,
			Text: "more source addresses (bind with " +
				"IP_BIND_ADDRESS_NO_PORT), or more destination addresses or " +
				"ports: each pair has " + plural(p.usable, "port") + " of its own",
			TakesEffect: AtConnect,
		},
	)
	if row.Count("TIME_WAIT") > 0 && state != twTaken {
		out = append(out, reuseRemedies(t, state)...)
	}
	if p.size >= 28232 && p.size < 65535-1024 {
		out = append(out, widerRange(p))
	}
	return out
}

// boundBeforeConnect is the ceiling of a source address whose program calls bind(address,
// 0) before connect() and so shares one set of ports over all destinations. sock_diag does
// not tell; the ports do: bind(0) takes the parity that connect() takes last
// (inet_csk_find_open_port), and no port serves two destinations.
func boundBeforeConnect(r *host.Reader, p pool, row host.Row) (Gauge, bool) {
	ports, _ := row.Int("ports")
	opposite, ok := row.Int("opposite")
	destinations := row.Count("destinations")
	half := (p.high - p.low + 1) / 2
	if !ok || ports < 8 || row.Count("shared") > 0 || opposite*20 < min(ports, half)*19 {
		return Gauge{}, false
	}
	if ports > half && destinations < 2 {
		return Gauge{}, false // both ways fill both halves in the end
	}
	g := Gauge{
		Subject: Subject{Kind: Source, Name: row.Name() + " -> all destinations",
			Source: row.Name()}, Bounds: Outbound,
		Ceiling: p.usable, Used: ports, AtMost: !p.boundListed, Steps: p.steps(),
		Unseen: p.unseen(), Owner: "bind() before connect() in the application",
		Notice: ports*2 > p.usable,
	}
	g.Subject.Process, g.Subject.PID = connectsFrom(r, row.Name())
	g.Refusing = g.Full()
	g.Cause = "the program binds before it connects, without IP_BIND_ADDRESS_NO_PORT: its " +
		plural(destinations, "destination") + " share one set of " + plural(p.usable,
		"port") +
		" (inferred: " + figure.Count(opposite) + " of " + figure.Count(ports) +
		" ports have the parity that bind(0) takes first, none serves two destinations)"
	g.Evidence = append(poolEvidence(p), Evidence{"sock_diag", itoa(ports),
		"distinct local ports of " + row.Name() + " in use"})
	g.Remedies = []Remedy{
		{
			Kind: ByApplication,
			Text: "set IP_BIND_ADDRESS_NO_PORT before bind(), or do not " +
				"bind at all: then each destination has all " + plural(p.usable,
				"port"),
			TakesEffect: AtConnect,
		},
		{
			Kind:        ByTopology,
			Text:        "more source addresses",
			TakesEffect: AtConnect,
		},
	}
	return g, true
}

// connectsFrom is the one process whose connections leave from an address, or none.
func connectsFrom(r *host.Reader, source string) (process string, pid int64) {
	for _, row := range r.Table(host.OutboundKind) {
		from, _, _ := strings.Cut(row.Name(), "->")
		switch p, known := row.Int("pid"); {
		case from != source || !known:
		case pid == 0:
			process, pid = row.Text("process"), p
		case p != pid:
			return "", 0
		}
	}
	return process, pid
}
