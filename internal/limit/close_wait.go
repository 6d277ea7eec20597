package limit

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const CloseWait ID = "close-wait"

var _ = register(Limit{
	ID:      CloseWait,
	Title:   "connections that the peer has closed and the application has not",
	Measure: Held,
	Scope:   Process,
	Doc: "When the peer closes, the connection goes into CLOSE_WAIT and stays there until " +
		"the application calls close(). The kernel has no timeout for it. Each one " +
		"holds a descriptor of the process and about " + IdleSize + " of kernel memory " +
		"(measured on 6.18), so a program that forgets to close runs into its " +
		"descriptor limit in the end. A healthy program holds a CLOSE_WAIT for " +
		"milliseconds: until its next read() returns 0.",
	Formula: "no ceiling of its own; descriptors: connections in CLOSE_WAIT + all other " +
		"open files <= RLIMIT_NOFILE of the process",
	Myths: []Myth{
		{"tcp_fin_timeout or another sysctl ends CLOSE_WAIT",
			"no timer runs in CLOSE_WAIT; only close() in the application, or its " +
				"end, ends it", "net/ipv4/tcp_input.c tcp_fin"},
		{"tcp_keepalive_time cleans up CLOSE_WAIT",
			"only sockets with SO_KEEPALIVE are probed, and where the peer then " +
				"answers with RST the connection is gone but the descriptor " +
				"stays open until close() (measured on 6.18); it hides the " +
				"leak from ss and does not mend it",
			"net/ipv4/tcp_timer.c tcp_keepalive_timer, net/ipv4/tcp_input.c tcp_reset"},
		{"CLOSE_WAIT is the peer's or the network's fault",
			"the peer has closed in good order; it is this side's program that " +
				"does not", "net/ipv4/tcp_input.c tcp_fin"},
		{"every CLOSE_WAIT is a bug",
			"a program may still send after the peer has finished, and one that is " +
				"just reading the last data is in CLOSE_WAIT too; what tells a " +
				"leak is that they are many and stay", "RFC 9293 section 3.6"},
	},
	Knobs: []string{
		"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl",
		"net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_retries2",
	},
	Signs: []Sign{
		{
			Text: "CLOSE_WAIT",
			Means: "netstat: the peer has closed, the application here has not; " +
				"many that stay are a leak in the application",
			Look: "ss -tnp state close-wait",
		},
		{
			Text: "CLOSE-WAIT",
			Means: "ss: the peer has closed, the application here has not; many " +
				"that stay are a leak in the application",
			Look: "ss -tnp state close-wait",
		},
		{
			Text:  "broken pipe",
			Errno: "EPIPE",
			Call:  "send",
			Means: "the peer had closed and then answered data with RST: the " +
				"application went on writing after the peer's close",
			Look: "ss -tnp state close-wait",
		},
		{
			Text:  "too many open files",
			Errno: "EMFILE",
			Call:  "accept",
			Means: "the process is at its descriptor limit; where most of its " +
				"sockets are in CLOSE_WAIT it leaks them, and a higher limit " +
				"only puts the day off",
			Look: "maxconn check --limit process-files --limit close-wait",
		},
	},
	Sources: []string{
		"net/ipv4/tcp_input.c tcp_fin (4.4-6.18)",
		"net/ipv4/tcp_timer.c tcp_keepalive_timer (4.4-6.18)", "net/ipv4/tcp_input.c " +
			"tcp_reset (4.4-6.18)",
	},
	Needs: []host.Fact{host.All(host.InboundKind), host.All(host.OutboundKind),
		host.All(host.ProcessKind), host.All(host.ListenerKind)},
	Gauges: closeGauges,
})

// closeMany is from when on connections in CLOSE_WAIT can be a finding. A program that
// closes within 10 ms of the peer has 32 at a time only at more than 3,000 closes a second;
// below, they cost no more than 32 descriptors and 125 KB.
const closeMany = 32

