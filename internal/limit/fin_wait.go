package limit

import (
	"slices"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const FinWait ID = "fin-wait"

var _ = register(Limit{
	ID:      FinWait,
	Title:   "connections that this side has closed and the peer has not",
	Measure: Held,
	Scope:   Netns,
	Doc: "After close() a connection waits in FIN_WAIT_1 for the peer's acknowledgement " +
		"and in FIN_WAIT_2 for the peer's own close. " +
		"`tcp_fin_timeout` ends FIN_WAIT_2 of connections that the application has " +
		"closed; it is what that sysctl governs, and all that it governs. " +
		"A connection that the application has only shut down and still holds open " +
		"stays in FIN_WAIT_2 for as long as the peer likes. There is no ceiling of its " +
		"own: these " +
		"connections share the TIME_WAIT table (`tcp_max_tw_buckets`), with " +
		"tcp_fin_timeout above 60 the orphans (`tcp_max_orphans`), and on the " +
		"connecting side the local ports, which connect() does not take over before " +
		"they end. A program that binds to such a port with SO_REUSEADDR, as its last " +
		"user did, and then connects does take it over, and the peer's half-closed " +
		"connection is reset.",
	Formula: "no ceiling of its own; time in FIN_WAIT_2 after close() = " +
		"max(tcp_fin_timeout, 3.5 retransmission timeouts)",
	Myths: []Myth{
		{"tcp_fin_timeout is the length of TIME_WAIT",
			"it ends FIN_WAIT_2 after close(); TIME_WAIT is 60 s whatever stands " +
				"there (59 s on the timer with tcp_fin_timeout=3, measured)",
			"net/ipv4/tcp_minisocks.c tcp_time_wait"},
		{"tcp_fin_timeout ends every FIN_WAIT_2",
			"only where the application has closed the descriptor; after " +
				"shutdown() alone there is no timeout",
			"net/ipv4/tcp.c __tcp_close, Documentation/networking/ip-sysctl.rst"},
		{"a higher tcp_fin_timeout costs nothing",
			"up to 60 s such a connection is a small TIME_WAIT entry (256 bytes) " +
				"from the start; above, it is a full socket (about " + socketSize +
				") and an orphan for the seconds beyond 60",
			"net/ipv4/tcp_input.c tcp_rcv_state_process"},
		{"tcp_tw_reuse frees ports in FIN_WAIT_2",
			"since 6.12, and in many stable kernels, connect() chooses no such " +
				"port; one that programs bind to with SO_REUSEADDR, both times, " +
				"is taken over at once all the same, and the peer, in " +
				"CLOSE_WAIT, gets EPIPE when it writes (measured)",
			"net/ipv4/tcp_ipv4.c tcp_twsk_unique (!twp), 0d9e5df4a257"},
	},
	Knobs: []string{
		"net.ipv4.tcp_fin_timeout", "TCP_LINGER2",
	},
	Signs: []Sign{
		{
			Text: "FIN_WAIT2",
			Means: "netstat: this side has closed, the peer has acknowledged that " +
				"and has not closed; with a timer it ends after " +
				"tcp_fin_timeout, without one the application still holds it open",
			Look: "ss -tno state fin-wait-2",
		},
		{
			Text: "FIN-WAIT-2",
			Means: "ss: this side has closed, the peer has acknowledged that and " +
				"has not closed; with a timer it ends after tcp_fin_timeout, " +
				"without one the application still holds it open",
			Look: "ss -tno state fin-wait-2",
		},
		{
			Text: "connections reset due to unexpected data",
			Means: "netstat -s: TcpExt TCPAbortOnData, data that arrived after the " +
				"application had closed, and closes with TCP_LINGER2 below 0",
			Look: "nstat -az TcpExtTCPAbortOnData",
		},
		{
			Text: "connections aborted after user close in linger timeout",
			Means: "netstat -s: TcpExt TCPAbortOnLinger, connections dropped after " +
				"close() without waiting in FIN_WAIT_2",
			Look: "nstat -az TcpExtTCPAbortOnLinger",
		},
	},
	Sources: []string{
		"net/ipv4/tcp_input.c tcp_rcv_state_process (4.4-6.18)",
		"net/ipv4/tcp_minisocks.c tcp_time_wait (4.4-6.18)", "net/ipv4/tcp_timer.c " +
			"tcp_keepalive_timer (4.4-6.18)",
	},
	Needs: append([]host.Fact{
		host.All(host.InboundKind), host.All(host.OutboundKind), host.All(host.ProcessKind),
		host.All(host.BinderKind), finTimeout,
	}, poolNeeds...),
	Details: []host.Fact{host.All(host.BinderKind), host.All(host.ProcessKind),
		host.Sysctl("net.ipv4.tcp_fin_timeout"), unprivilegedPort},
	Gauges: finGauges,
})

var finTimeout = host.Sysctl("net.ipv4.tcp_fin_timeout")

// finMany is from when on connections in FIN_WAIT_2 are worth a word: a busy server has some
// hundreds, at 60 s each ten thousand are 170 peers a second that do not close.
const finMany = 10000

// fins counts the connections that wait for a peer.
type fins struct {
	one, two, sockets int64
	timeout           int64
	timeoutKnown      bool
	row               host.Row // with most of them
}

func finGauges(r *host.Reader, _ Workload) []Gauge {
	f := countFins(r)
	if r.Err() != nil {
		return nil
	}
	// Bounds stays empty: these connections are closed already.
	g := Gauge{
		Subject:   thisNetns,
		Unit:      "connections in FIN_WAIT",
		Used:      f.one + f.two,
		Unbounded: true,
		Owner:     "the peers, until net.ipv4.tcp_fin_timeout",
		Steps:     f.steps(),
	}
	if !f.timeoutKnown {
		g.Unseen = []host.Missing{{Fact: finTimeout,
			Why: unreadable(r, finTimeout)}}
	}
	holders := finHolders(r)
	if f.two > finMany && f.two*2 > f.sockets && len(holders) == 0 {
		g.Harms = true
		g.Cause = plural(f.two, "connection") +
			" are in FIN_WAIT_2, more than half of all: this side has sent its FIN " +
			"and the peers have not; " + f.fate(r)
		g.Evidence = f.evidence(r)
		g.Remedies = f.remedies(r)
	}
	return slices.Concat([]Gauge{g}, holders, finPeers(r, f))
}

// heldMany is from when on connections that a program has shut down and holds open are a finding
// where they are half of what it has: a close that lingers for 5 s (nginx lingering_timeout) has as
// many at 25 closes a second whose peers do not answer.
const heldMany = 128

// finHolders are the programs that hold such connections open, which no timeout ends.
func finHolders(r *host.Reader) (gauges []Gauge) {
	for _, row := range r.Rows(host.ProcessKind) {
		held := row.Count("FIN_WAIT_2")
		if held < heldMany || held*2 < row.Sockets() {
			continue
		}
		pid, _ := host.Row{Fields: host.Fields{{Name: "pid", Value: row.Name()}}}.Int("pid")
		name := row.Text("name")
		whose := who(name, pid)
		gauges = append(gauges, Gauge{
			Subject: Subject{Kind: Process, Name: whose, Process: name, PID: pid},
			Unit:    "descriptors in FIN_WAIT_2", Used: held, Unbounded: true,
			Harms: true,
			Owner: "close() in the application; the kernel has no timeout for it",
			Cause: whose + " holds " + plural(held, "connection") + " open that it " +
				"has shut down and the peer has not closed (FIN_WAIT_2): no " +
				"timeout ends them",
			Evidence: []Evidence{{"sock_diag FIN_WAIT_2", itoa(held), "of " +
				plural(row.Sockets(), "connection") + " that the process holds; " +
				"each keeps a descriptor and kernel memory"}},
			Remedies: heldRemedies(whose),
			Steps: []Step{{Label: "in FIN_WAIT_2 and open in the process", Value: held,
				Unit: "connections", How: Read, From: "sock_diag"}},
		})
	}
	return gauges
}

func countFins(r *host.Reader) fins {
	var f fins
	for _, kind := range []host.Kind{host.InboundKind, host.OutboundKind} {
		for _, row := range r.Table(kind) {
			f.one += row.Count("FIN_WAIT_1")
			f.two += row.Count("FIN_WAIT_2")
			f.sockets += row.Sockets()
			if row.Count("FIN_WAIT_2") > f.row.Count("FIN_WAIT_2") {
				f.row = row
			}
		}
	}
	f.timeout, f.timeoutKnown = r.Maybe(finTimeout)
	return f
}

func (f fins) steps() []Step {
	steps := []Step{
		{
			Label: "in FIN_WAIT_1 (closed here, not yet acknowledged)",
			Value: f.one,
			Unit:  "connections",
			How:   Read,
			From:  "sock_diag",
		},
		{
			Label: "in FIN_WAIT_2 (closed here, acknowledged, not closed by the peer)",
			Value: f.two,
			Unit:  "connections",
			How:   Read,
			From:  "sock_diag",
		},
	}
	if f.timeoutKnown {
		steps = append(steps, Step{
			ID:    FinTimeout,
			Label: "time in FIN_WAIT_2 after close()",
			Value: f.timeout,
			Unit:  "s",
			How:   Read,
			From:  "net.ipv4.tcp_fin_timeout",
		})
	}
	return steps
}

// held is the process of the fullest row and how many connections in FIN_WAIT_2 it still
// holds open, 0 where unknown.
func (f fins) held(r *host.Reader) (process string, n int64) {
	pid := f.row.Count("pid")
	row, ok := r.Row(host.ProcessKind, itoa(pid))
	if pid == 0 || !ok {
		return "", 0
	}
	return who(row.Text("name"), pid), row.Count("FIN_WAIT_2")
}

// fate says when they end.
func (f fins) fate(r *host.Reader) string {
	process, held := f.held(r)
	timeout := "net.ipv4.tcp_fin_timeout"
	if f.timeoutKnown {
		timeout += " = " + itoa(f.timeout) + " s"
	}
	if held*2 > f.two {
		return process + " holds " + figure.Count(held) +
			" of them open (shutdown() without close()), which no timeout ends"
	}
	return "those that the application has closed end after " + timeout +
		", those that it only shut down stay as long as the peer does"
}

func (f fins) evidence(r *host.Reader) []Evidence {
	ev := []Evidence{
		{"sock_diag FIN_WAIT_2", itoa(f.two),
			"of " + plural(f.sockets, "socket") + " that are not listening"},
		{"sock_diag " + string(f.row.Fact.Kind) + " " + f.row.Name(),
			itoa(f.row.Count("FIN_WAIT_2")), "most of them in one place"},
	}
	if process, held := f.held(r); held > 0 {
		ev = append(ev, Evidence{"sock_diag FIN_WAIT_2 of " + process, itoa(held),
			"still open in the process: no timeout ends these"})
	}
	if f.timeoutKnown && f.timeout > timeWaitSeconds {
		ev = append(ev, Evidence{"net.ipv4.tcp_fin_timeout", itoa(f.timeout),
			"above 60 each closed connection in FIN_WAIT_2 is a full socket and " +
				"counts against net.ipv4.tcp_max_orphans for " +
				itoa(f.timeout-timeWaitSeconds) + " s"})
	}
	return ev
}

// remedies have no sysctl: only where the ports are held is tcp_fin_timeout worth a change.
func (f fins) remedies(r *host.Reader) []Remedy {
	process, held := f.held(r)
	if held > 0 {
		return heldRemedies(process)
	}
	return []Remedy{peerCloses, {
		Kind: ByApplication,
		Text: "a shorter TCP_LINGER2 on sockets whose peer has nothing more to " +
			"say; what the peer still sends is answered with RST",
		TakesEffect: AtClose,
	}}
}

var peerCloses = Remedy{
	Kind: ByApplication,
	Text: "at the peer: close the connection when read() returns 0; there these connections " +
		"stand in CLOSE_WAIT",
	TakesEffect: "at the next start of the peer's process",
}

func heldRemedies(process string) []Remedy {
	return []Remedy{{
		Kind: ByApplication,
		Text: "in " + process + ": call close() after shutdown(), at the latest after a " +
			"timeout of its own",
		TakesEffect: AtStart,
	}, peerCloses}
}

// shorter is for a tcp_fin_timeout above 60 s: connections that were closed here then end after
// as long as TIME_WAIT lasts. It cuts nobody off: what arrives for one that was closed is answered
// with RST at once, whatever the timeout (tcp_rcv_state_process, TCPAbortOnData).
func (f fins) shorter() []Remedy {
	if !f.timeoutKnown || f.timeout <= timeWaitSeconds {
		return nil
	}
	to := itoa(timeWaitSeconds)
	return []Remedy{{Kind: BySetting, Setting: finTimeout.Name, From: itoa(f.timeout), To: to,
		TakesEffect: NowForNew, OldLast: time.Duration(min(f.timeout, 1<<31)) * time.Second,
		Text: "end connections that are closed here and not by the peer after " + to +
			" s; those that wait now keep their time",
		Change: host.Setting{Fact: finTimeout, Want: to},
		Sum:    to + " s is the default, and as long as TIME_WAIT",
		Cost:   "none; less kernel memory",
		Risk: "none for peers that still send: a connection that was closed here answers " +
			"data with RST at once",
		Lasts: untilBoot,
	}}
}

// finPeers are the destinations where such connections hold more than half of the local ports.
func finPeers(r *host.Reader, f fins) (gauges []Gauge) {
	for _, f := range []host.Fact{portRange, reservedPorts, listeningPorts} {
		if r.Optional(f); !r.Has(f) {
			return nil
		}
	}
	p := portPool(r)
	for _, row := range r.Table(host.OutboundKind) {
		source, destination, ok := strings.Cut(row.Name(), "->")
		p := p.of(row)
		if !ok || strings.Contains(source, "*") || !mostlyFinWait(p, row) {
			continue
		}
		gauges = append(gauges, finPeer(r, p, f, row, finWaiting(row), Subject{
			Kind:        Peer,
			Name:        source + " -> " + destination,
			Source:      source,
			Destination: destination,
		}))
	}
	return gauges
}

// finWaiting is how many local ports to a destination connections in FIN_WAIT hold.
func finWaiting(row host.Row) int64 {
	waiting := row.Count("FIN_WAIT_1") + row.Count("FIN_WAIT_2")
	if ranged, known := row.Int("ranged"); known {
		return min(waiting, ranged)
	}
	return waiting
}

// mostlyFinWait says whether that is more than half of what there is.
func mostlyFinWait(p pool, row host.Row) bool {
	return p.usable > 0 && finWaiting(row)*2 > p.usable
}

func finPeer(r *host.Reader, p pool, f fins, row host.Row, waiting int64, s Subject) Gauge {
	s.Process, s.PID = row.Text("process"), row.Count("pid")
	f.row, f.one, f.two, f.sockets = row, row.Count("FIN_WAIT_1"), row.Count("FIN_WAIT_2"),
		row.Sockets()
	g := Gauge{Subject: s, Unit: "ports in FIN_WAIT", Ceiling: p.usable, Used: waiting,
		Harms: true, AtMost: !p.boundListed, Owner: "the peer, until " +
			"net.ipv4.tcp_fin_timeout",
		Steps: append(p.steps(), f.steps()...), Unseen: p.unseen(),
		Evidence: stateEvidence(row)}
	g.Cause = "connections that this side has closed hold " + figure.Count(waiting) + " of " +
		plural(p.usable, "port") + " towards this destination"
	if g.Refusing = row.Count("ranged") >= p.usable; g.Refusing {
		g.Cause += ", and no port is left for a new one"
	}
	g.Cause += "; "
	if f.two*2 < waiting {
		g.Cause += "the peer does not even acknowledge the close (FIN_WAIT_1)"
		g.Remedies = []Remedy{{
			Kind: ByTopology,
			Text: "find out why the peer no longer answers: unreachable, or " +
				"it reads nothing and its window is closed",
			TakesEffect: Now,
		}}
		return g
	}
	g.Cause += "the peer has not closed them (FIN_WAIT_2), and connect() does not take " +
		"such a port over; " + f.fate(r)
	if _, held := f.held(r); held*2 <= f.two {
		g.Cure = f.shorter()
	}
	g.Remedies = append(g.Cure, f.remedies(r)...)
	return g
}
