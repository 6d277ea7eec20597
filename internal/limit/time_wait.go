package limit

import (
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const TimeWait ID = "time-wait"

var _ = register(Limit{
	ID:      TimeWait,
	Title:   "new connections per second to one destination",
	Measure: PerSecond,
	Scope:   Peer,
	Bounds:  Flows{Outbound, PerSecond},
	Doc: "The side that closes first keeps the connection in TIME_WAIT for 60 s, a " +
		"constant of the kernel. When that side also opens the connections, the " +
		"local port " +
		"cannot serve the same destination again in that time, so all usable ports " +
		"divided by 60 s is the rate that can be kept up forever; above it connect() " +
		"fails with EADDRNOTAVAIL. " +
		"`tcp_tw_reuse` lets connect() take such a port over after about a second, but " +
		"only where both ends use TCP timestamps. " +
		"The timer may fire one step of the kernel's timer wheel late (since Linux " +
		"4.8; at 60 s a step is 2.0 s with HZ=250, 4.1 s with HZ=1000, 5.1 s with " +
		"HZ=100; measured with HZ=250: 60.3 to 61.8 s), so the true rate is a few " +
		"percent below that ceiling, never above. " +
		"When the other side closes first, this ceiling does not apply. TIME_WAIT " +
		"costs 256 bytes of kernel memory and no descriptor.",
	Formula: "per second = usable local ports / 60 s; with tcp_tw_reuse and timestamps: " +
		"usable local ports / reuse delay; for each (source address, destination " +
		"address, destination port), " +
		"or for each source address where bind() chooses the ports",
	Myths: []Myth{
		{"a lower tcp_fin_timeout shortens TIME_WAIT: the range 15000-61000 with " +
			"tcp_fin_timeout=30 gives 1,500 connections/s",
			"TIME_WAIT is the constant TCP_TIMEWAIT_LEN, 60 s, and no sysctl " +
				"changes it; tcp_fin_timeout ends orphaned FIN_WAIT_2 only. " +
				"15000-61000 are 46,001 ports, and 46001 / 60 = 766 " +
				"connections/s to one destination, not 1,500; the default " +
				"range gives 28232 / 60 = 470",
			"net/ipv4/tcp_minisocks.c tcp_time_wait (if state is TCP_TIME_WAIT, " +
				"timeo = TCP_TIMEWAIT_LEN)"},
		{"470 connections/s is the ceiling of the host",
			"it counts for each source address and each destination address and " +
				"port; two destinations have twice as many",
			"net/ipv4/inet_hashtables.c __inet_hash_connect"},
		{"tcp_tw_reuse=1 is enough",
			"the old connection must have used TCP timestamps: with " +
				"tcp_timestamps=0 here or at the peer nothing is taken over",
			"net/ipv4/tcp_ipv4.c tcp_twsk_unique (tw_ts_recent_stamp)"},
		{"tcp_tw_reuse helps a busy server",
			"it acts only inside connect(), on the side that holds the TIME_WAIT; " +
				"what a listener has accepted it never touches",
			"net/ipv4/tcp_ipv4.c tcp_twsk_unique, called from " +
				"__inet_check_established"},
		{"many TIME_WAITs on a server keep clients out",
			"a SYN with a newer sequence number or timestamp is accepted straight " +
				"from TIME_WAIT; on the server's side it costs memory only",
			"net/ipv4/tcp_minisocks.c tcp_timewait_state_process (TCP_TW_SYN)"},
		{"tcp_tw_recycle=1 helps", "it is gone since " + recycleGone() +
			", writing it fails; before, it dropped clients behind NAT",
			"4396e46187ca"},
		{"tcp_tw_reuse=2 covers all connections inside the host",
			"it covers addresses in 127.0.0.0/8 and ::1 and sockets bound to lo; " +
				"connections between the host's other addresses run over lo " +
				"too, and are not covered", "net/ipv4/tcp_ipv4.c tcp_twsk_unique"},
	},
	Knobs: []string{
		"net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_tw_reuse_delay",
		"net.ipv4.tcp_timestamps", "net.ipv4.tcp_tw_recycle", "net.ipv4.tcp_rfc1337",
		"SO_LINGER with 0 seconds",
		"bind() to a port with SO_REUSEADDR before connect()",
	},
	Signs: []Sign{
		{
			Text:  "cannot assign requested address",
			Errno: "EADDRNOTAVAIL",
			Call:  "connect",
			Means: "no local port was free for this source address and " +
				"destination; where ss -tan shows most of them in TIME_WAIT, " +
				"this side closes first, more often than the ports come back " +
				"after 60 s",
			Look: "maxconn check --limit time-wait --limit ephemeral-ports",
		},
		{
			Text: "TIME_WAIT",
			Means: "netstat (ss writes TIME-WAIT): this side closed the connection " +
				"first and keeps its addresses and ports for 60 s; the normal " +
				"end of a connection, a limit only for a side that opens " +
				"connections to one destination faster than ports / 60 s",
			Look: "maxconn check --limit time-wait",
		},
		{
			Text: "TCP sockets finished time wait in fast timer",
			Means: "netstat -s: TcpExt TW, sockets that went through TIME_WAIT; " +
				"the normal end of a connection that this side closed first, " +
				"no fault",
			Look: "nstat -az TcpExtTW",
		},
		{
			Text: "passive connections rejected because of time stamp",
			Means: "netstat -s: TcpExt PAWSPassive, SYNs that tcp_tw_recycle " +
				"dropped because another client behind the same address had a " +
				"later timestamp; kernels before 4.12",
			Look: "sysctl net.ipv4.tcp_tw_recycle",
		},
		{
			Text: "time wait sockets recycled by time stamp",
			Means: "netstat -s: TcpExt TWRecycled, ports that connect() took over " +
				"from TIME_WAIT; tcp_tw_reuse is at work, no fault",
			Look: "nstat -az TcpExtTWRecycled",
		},
	},
	Sources: []string{
		"include/net/tcp.h TCP_TIMEWAIT_LEN (4.4-6.18)",
		"net/ipv4/tcp_minisocks.c tcp_time_wait (4.4-6.18)",
		"net/ipv4/tcp_ipv4.c tcp_twsk_unique (4.4-6.18)",
		"net/ipv4/inet_hashtables.c __inet_check_established (4.6-6.18)",
		"kernel/time/timer.c calc_wheel_index, LVL_GRAN (4.8, 500462a9de65)",
	},
	Needs: append(append([]host.Fact{
		host.All(host.OutboundKind), host.All(host.SourceKind), host.All(host.BinderKind),
		host.Counter("TcpExt.PAWSPassive"),
		host.Sysctl("net.ipv4.tcp_fin_timeout"),
	}, twReuseNeeds...), poolNeeds...),
	Details: []host.Fact{host.All(host.AddressKind), host.All(host.BinderKind),
		host.Sysctl("net.ipv4.tcp_fin_timeout"), unprivilegedPort},
	Decides:  Flows{Outbound, PerSecond},
	Refusals: []host.Fact{host.Counter("TcpExt.PAWSPassive")}, RefusalsShared: true,
	Gauges: timeWaitGauges,
})

// timeWaitSeconds is TCP_TIMEWAIT_LEN.
const timeWaitSeconds = 60

// neverNear switches off the warning by share: rates are rounded, ports are not, so near is
// decided by ports.
const neverNear = 1e9

func timeWaitGauges(r *host.Reader, _ Workload) []Gauge {
	p := portPool(r)
	if r.Err() != nil {
		return nil
	}
	t := readTWReuse(r)
	gauges := []Gauge{anyRate(r, p, t)}
	if t.recycle {
		gauges = append(gauges, recycling(r, t))
	}
	for _, row := range r.Table(host.OutboundKind) {
		source, destination, _ := strings.Cut(row.Name(), "->")
		_, isNumber := row.Int("TIME_WAIT")
		broken := row.Text("TIME_WAIT") != "" && !isNumber
		p := p.of(row)
		if p.usable > 0 && !broken && strings.Contains(destination, ":") &&
			!strings.Contains(source, "*") {
			gauges = append(gauges, peerRate(r, p, t, row))
		}
	}
	return gauges
}

// rateGauge is what all gauges of the limit share.
func rateGauge(r *host.Reader, p pool, t twReuse, s twState) Gauge {
	g := Gauge{
		Bounds: Outbound, Near: neverNear,
		AtMost: !p.boundListed || t.unsure(s) || s == twRecycled,
		Doubt:  !p.boundListed || t.unsure(s),
		Steps:  p.steps(), Unseen: append(p.unseen(), t.unseen(r, s)...),
		Owner: p.rangeName() + " and the 60 s of TIME_WAIT (a constant of the kernel)",
	}
	remedies := rateRemedies(r, p, t, s, 0)
	if g.Lift = p.ownRange; !p.band {
		g.Lift = func(need int64) []Remedy { return liftRate(p, t, s, remedies, need) }
	}
	switch sure := max(1, p.usable/timeWaitSeconds); {
	case s == twIdle:
		g.Fits = sure
	case g.Doubt && p.boundListed:
		g.Sure = sure
	}
	step := Step{Sum: itoa(p.usable) + " * 1000 / " + itoa(t.shortest(s)),
		Value: p.usable * 1000 / t.shortest(s)}
	switch s {
	case twTaken, twPerhaps, twYoung:
		g.Owner = p.rangeName() + " and the reuse delay (" + t.delayFrom + ")"
		g.Steps = append(g.Steps, Step{
			ID:    ReuseDelay,
			Label: "time until tcp_tw_reuse may take a port over",
			Value: t.delay,
			Unit:  "ms",
			How:   Read,
			From:  t.delayFrom,
		})
	case twRecycled:
		g.Owner = p.rangeName() + " and net.ipv4.tcp_tw_recycle"
		g.Steps = append(g.Steps, Step{
			Label: "shortest time that a port stays in TIME_WAIT with " +
				"tcp_tw_recycle, 3.5 retransmission timeouts",
			Sum:   "3.5 * 200",
			Value: recycledAfter,
			Unit:  "ms",
			How:   Computed,
			From:  "include/net/tcp.h TCP_RTO_MIN",
		})
	default:
		g.Steps = append(g.Steps, Step{
			Label: "time that a port stays in TIME_WAIT (TCP_TIMEWAIT_LEN, a constant)",
			Value: timeWaitSeconds,
			Unit:  "s",
			How:   Read,
			From:  "include/net/tcp.h",
		})
		if t.shortest(s) == timeWaitSeconds*1000 {
			step.Sum = itoa(p.usable) + " / " + itoa(timeWaitSeconds)
		}
	}
	step.Label, step.Unit, step.How =
		"new connections to one destination when this side closes first", "connections/s",
		Computed
	if s == twBound {
		step.Label = "new connections from this address, to all destinations together, " +
			"when this side closes first"
	}
	if step.Value == 0 && p.usable > 0 {
		step.Label, step.Value, g.AtMost = step.Label+" (less than one, rounded up)", 1,
			true
	}
	g.Ceiling, g.Steps = step.Value, append(g.Steps, step)
	return g
}

// anyRate is the ceiling towards a destination, other than loopback, that has no connections yet.
func anyRate(r *host.Reader, p pool, t twReuse) Gauge {
	s := t.state(false, "")
	g := rateGauge(r, p, t, s)
	g.Subject = anyPeer
	switch {
	case p.usable == 0:
		g.Cause = "connect() has no local port to choose from (ephemeral-ports says why)"
	case s == twNoTimestamps && t.mode == 1: // somebody set it, and it does nothing
		g.Notice, g.Cause, g.Evidence = true, t.why(s), reuseEvidence(r, t)
		g.Remedies = reuseRemedies(t, s)
	}
	return g
}

// peerRate is the ceiling towards a destination that has connections now.
func peerRate(r *host.Reader, p pool, t twReuse, row host.Row) Gauge {
	source, destination, _ := strings.Cut(row.Name(), "->")
	ports, _ := t.bindChose(r, p, source)
	s := t.stateOf(r, p, row)
	g := rateGauge(r, p, t, s)
	if mayShare(r, source) {
		g.AtMost, g.Doubt = true, true
	}
	pid, _ := row.Int("pid")
	g.Subject = Subject{
		Kind:        Peer,
		Name:        source + " -> " + destination,
		Source:      source,
		Destination: destination,
		Process:     row.Text("process"),
		PID:         pid,
	}
	ranged, known := row.Int("ranged")
	waiting := row.Count("TIME_WAIT")
	if known {
		// a port outside the range was not chosen by connect()
		waiting = min(waiting, ranged)
	}
	g.Used = waiting / timeWaitSeconds
	g.Steps = append(g.Steps, closingSteps(waiting, s)...)
	if n := row.Count("fold"); n > 0 {
		g.Unseen = append(g.Unseen, host.Missing{Fact: row.Fact,
			Why: "up to " + plural(n, "socket") + " may be missing from the row: " +
				"there were more destinations than are counted one by one"})
	}
	taken := ranged
	// all destinations share the ports; the one with most of them speaks for all
	if s == twBound && ranged*2 > ports {
		taken = max(ports, ranged)
	}
	full := known && mostlyTimeWait(row) && taken >= p.usable
	near := known && mostlyTimeWait(row) && taken*10 >= p.usable*9
	if _, aged := row.Int("reusable"); full && !aged && (s == twTaken || s == twPerhaps) {
		g.Decides = true // they may all be too young
		g.Unseen = append(g.Unseen, lacking(row, "reusable"))
	}
	if !near || (s == twTaken && !full) {
		return g
	}
	overtaken := full && s == twTaken && t.atCeiling(r, g.Ceiling)
	g.Refusing = full && s != twTaken && s != twUnknown && s != twPerhaps
	g.Harms, g.Notice = s != twTaken || overtaken, s == twTaken
	g.Cause = rateCause(p, t, s, row, waiting, p.usable-taken)
	g.Evidence = append(reuseEvidence(r, t), stateEvidence(row)...)
	switch {
	case overtaken:
		g.Cause += "; in the window they were taken over as fast as that"
		g.Remedies, g.Cure = rateRemedies(r, p, t, s, 2*taken), p.wider(2*taken)
	case s != twTaken:
		g.Remedies, g.Cure = rateRemedies(r, p, t, s, 2*taken), rateCure(p, t, s, 2*taken)
	case !windowed(r):
		g.Remedies = []Remedy{watchIt}
	}
	return g
}

// atCeiling says whether connect() took ports over, in the window, about as fast as the
// delay allows.
func (t twReuse) atCeiling(r *host.Reader, ceiling int64) bool {
	moved, ok := r.Moved(recycledPorts)
	length, err := time.ParseDuration(r.Optional(host.System("window")))
	return ok && err == nil && float64(moved) >= 0.9*float64(ceiling)*length.Seconds()
}

func rateCause(p pool, t twReuse, s twState, row host.Row, waiting, free int64) string {
	length := ", each for 60 s"
	if s == twRecycled {
		length = ""
	}
	var b strings.Builder
	b.WriteString("TIME_WAIT holds ")
	switch {
	case waiting >= p.usable:
		b.WriteString("all " + plural(p.usable, "port") + " towards this destination" +
			length)
	case free > 0:
		b.WriteString(figure.Count(waiting) + " of " + plural(p.usable, "port") +
			" towards this destination" + length + ", and " + figure.Count(free) +
			" are free")
	default:
		b.WriteString(figure.Count(waiting) + " of " + plural(p.usable, "port") +
			" towards this destination" + length + ", and none is free")
	}
	b.WriteString("; " + t.why(s))
	if s != twTaken {
		return b.String()
	}
	b.WriteString(", so connect() fails only above " + figure.Count(p.usable*1000/t.delay) +
		" connections/s")
	b.WriteString("; ports that bind() chose stay taken for 60 s, towards every destination")
	return b.String()
}

// reuseEvidence are the settings and the counter that tell whether ports are taken over.
func reuseEvidence(r *host.Reader, t twReuse) (out []Evidence) {
	if t.modeKnown {
		out = append(out, Evidence{"net.ipv4.tcp_tw_reuse", itoa(t.mode),
			"0 never, 1 always, 2 only with a loopback address"})
	}
	if t.stampsKnown {
		out = append(out, Evidence{"net.ipv4.tcp_timestamps", itoa(t.stamps),
			"0 off; tcp_tw_reuse needs them on at both ends"})
	}
	if n, ok := r.Maybe(recycledPorts); ok {
		out = append(out, Evidence{"TcpExt.TWRecycled", itoa(n),
			"ports that connect() has taken over from TIME_WAIT in this network " +
				"namespace since it was made"})
	}
	if n, ok := r.Maybe(host.Sysctl("net.ipv4.tcp_fin_timeout")); ok && n != timeWaitSeconds {
		out = append(out, Evidence{"net.ipv4.tcp_fin_timeout", itoa(n),
			"does not shorten TIME_WAIT, which is 60 s whatever stands here"})
	}
	return out
}

// rateCure is what settings can do where TIME_WAIT holds the ports: nobody knows how many more
// connections are wanted, so ports that come back after a second are better than more ports.
func rateCure(p pool, t twReuse, s twState, ports int64) []Remedy {
	if reuse := settingsOnly(reuseRemedies(t, s)); len(reuse) > 0 {
		return reuse
	}
	return p.wider(ports)
}

// rateRemedies is what would lift the ceiling, the surest first; ports is how many would do.
func rateRemedies(r *host.Reader, p pool, t twReuse, s twState, ports int64) []Remedy {
	var first, last []Remedy
	switch s {
	case twNoTimestamps, twPeerNoTimestamps, twPerhaps, twIdle, twYoung:
		first = reuseRemedies(t, s) // a fault, not a choice
	default:
		last = reuseRemedies(t, s)
	}
	if p.usable*2 <= p.size && p.size > 0 {
		_, back := lostPorts(r, p)
		first = append(first, back)
	}
	if wider := p.wider(ports); p.size < usualRange {
		first = append(first, wider...)
	} else {
		last = append(last, wider...)
	}
	pairs := "more source addresses, or more destination addresses or ports: each pair has " +
		plural(p.usable, "port") + " of its own"
	if s == twBound {
		pairs = "more source addresses: each has " + plural(p.usable, "port") +
			" of its own, for all destinations together"
		first = append([]Remedy{noPort(p)}, first...)
	}
	out := append(first,
		Remedy{
			Kind: ByApplication,
			Text: "keep connections and use them again (a pool, HTTP " +
				"keep-alive): a connection that is not closed leaves no TIME_WAIT",
			TakesEffect: AtStart,
		},
		Remedy{
			Kind: ByTopology,
			Text: "let the other side close first: TIME_WAIT then stands " +
				"there, on the listener's side, where it keeps nobody out",
			TakesEffect: AtClose,
		},
		Remedy{Kind: ByTopology, Text: pairs, TakesEffect: AtConnect},
	)
	return append(out, last...)
}

// noPort leaves the choice to connect(), which has all ports for each destination and may
// take them over from TIME_WAIT.
func noPort(p pool) Remedy {
	return Remedy{Kind: ByApplication, TakesEffect: AtBind,
		Text: "set IP_BIND_ADDRESS_NO_PORT (Linux 4.2) before bind(), or do not bind " +
			"at all: connect() then chooses among " + plural(p.usable, "port") +
			" for each destination, and tcp_tw_reuse can act"}
}