// leak is the connections in CLOSE_WAIT of one process or, where the process is unknown, of
// one listener or destination.
type leak struct {
	subject      Subject
	waiting      int64 // in CLOSE_WAIT, taken by accept()
	unaccepted   int64 // further ones that still wait for accept(): the accept queue's matter
	open         int64 // connections that the application holds: ESTABLISHED and CLOSE_WAIT
	places       []place
	soft         int64
	softKnown    bool
	processState string
	frozen       bool // with its cgroup
	windowed     bool
	several      bool      // the processes are known, and none holds most
	row          host.Fact // the first that speaks of it
}

// place is where some of the connections are: a listener or a destination.
type place struct {
	name    string
	waiting int64
	age     host.Age // at least half of them have been in CLOSE_WAIT this long
}

func closeGauges(r *host.Reader, _ Workload) (gauges []Gauge) {
	for _, l := range leaks(r) {
		gauges = append(gauges, l.gauge())
	}
	return gauges
}

// leaks lists who has connections in CLOSE_WAIT, one entry for each process.
func leaks(r *host.Reader) []leak {
	var order []*leak
	for _, kind := range []host.Kind{host.InboundKind, host.OutboundKind} {
		for _, row := range r.Table(kind) {
			unaccepted := unacceptedCloseWait(r, row)
			waiting := row.Count("CLOSE_WAIT") - unaccepted
			if waiting <= 0 {
				continue
			}
			l := leakOf(&order, row)
			l.waiting += waiting
			l.unaccepted += unaccepted
			l.open += row.Count("ESTABLISHED") + row.Count("CLOSE_WAIT") -
				max(row.Count("unaccepted"), unaccepted)
			l.places = append(l.places,
				place{placeName(row), waiting,
					host.Age(row.Text("close_wait_age"))})
		}
	}
	out := make([]leak, len(order))
	for i, l := range order {
		if p, ok := r.Row(host.ProcessKind, itoa(l.subject.PID)); ok && l.subject.PID != 0 {
			l.soft, l.softKnown = p.Int("soft")
			l.processState, l.frozen = p.Text("state"), frozen(p)
		}
		l.windowed = windowed(r)
		slices.SortStableFunc(l.places, func(a, b place) int {
			return cmp.Compare(b.waiting, a.waiting)
		})
		if l.subject.PID != 0 && len(l.places) == 1 &&
			!strings.Contains(l.places[0].name, " -> ") {
			l.subject.Listener = l.places[0].name
		}
		out[i] = *l
	}
	return out
}

// leakOf finds the entry of the row's process, or makes one.
func leakOf(order *[]*leak, row host.Row) *leak {
	pid, process := max(row.Count("pid"), 0), row.Text("process")
	for _, l := range *order {
		if pid != 0 && l.subject.PID == pid {
			return l
		}
	}
	l := &leak{subject: Subject{Kind: Process, Name: who(process, pid), PID: pid,
		Process: process}}
	if pid == 0 {
		l.subject.Name = placeName(row)
		if source, destination, ok := strings.Cut(row.Name(), "->"); ok {
			l.subject.Source, l.subject.Destination = source, destination
		} else {
			l.subject.Listener = row.Name()
		}
	}
	l.row, l.several = row.Fact, row.Text("several") == "yes"
	*order = append(*order, l)
	return l
}

// placeName is a listener or destination as people write it.
func placeName(row host.Row) string { return strings.Replace(row.Name(), "->", " -> ", 1) }

// age is the typical time in CLOSE_WAIT, the median over the places, or "" where it is not
// known of most.
func (l leak) age() host.Age {
	oldest := slices.Clone(l.places)
	slices.SortStableFunc(oldest, func(a, b place) int {
		return cmp.Compare(ageRank(b.age), ageRank(a.age))
	})
	sum := int64(0)
	for _, p := range oldest {
		sum += p.waiting
		if sum*2 >= l.waiting && ageRank(p.age) >= 0 {
			return p.age
		}
	}
	return ""
}

