package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// boundBeforeConnect is the ceiling of a source address whose program calls bind(address,
// 0) before connect() and so shares one set of ports over all destinations. sock_diag does
// not tell; the ports do: bind(0) takes the parity that connect() takes last
// (inet_csk_find_open_port), and no port serves two destinations.
func boundBeforeConnect(r *host.Reader, p pool, row host.Row) (Gauge, bool) {
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
		Ceiling: p.usable, Used: ports, AtMost: !p.boundListed, Doubt: !p.boundListed,
		Steps:  p.steps(),
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
