package limit

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// mostBacklog is the largest net.core.somaxconn (INT_MAX); a queue limit is an unsigned
// 32-bit number.
const mostBacklog = 1<<31 - 1

// queueLift lengthens the queues of listening sockets: somaxconn first, then listen() again
// on each open socket.
type queueLift struct {
	group     group // the members that share the demand
	somaxconn int64
	known     bool // somaxconn
	// the kernel has pidfd_getfd (5.6), so that another process can call listen() on
	// the socket
	live bool
	// dropped are the SYNs and ACKs of a window that are counted in two needs
	dropped int64
	needs   [2]int64
}

func newQueueLift(r *host.Reader, g group) queueLift {
	l := queueLift{group: g, live: r.Kernel().Since(5, 6)}
	l.somaxconn, l.known = r.Maybe(host.Sysctl("net.core.somaxconn"))
	return l
}

// Queues are the accept queues of what listens at an address and port, or at a port whatever the
// address (":80"), a gauge for each group. Their Lift gives each queue the limit that is asked for.
func Queues(r *host.Reader, listener string) (out []Gauge) {
	for _, g := range listenerGroups(r) {
		if !isAt(g.name, listener) {
			continue
		}
		l := newQueueLift(r, g)
		out = append(out, Gauge{
			Limit: Find(AcceptQueue), Subject: g.subject(), Ceiling: g.capacity(),
			Used:  g.queued(),
			Cause: "asked for", Owner: backlogOwner(g.members[0], l.somaxconn, l.known),
			Lift: func(limit int64) []Remedy {
				return l.lengthenAll(min(limit, mostBacklog),
					"the queue takes one connection more than its limit")
			},
		})
	}
	return out
}

// isAt says whether a group listens where somebody means: IPv4 in IPv6 is IPv4.
func isAt(group, listener string) bool {
	at, err := netip.ParseAddrPort(group)
	if port, any := strings.CutPrefix(listener, ":"); any {
		return err == nil && itoa(int64(at.Port())) == port
	}
	want, err2 := netip.ParseAddrPort(listener)
	return err == nil && err2 == nil && at.Port() == want.Port() &&
		at.Addr().Unmap() == want.Addr().Unmap()
}

// sharing is the members whose queues the gauge counts: all, or the one that has to bear it alone.
func (g group) sharing(out Gauge, alone member) group {
	if out.Ceiling == g.capacity() {
		return g
	}
	g.members = []member{alone}
	return g
}

// to makes room for that many connections, spread over the members by a hash.
func (l queueLift) to(need int64) []Remedy {
	n := int64(len(l.group.members))
	each := eachQueue(int(n), min(need, most))
	limit := min(roundUp(each-1), mostBacklog) // a queue holds its limit and one more
	if each-1 > mostBacklog {
		return []Remedy{{
			Kind: ByTopology,
			Text: "no queue is longer than " + figure.Count(mostBacklog) +
				": more listeners",
			TakesEffect: AtListen,
		}}
	}
	sum := plural(each, "connection") + " at once"
	if l.dropped > 0 && slices.Contains(l.needs[:], need) {
		sum = "room for " + figure.Count(each) + ": twice the queue, and " +
			figure.Count(l.dropped) + " SYNs and ACKs dropped in the window, " +
			"retransmissions included"
	}
	if n > 1 {
		sum = figure.Count(need) + " over " + plural(n, "member") +
			" of the SO_REUSEPORT group, up to " + sum + " each, because the hash " +
			"spreads unevenly"
	}
	return l.lengthenAll(limit,
		sum+"; a queue holds its limit and one more, up to the next power of two")
}

// lengthenAll gives each member that has less this limit, and the cap before them.
func (l queueLift) lengthenAll(limit int64, sum string) (out []Remedy) {
	for _, m := range l.group.members {
		if m.limit < limit {
			out = append(out, l.lengthen(m, limit, sum))
		}
	}
	if len(out) == 0 || !l.known || limit <= l.somaxconn {
		return out
	}
	return append([]Remedy{l.raiseCap(limit, out)}, out...)
}

// raiseCap is of use only to a listen() that comes: one that the plan makes, or one of a
// program that asks for more than it got.
func (l queueLift) raiseCap(limit int64, members []Remedy) Remedy {
	m := Remedy{Kind: BySetting, Setting: "net.core.somaxconn", From: itoa(l.somaxconn),
		To: itoa(limit), TakesEffect: AtListen,
		Text: "raise the cap; the listener keeps its limit until listen() is called again",
		Sum:  "caps what listen() may ask for, and " + figure.Count(limit) + " are needed",
		Cost: "none by itself",
		Risk: "servers that ask for the most there is get longer queues when they " +
			"start again",
		Lasts: untilBoot,
	}
	if members[0].IsChange() || l.group.members[0].limit == l.somaxconn {
		m.Change = host.Setting{Fact: host.Sysctl("net.core.somaxconn"), Want: itoa(limit)}
	}
	return m
}