// ageRank orders ages; -1 is an unknown one.
func ageRank(a host.Age) (rank int) {
	if a != host.AgeOf(0) && !a.AtLeast(stalled) {
		return -1
	}
	for _, d := range []time.Duration{2 * time.Second, 10 * time.Second, time.Minute,
		10 * time.Minute, time.Hour} {
		if a.AtLeast(d) {
			rank++
		}
	}
	return rank
}

// unacceptedCloseWait is how many connections in CLOSE_WAIT the application has
// not even taken: known, or at most the queue of the listener.
func unacceptedCloseWait(r *host.Reader, row host.Row) int64 {
	if row.Fact.Kind != host.InboundKind {
		return 0
	}
	if n, ok := row.Int("unaccepted_close_wait"); ok {
		return n
	}
	if n, ok := row.Int("unaccepted"); ok {
		return min(n, row.Count("CLOSE_WAIT"))
	}
	queued := int64(0)
	for i, name := int64(2), row.Name(); ; i++ {
		l, ok := r.Row(host.ListenerKind, name)
		if !ok {
			return min(queued, row.Count("CLOSE_WAIT"))
		}
		queued += l.Count("queue")
		name = row.Name() + "~" + itoa(i)
	}
}

// leaking tells a leak from connections that are just being closed, where many
// peers close at once: by how long they stay or, where that is not long, by their share.
func (l leak) leaking() bool {
	if l.waiting < closeMany {
		return false
	}
	switch age := l.age(); {
	case age.AtLeast(10 * time.Second):
		return true
	case age == "" || age.AtLeast(stalled):
		return l.waiting*10 >= l.open
	}
	return l.waiting*2 >= l.open // younger than 2 s
}

func (l leak) gauge() Gauge {
	// Bounds stays empty: process-files bounds what the process can hold.
	g := Gauge{
		Subject:   l.subject,
		Unit:      "descriptors in CLOSE_WAIT",
		Ceiling:   l.soft,
		Used:      l.waiting,
		Unbounded: !l.softKnown,
		Owner:     "close() in the application; the kernel has no timeout for it",
	}
	g.Steps = []Step{{
		Label: "in CLOSE_WAIT",
		Value: l.waiting,
		Unit:  "connections",
		How:   Read,
		From:  "sock_diag",
	}}
	if l.softKnown {
		g.Steps = append(g.Steps, Step{
			Label: "descriptors that the process may have open",
			Value: l.soft,
			Unit:  "descriptors",
			How:   Read,
			From:  "RLIMIT_NOFILE",
		})
	}
	if !l.leaking() {
		g.Near = neverNear
		return g
	}
	if g.Decides = l.subject.PID == 0 && !l.several; g.Decides {
		g.Unseen = []host.Missing{{Fact: l.row, Why: "its process could not be seen"}}
	}
	g.Cause, g.Evidence = l.cause(), l.evidence()
	// Peers that closed a moment ago are no fault yet, be it a whole pool at once. In a
	// window they come and go: it was long enough to see them stay.
	young := l.young() && !g.IsNear()
	g.Notice, g.Harms = young, !young
	if !young {
		g.Remedies = l.remedies()
	}
	if l.young() && !l.windowed {
		g.Remedies = append(g.Remedies, Remedy{
			Kind:    Live,
			Setting: "maxconn check --for 10s",
			Text: "see whether they stay: a program that closes a little " +
				"late is no fault, one that never does is a leak",
			TakesEffect: Now,
		})
	}
	return g
}

// young says that they have not been in CLOSE_WAIT for long, so that the application may be
// about to close them.
func (l leak) young() bool {
	age := l.age()
	return age != "" && !age.AtLeast(stalled) && !l.stopped() && !l.frozen
}

func (l leak) stopped() bool { return strings.EqualFold(l.processState, "t") }

