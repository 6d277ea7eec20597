package limit

import (
	"cmp"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// boundBeforeConnect is the ceiling of a source address whose program calls bind(address,
// 0) before connect() and so shares one set of ports over all destinations. sock_diag does
// not tell; the ports do: bind(0) takes the parity that connect() takes last
// (inet_csk_find_open_port), and no port serves two destinations.
func boundBeforeConnect(p pool, row host.Row, use sourceUse) (Gauge, bool) {
	ports, _ := row.Int("ports")
	opposite, ok := row.Int("opposite")
	shared, known := row.Int("shared")
	destinations := row.Count("destinations")
	half := (p.high - p.low + 1) / 2
	if !ok || !known || ports < 8 || shared > 0 || opposite*20 < min(ports, half)*19 {
		return Gauge{}, false
	}
	if ports > half && destinations < 2 {
		return Gauge{}, false // both ways fill both halves in the end
	}
	g := Gauge{
		Subject: Subject{Kind: Source, Name: row.Name() + " -> all destinations",
			Source: row.Name()}, Bounds: Outbound,
		Ceiling: p.usable, Used: ports, AtMost: !p.boundListed,
		Doubt: !p.boundListed, Steps: p.steps(),
		Unseen: p.unseen(), Owner: "bind() before connect() in the application",
		Notice: ports*2 > p.usable,
	}
	g.Subject.Process, g.Subject.PID = use.process, use.pid
	g.Refusing = g.Full()
	g.Cause = "the program binds before it connects, without IP_BIND_ADDRESS_NO_PORT: its " +
		plural(destinations, "destination") + " share one set of " + plural(p.usable,
		"port") +
		" (inferred: " + figure.Count(opposite) + " of " + figure.Count(ports) +
		" ports have the parity that bind(0) takes first, none serves two destinations)"
	g.Evidence = append(poolEvidence(p), Evidence{"sock_diag", itoa(ports),
		"distinct local ports of " + row.Name() + " in use"})
	if g.IsNear() {
		g.Enough = ports + max(ports/4, 1)
	}
	g.Lift = p.lift
	g.Remedies = bindLess(p, cmp.Or(g.Enough, 2*ports))
	return g, true
}

// bindLess leaves the choice of the port to connect(), or gives bind(0) need ports to choose from.
func bindLess(p pool, need int64) []Remedy {
	return append([]Remedy{
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
	}, p.wider(need)...)
}

// noneToBind speaks of an address of which every port is in use towards some destination:
// connect() goes on, because it may use a port once for each destination, but bind(address, 0)
// is refused (inet_csk_bind_conflict). That is a fault where some program does bind first: ports
// of the parity that connect() takes last are in use although no destination has half of them.
func noneToBind(p pool, row host.Row, largest int64) (Gauge, bool) {
	ports, _ := row.Int("ports")
	opposite, known := row.Int("opposite")
	if !known || p.usable < 8 || ports < p.usable || largest >= p.usable {
		return Gauge{}, false
	}
	bound := opposite > 0 && largest <= p.size/2
	g := Gauge{
		Subject: Subject{Kind: Source, Name: row.Name() + " -> all destinations",
			Source: row.Name()},
		Ceiling: p.usable, Used: ports, Near: neverNear, AtMost: !p.boundListed,
		Steps: p.steps(), Unseen: p.unseen(), Refusing: bound, Notice: true,
		Owner: "net.ipv4.ip_local_port_range",
		Cause: "each of the " + plural(p.usable, "port") + " is in use towards some of " +
			plural(row.Count("destinations"), "destination") + ": connect() goes on, " +
			"but bind() to port 0 before connect(), without " +
			"IP_BIND_ADDRESS_NO_PORT, finds none (EADDRINUSE)",
		Evidence: append(poolEvidence(p), Evidence{"sock_diag", itoa(ports),
			"distinct local ports of " + row.Name() + " in use"}),
	}
	if bound {
		g.Cause += "; some program does so (inferred: " + plural(opposite, "port") +
			" have the parity that bind(0) takes first, and no destination has half " +
			"of the range)"
		g.Enough, g.Lift = ports+max(ports/4, 1), p.lift
	}
	g.Remedies = bindLess(p, cmp.Or(g.Enough, 2*ports))
	return g, true
}

// sourceUse is what the connections from one address have in common.
type sourceUse struct {
	largest int64  // ports of the destination that has most of them
	process string // the one process whose they are
	pid     int64  // 0: none is known
	several bool
}

// usesOf goes through all connections once.
func usesOf(r *host.Reader) map[string]sourceUse {
	uses := map[string]sourceUse{}
	for _, row := range r.Table(host.OutboundKind) {
		from, _, _ := strings.Cut(row.Name(), "->")
		u := uses[from]
		u.largest = max(u.largest, row.Count("ranged"))
		switch pid, known := row.Int("pid"); {
		case !known:
		case u.pid == 0 && !u.several:
			u.process, u.pid = row.Text("process"), pid
		case pid != u.pid:
			u.process, u.pid, u.several = "", 0, true
		}
		uses[from] = u
	}
	return uses
}