// lengthen calls listen() again on the open socket, or says who has to.
func (l queueLift) lengthen(m member, limit int64, sum string) Remedy {
	out := Remedy{
		Setting:     "listen() on the open socket of " + l.group.name,
		From:        itoa(m.limit),
		To:          itoa(limit),
		TakesEffect: Now,
		Sum:         sum,
	}
	whose := who(m.process, m.pid)
	switch {
	case !l.known:
		out.Text = "listen() called again on the same socket raises the limit without " +
			"a restart, up to net.core.somaxconn, which could not be seen here"
	case l.live && m.pid != 0:
		out.Text = "listen() called again on the same socket raises the limit without " +
			"a restart, also from another process that duplicates it (pidfd_getfd, " +
			"Linux 5.6)"
		out.Change = host.Setting{Fact: host.Fact{Kind: host.ListenerKind,
			Name: m.row.Name() + "#limit"}, Want: itoa(limit)}
	default:
		out.Setting, out.TakesEffect = "backlog argument of listen()",
			AtListen
		out.Text = "ask for a larger backlog in " + whose + notLive(l.live)
	}
	out.Kind = Live
	if !out.IsChange() && l.known {
		out.Kind = ByApplication
	}
	out.Cost = "none while nobody waits; a full queue of " + figure.Count(limit) + " takes " +
		mebibytes(limit*socketBytes) + " of kernel memory (" + socketSize + " a connection)"
	out.Risk = "a program that is slow to accept makes its clients wait longer instead of " +
		"refusing them sooner"
	out.Lasts = "until the socket is closed or its program calls listen() again; a larger " +
		"backlog in " + whose + " keeps it"
	return out
}

func notLive(live bool) string {
	if live {
		return "; the process that has it open could not be seen (root of the host sees it)"
	}
	return "; from outside this takes pidfd_getfd, Linux 5.6 or newer"
}

func acceptRemedies(g group, m member, somaxconn int64, known bool, pace pace) []Remedy {
	switch pace {
	case outOfFiles:
		return []Remedy{{
			Kind: Live,
			Text: "give " + who(m.process, m.pid) + " descriptors, or have it close " +
				"some: " + string(ProcessFiles) + " says which; a longer queue " +
				"would only make clients wait longer",
			TakesEffect: Now,
		}}
	case processStopped:
		return []Remedy{letRun(m.pid)}
	case processFrozen:
		return []Remedy{thaw}
	case notAtAll:
		return []Remedy{{
			Kind: ByApplication,
			Text: "find out why " + who(m.process, m.pid) + " does not call " +
				"accept() (blocked, out of descriptors or threads); a " +
				"longer queue would only make clients wait longer",
			TakesEffect: Now,
		}}
	case tooSlow:
		return []Remedy{{
			Kind: ByApplication,
			Text: "have " + who(m.process, m.pid) + " call accept() sooner " +
				"(an accept loop of its own, more workers); a longer queue " +
				"would only make clients wait longer",
			TakesEffect: AtStart,
		}}
	}
	want := roundUp(2*max(m.capacity(), m.queue) + m.moved)
	var out []Remedy
	cut := known && m.limit >= somaxconn
	if cut || (known && want > somaxconn) {
		out = append(out, Remedy{Kind: BySetting, Setting: "net.core.somaxconn",
			From: itoa(somaxconn), To: itoa(max(want, somaxconn)),
			Text: "raise the cap; the listener keeps its limit until listen() is " +
				"called again", TakesEffect: AtListen})
	}
	if !cut {
		out = append(out, Remedy{Kind: ByApplication,
			Setting: "backlog argument of listen()", From: itoa(m.limit),
			To: itoa(want),
			Text: "ask for a larger backlog in " + who(m.process, m.pid) +
				notSomaxconn(known), TakesEffect: AtListen})
	}
	out = append(out, Remedy{Kind: Live, Setting: "listen() on the open socket of " + g.name,
		From: itoa(m.limit), To: itoa(want),
		Text: "maxconn apply --listener " + listenerWord(g.name) + "=" + itoa(want) +
			" does it without a restart: listen() called again on the same " +
			"socket, which it duplicates out of the process (pidfd_getfd, Linux 5.6)",
		TakesEffect: Now})
	if len(g.members) > 1 {
		out = append(out, Remedy{
			Kind: ByApplication,
			Text: "one shared listener instead of SO_REUSEPORT, or members " +
				"that accept at the same pace",
			TakesEffect: AtStart,
		})
	}
	return out
}

// notSomaxconn spares the reader the popular advice, where it is known to be wrong.
func notSomaxconn(known bool) string {
	if !known {
		return ""
	}
	return "; net.core.somaxconn is not what limits it"
}

// roundUp is the next power of two, 128 at least.
func roundUp(n int64) int64 {
	p := int64(128)
	for p < min(n, most) {
		p *= 2
	}
	return p
}

// QueueLimit is the limit of the queue that listen() makes: the kernel compares without a sign, so
// that -1 asks for the most there is (net/socket.c __sys_listen_socket).
func QueueLimit(backlog, somaxconn int64) int64 {
	if backlog < 0 {
		return somaxconn
	}
	return min(backlog, somaxconn)
}