// holder names the process, as far as it is known.
func (l leak) holder() string {
	switch {
	case l.several && l.subject.Process != "":
		return "several processes (" + l.subject.Process + ")"
	case l.several:
		return "several processes"
	case l.subject.PID == 0:
		return "a process that could not be seen"
	}
	return who(l.subject.Process, l.subject.PID)
}

func (l leak) cause() string {
	var b strings.Builder
	age := l.age()
	what := plural(l.waiting, "connection") +
		" that the peer has closed are still open here (CLOSE_WAIT)"
	switch {
	case age.AtLeast(stalled):
		b.WriteString(l.holder() + " does not close: " + what +
			", typically for more than " + string(age))
	case age == "":
		b.WriteString(l.holder() + " does not close: " + what)
	default:
		b.WriteString(l.holder() + " has not closed yet: " + what +
			", for less than 2 s so far")
	}
	b.WriteString("; " + l.where())
	if l.stopped() {
		b.WriteString("; the process is stopped (state " + l.processState + ")")
	}
	if l.frozen {
		b.WriteString("; the process is frozen with its cgroup")
	}
	return b.String()
}

// where lists the three listeners or destinations with most of the connections.
func (l leak) where() string {
	if len(l.places) == 1 {
		return "all at " + l.places[0].name
	}
	var parts []string
	for _, p := range l.places[:min(3, len(l.places))] {
		parts = append(parts, figure.Count(p.waiting)+" at "+p.name)
	}
	if n := int64(len(l.places)) - 3; n > 0 {
		parts = append(parts, "the rest at "+plural(n, "other place"))
	}
	return strings.Join(parts, ", ")
}

func (l leak) evidence() []Evidence {
	ev := []Evidence{{"sock_diag CLOSE_WAIT", itoa(l.waiting),
		"of " + plural(l.open, "connection") + " that the application holds; each " +
			"keeps a descriptor and about " + IdleSize + " of kernel memory"}}
	if age := l.age(); age.AtLeast(stalled) {
		ev = append(ev, Evidence{"tcp_info", "over " + string(age),
			"the typical time in CLOSE_WAIT; a program that closes needs milliseconds"})
	}
	if l.unaccepted > 0 {
		ev = append(ev, Evidence{"sock_diag unaccepted", itoa(l.unaccepted),
			"more in CLOSE_WAIT that wait for accept(), which accept-queue tells of"})
	}
	return ev
}

func (l leak) remedies() []Remedy {
	if l.stopped() {
		return []Remedy{letRun(l.subject.PID)}
	}
	if l.frozen {
		return []Remedy{thaw}
	}
	look := "ss -tnp state close-wait"
	return []Remedy{
		closeThem(l.holder()),
		{
			Kind:        Live,
			Setting:     look,
			Text:        "see which connections they are, and whether they grow",
			TakesEffect: Now,
		},
		restartFrees,
	}
}

// letRun is for a process that was stopped.
func letRun(pid int64) Remedy {
	return Remedy{
		Kind: Live, Setting: "kill -CONT " + itoa(pid), TakesEffect: Now,
		Text: "let the stopped process run again, unless a debugger holds it",
	}
}

// thaw is for a process that stands still with its cgroup.
var thaw = Remedy{
	Kind: Live, TakesEffect: Now,
	Text: "thaw the cgroup of the process: docker unpause, systemctl thaw, or echo 0 into " +
		"its cgroup.freeze (version 1: THAWED into freezer.state)",
}

func closeThem(program string) Remedy {
	return Remedy{
		Kind: ByApplication,
		Text: "in " + program + ": close the socket when read() returns 0 and on every " +
			"error, also for connections that stand unused in a pool",
		TakesEffect: AtStart,
	}
}

var restartFrees = Remedy{
	Kind: Live,
	Text: "a restart of the process frees them; without a change in the program they come " +
		"back",
	TakesEffect: AtStart,
}
