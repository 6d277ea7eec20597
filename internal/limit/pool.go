package limit

import (
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// pool is the local ports that connect() may choose from in one network
// namespace. Several limits share it: ephemeral-ports, time-wait, fin-wait.
type pool struct {
	low, high                    int64
	size, reserved, held, usable int64
	listening, bound             int64 // of held
	boundListed                  bool
	floor                        int64 // the kernel refuses a range that begins below it
	ports                        *portSets
	band                         bool // low and high are those of the sockets themselves
}

// portSets are the ports that connect() skips, inside the range and outside.
type portSets struct {
	reserved, listening, bound, taken host.PortSet
	below                             *freeCounts // nil: not asked for yet
}

// The facts that portPool reads.
var (
	portRange        = host.Sysctl("net.ipv4.ip_local_port_range")
	reservedPorts    = host.Sysctl("net.ipv4.ip_local_reserved_ports")
	listeningPorts   = host.Ports("listening")
	boundPorts       = host.Ports("bound")
	boundSockets     = host.System("bound-sockets") // "listed" where boundPorts is complete
	unprivilegedPort = host.Sysctl("net.ipv4.ip_unprivileged_port_start")

	poolNeeds = []host.Fact{
		portRange, reservedPorts, listeningPorts, boundPorts, boundSockets,
		unprivilegedPort, kernelRelease,
	}
)

// portPool computes the pool: range minus reserved ports minus ports whose bind
// bucket belongs to any bind() or listener of the namespace, whatever its address
// or family (inet_hashtables.c __inet_hash_connect: fastreuse >= 0 is skipped).
func portPool(r *host.Reader) pool {
	var p pool
	p.low, p.high = r.Pair(portRange)
	all := &portSets{reserved: r.Ports(reservedPorts), listening: r.Ports(listeningPorts)}
	if p.boundListed = boundAreListed(r); p.boundListed {
		all.bound = r.Ports(boundPorts)
	}
	all.taken = all.reserved.Union(all.listening).Union(all.bound)
	p.ports = all
	p.floor = firstPort
	if n, ok := r.Maybe(unprivilegedPort); ok {
		// ipv4_local_port_range: EINVAL below ip_unprivileged_port_start
		p.floor = max(p.floor, min(n, lastPort))
	}
	p.count()
	return p
}

// count says how many ports between low and high connect() may choose.
func (p *pool) count() {
	all := p.ports
	reserved, listening := all.reserved.Within(p.low, p.high),
		all.listening.Within(p.low, p.high)
	held, taken := listening.Union(all.bound.Within(p.low, p.high)),
		all.taken.Within(p.low, p.high)
	p.size = max(0, p.high-p.low+1)
	p.reserved, p.listening = reserved.Len(), listening.Len()
	p.bound = held.Len() - p.listening
	p.held = taken.Len() - p.reserved
	p.usable = p.size - taken.Len()
	if p.size == 3 && p.usable == 3 && !p.band {
		// The scan length is rounded down to even (remaining &= ~1U); only a range
		// of three never wraps to its last port.
		p.usable = 2
	}
}

// of is the pool of the sockets of a row, which may have set IP_LOCAL_PORT_RANGE: a part of the
// range (net/ipv4/inet_connection_sock.c inet_sk_get_local_port_range, Linux 6.3). Where there
// are more of them than it has ports, others have it not.
func (p pool) of(row host.Row) pool {
	low, high, ok := strings.Cut(row.Text("band"), "-")
	from, err1 := strconv.ParseInt(low, 10, 64)
	to, err2 := strconv.ParseInt(high, 10, 64)
	if !ok || err1 != nil || err2 != nil || from < p.low || to > p.high || from > to ||
		row.Count("ranged") > to-from+1 {
		return p
	}
	p.low, p.high, p.band = from, to, true
	p.count()
	return p
}

// boundAreListed says whether the kernel lists sockets that are bound and nothing else. An older
// one does not, and a snapshot of it has nothing to miss.
func boundAreListed(r *host.Reader) bool {
	if !r.Has(boundSockets) && r.Kernel().Before(6, 8) {
		return false
	}
	return r.Optional(boundSockets) == "listed"
}

// rangeName is what sets the two ends.
func (p pool) rangeName() string {
	if p.band {
		return "IP_LOCAL_PORT_RANGE of the sockets"
	}
	return "net.ipv4.ip_local_port_range"
}

// steps is the arithmetic with this host's figures.
func (p pool) steps() []Step {
	steps := []Step{
		{
			Label: "ports in " + strings.TrimPrefix(p.rangeName(), "net.ipv4."),
			Sum:   itoa(p.high) + " - " + itoa(p.low) + " + 1",
			Value: p.size,
			Unit:  "ports",
			How:   Computed,
			From:  p.rangeName(),
		},
		{
			Label: "of these in ip_local_reserved_ports",
			Value: p.reserved,
			Unit:  "ports",
			How:   Read,
			From:  "net.ipv4.ip_local_reserved_ports",
		},
		{
			Label: "of the rest held by a listener or a bound socket",
			Value: p.held,
			Unit:  "ports",
			How:   Read,
			From:  "sock_diag",
		},
	}
	return append(steps, Step{
		Label: "local ports that connect() can choose, for each source address and " +
			"destination",
		Sum:   itoa(p.size) + " - " + itoa(p.reserved) + " - " + itoa(p.held),
		Value: p.usable, Unit: "ports", How: Computed,
	})
}

// unseen says what the pool could not take into account.
func (p pool) unseen() []host.Missing {
	if p.boundListed {
		return nil
	}
	return []host.Missing{{Fact: host.Ports("bound"),
		Why: host.NotListed + "; each such port in the range lowers the figure by one"}}
}
