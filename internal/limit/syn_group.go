package limit

import (
	"slices"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// synGroup is a listener (or a SO_REUSEPORT group, whose members have a queue each) and its
// half-open connections.
type synGroup struct {
	synFacts
	group
	member         member // with the shortest queue
	ceiling        int64
	highest        int64 // the same where the kernel is one of those that hold one more
	byMax          bool  // tcp_max_syn_backlog is the lower of the two ceilings
	counted        bool  // the half-open connections were counted
	alone          bool  // the namespace has no other listener
	limits         int64
	dropped, moved int64
	acceptFull     bool
}

func newSynGroup(f synFacts, g group) synGroup {
	g.members = slices.Clone(g.members)
	for i := range g.members {
		// sk_max_ack_backlog is a u32
		g.members[i].limit = min(max(0, g.members[i].limit), 1<<32-1)
	}
	q := synGroup{synFacts: f, group: g, member: g.members[0]}
	_, q.counted = g.members[0].row.Int("syn")
	q.halfOpen = max(0, q.halfOpen)
	for _, m := range g.members {
		n, byMax := f.places(m)
		q.ceiling, q.byMax = q.ceiling+n, q.byMax || byMax
		if q.highest += n; f.oneMore == host.Untold && !byMax {
			q.highest++
		}
		q.limits += m.limit
		q.dropped, q.moved = q.dropped+m.drops, q.moved+max(0, m.moved)
		q.acceptFull = q.acceptFull || m.queue >= m.capacity()
		if m.limit < q.member.limit {
			q.member = m
		}
	}
	return q
}

// places is how many half-open connections a listening socket can have.
func (f synFacts) places(m member) (n int64, byMax bool) {
	n = max(1, f.backlogPlaces(m))
	if f.refuses() && f.maxKnown && f.admitted() < n {
		return f.admitted(), true
	}
	return n, false
}

func (f synFacts) backlogPlaces(m member) int64 {
	if f.oneMore == host.Yes {
		return m.limit + 1
	}
	return m.limit
}

// eachPlaces is how many half-open connections each member can have.
func (q synGroup) eachPlaces() (all []int64) {
	for _, m := range q.members {
		n, _ := q.places(m)
		all = append(all, n)
	}
	return all
}

// full says whether no place is left.
func (q synGroup) full() bool { return q.halfOpen > 0 && q.halfOpen >= q.ceiling }

// pruned says whether the kernel gives up old half-open connections early
// (reqsk_timer_handler: qlen*2 > max(8, backlog)).
func (q synGroup) pruned() bool { return q.halfOpen*2 > max(8*int64(len(q.members)), q.limits) }

// standing says whether what is left of a full queue still stands there: the kernel prunes
// it to half, within 7 s, and leaves that half for the full 63 s (measured: 17 to 8, 129 to 64).
func (q synGroup) standing() bool { return q.halfOpen >= 4 && (q.halfOpen+1)*2 >= q.ceiling }

// mayDrop says whether a full SYN queue drops, as far as is known.
func (f synFacts) mayDrop() bool { return !f.cookiesKnown || f.cookies == 0 }

// wasFull says whether queues of this kind were full.
func (q synGroup) wasFull() bool {
	return q.cookiesSent() || (q.mayDrop() && q.happened(q.lost(q.byMax)))
}

// attributed says whether this group's own drops in the window were at its SYN queue.
func (q synGroup) attributed() bool {
	_, moved := q.lost(q.byMax)
	return q.mayDrop() && q.moved > 0 && moved > 0 &&
		(q.overflows.moved <= 0 || q.standing() || q.full())
}

// past says whether it dropped SYNs earlier, and none of the namespace's drops was at a
// full accept queue.
func (q synGroup) past() bool {
	total, _ := q.lost(q.byMax)
	return !q.windowed && q.mayDrop() && q.dropped > 0 && total > 0 && q.overflows.known &&
		q.overflows.total == 0
}

func (q synGroup) gauge(r *host.Reader) Gauge {
	out := Gauge{
		Subject: q.subject(), Unit: "half-open connections", Ceiling: q.highest,
		Used: q.halfOpen, AtMost: !q.cookiesKnown || q.highest > q.ceiling ||
			(q.refuses() && !q.maxKnown),
		Doubt: q.refuses() && !q.maxKnown,
		Owner: backlogOwner(q.member, q.somaxconn, q.somaxconnKnown), Steps: q.steps(),
		Unseen: q.unseen,
	}
	if len(q.members) > 1 {
		out.AtMost, out.Fits = true, spread(q.eachPlaces())
	}
	out.Lift = newSynLift(r, q).to
	if q.byMax {
		out.Owner = "net.ipv4.tcp_max_syn_backlog"
	}
	if out.Decides = !q.counted && q.stores(); !q.counted {
		out.Unseen = append(out.Unseen[:len(out.Unseen):len(out.Unseen)],
			host.Missing{Fact: q.members[0].row.Fact, Why: "its half-open " +
				"connections were not counted"})
	}
	switch {
	case !q.stores():
		out.Ceiling, out.Unbounded = 0, true
		return out
	case q.refuses():
		out.Bounds = Inbound
	}
	if q.acceptFull {
		out.Near = neverNear // not a fault of this queue
		out.Cause = "the accept queue is full, so handshakes cannot end and half-open " +
			"connections pile up: see accept-queue"
		return out
	}
	q.judge(&out)
	if out.Refusing || out.Harms || out.Notice {
		out.Cause, out.Evidence, out.Remedies = q.cause(out), q.evidence(r), q.remedies(out)
	}
	if q.refuses() && !q.over(out) {
		out.Cure = []Remedy{turnCookiesOn}
	}
	return out
}

// judge sets the flags. With cookies a full queue harms and refuses nobody; tiny queues are full of
// one or two connections now and then, which says nothing as long as no counter does.
func (q synGroup) judge(out *Gauge) {
	wasFull := q.wasFull()
	if q.halfOpen < 4 && !wasFull {
		out.Near = neverNear
	}
	switch {
	case q.refuses():
		out.Refusing = (q.full() && (q.halfOpen >= 4 || wasFull)) || q.attributed()
		out.Harms = (q.standing() && wasFull) || q.ceiling == 0
	case q.cookiesKnown:
		out.Harms = ((q.full() || q.standing()) && (wasFull || !q.doCookies.known)) ||
			(q.alone && q.doCookies.moved > 0)
	default:
		out.Refusing = q.attributed()
		out.Harms = (q.full() || q.standing()) && wasFull
	}
	if out.Refusing {
		out.Refused = q.moved
	}
	out.Notice = out.IsNear() || q.pruned() || q.past() || (q.alone && q.cookiesSent())
}

// over says that there is nothing but an old event to tell.
func (q synGroup) over(g Gauge) bool {
	return !g.Refusing && !g.Harms && !g.IsNear() && !q.pruned()
}

func (q synGroup) steps() []Step {
	m := q.member
	steps := []Step{{
		Label: "queue limit of the listener (sk_max_ack_backlog)",
		Value: m.limit,
		Unit:  "connections",
		How:   Read,
		From:  "sock_diag",
	}}
	switch q.oneMore {
	case host.Yes:
		steps = append(steps, Step{
			ID:    HalfOpenPlaces,
			Label: "half-open connections that it allows",
			Sum:   itoa(m.limit) + " + 1",
			Value: q.backlogPlaces(m),
			Unit:  "connections",
			How:   Computed,
		})
	case host.No:
		steps = append(steps, Step{
			ID:    HalfOpenPlaces,
			Label: "half-open connections that it allows",
			Value: max(1, q.backlogPlaces(m)),
			Unit:  "connections",
			How:   Computed,
		})
	default:
		steps = append(steps, Step{
			ID: HalfOpenPlacesOrOne,
			Label: "half-open connections that it allows; one more where the " +
				"kernel has 3479c7549fb1, which its release does not tell",
			Value: max(1, q.backlogPlaces(m)),
			Unit:  "connections",
			How:   Computed,
		})
	}
	if q.cookiesKnown {
		steps = append(steps, Step{
			Label: q.cookieWords(),
			Value: q.cookies,
			How:   Read,
			From:  "net.ipv4.tcp_syncookies",
		})
	}
	if q.refuses() && q.maxKnown {
		steps = append(steps, Step{
			Label: "half-open connections of unknown peers that " +
				"tcp_max_syn_backlog allows",
			Sum:   itoa(q.max) + " - " + itoa(q.max>>2) + " + 1",
			Value: q.admitted(), Unit: "connections", How: Computed,
			From: "net.ipv4.tcp_max_syn_backlog",
		})
	}
	if len(q.members) > 1 {
		steps = append(steps, Step{
			Label: "over the " + itoa(int64(len(q.members))) + " members of the " +
				"SO_REUSEPORT group, when the hash spreads evenly",
			Value: q.ceiling,
			Unit:  "connections",
			How:   Computed,
		}, spreadStep(q.eachPlaces()))
	}
	if q.counted {
		steps = append(steps, Step{
			Label: "half-open now",
			Value: q.halfOpen,
			Unit:  "connections",
			How:   Read,
			From:  "sock_diag",
		})
	}
	return steps
}

func (f synFacts) cookieWords() string {
	switch {
	case f.cookies == 0:
		return "SYN cookies are off: a full SYN queue drops SYNs"
	case f.cookies == 1:
		return "SYN cookies while the SYN queue is full: it refuses nobody"
	}
	return "a SYN cookie for every SYN: the SYN queue is not used"
}

func (q synGroup) cause(g Gauge) string {
	if what := q.event(g); what != "" {
		return what + "; " + q.ownerCause()
	}
	what := "half-open connections take " + q.taken() + " of the SYN queue"
	if q.pruned() {
		what += ", and above half of it the kernel gives up the oldest after fewer SYN-ACKs"
	}
	return what + "; " + q.ownerCause()
}

func (q synGroup) taken() string {
	return figure.Count(q.halfOpen) + " of " + figure.Count(q.ceiling) + " places"
}

// event says what a full queue did or does, "" where none was full.
func (q synGroup) event(g Gauge) string {
	off := ""
	if q.refuses() {
		off = ", because SYN cookies are off (net.ipv4.tcp_syncookies = 0)"
	}
	cookies := q.cookiesSent()
	switch {
	case q.refuses() && q.ceiling == 0:
		return "every SYN of a peer that the kernel does not know yet is dropped" + off
	case q.byMax && q.full():
		return "half-open connections fill the SYN queue (" + q.taken() +
			") and further SYNs of peers that the kernel does not know yet are " +
			"dropped" + off
	case q.refuses() && q.full():
		return "half-open connections fill the SYN queue (" + q.taken() +
			") and further SYNs are dropped" + off
	case q.full() && cookies:
		return "half-open connections fill the SYN queue (" + q.taken() +
			"); SYN cookies are being sent"
	case q.full():
		return "half-open connections fill the SYN queue (" + q.taken() + ")"
	case g.Refusing:
		return "SYNs were dropped at a full SYN queue in the window" + off
	case g.Harms && !cookies:
		return "SYNs were dropped at a full SYN queue" + off +
			"; half-open connections still take " + q.taken()
	case g.Harms && q.standing():
		return "SYN cookies were sent in this namespace because a SYN queue was full; " +
			"half-open connections still take " + q.taken() + " of this one"
	case g.Harms:
		return "the SYN queue was full in the window and SYN cookies were sent"
	case q.over(g) && q.past():
		return "SYNs met a full SYN queue at this listener since it was opened and " +
			"were dropped (" + figure.Count(q.dropped) + " of them)" + off +
			"; it is not full now"
	case q.over(g):
		return "SYNs met a full SYN queue since the namespace was made and were " +
			"answered with a cookie (" + figure.Count(q.doCookies.total) +
			" of them); it is not full now"
	}
	return ""
}

// ownerCause says where the ceiling comes from.
func (q synGroup) ownerCause() string {
	if q.byMax {
		return "net.ipv4.tcp_max_syn_backlog = " + itoa(q.max) + " allows " +
			plural(q.admitted(), "half-open connection") + " of peers that it does " +
			"not know yet; the backlog of " + figure.Count(q.member.limit) +
			" would allow more"
	}
	return backlogCause(q.member, q.somaxconn, q.somaxconnKnown)
}

func (q synGroup) evidence(r *host.Reader) []Evidence {
	var ev []Evidence
	if q.halfOpen > 0 {
		ev = append(ev, Evidence{"sock_diag " + q.name + " SYN_RECV",
			figure.Count(q.halfOpen) + " of " + figure.Count(q.ceiling),
			"half-open connections: " +
				"the last ACK of their handshake has not come; one sample " +
				"cannot tell a burst from peers that never answer"})
	}
	switch {
	case q.moved > 0:
		ev = append(ev, Evidence{"sock_diag " + q.name + " drops", "+" + itoa(q.moved),
			"SYNs and ACKs dropped at this listener in the window, retransmissions " +
				"included"})
	case q.dropped > 0:
		ev = append(ev, Evidence{"sock_diag " + q.name + " drops", itoa(q.dropped),
			"SYNs and ACKs dropped at this listener since it was opened, " +
				"retransmissions included"})
	}
	return append(ev, synCounters(r, q.synFacts)...)
}

func (q synGroup) remedies(g Gauge) []Remedy {
	if q.over(g) {
		return []Remedy{{
			Kind:        Live,
			Setting:     "maxconn check --for 10s",
			Text:        "see whether the counters still move",
			TakesEffect: Now,
		}}
	}
	var out []Remedy
	if q.refuses() {
		out = append(out, turnCookiesOn)
	}
	if q.byMax {
		out = append(out, Remedy{Kind: BySetting, Setting: "net.ipv4.tcp_max_syn_backlog",
			From: itoa(q.max), To: itoa(roundUp(max(q.max+1, q.member.limit*4/3))),
			Text:        "while SYN cookies are off: let the backlog be the ceiling",
			TakesEffect: Now})
	}
	if !q.byMax || q.halfOpen >= q.backlogPlaces(q.member) {
		m := q.member
		m.queue, m.moved = 0, 0
		one := q.group
		one.members = []member{m}
		out = append(out, acceptRemedies(one, m, q.somaxconn, q.somaxconnKnown, keepsUp)...)
	}
	if q.deferred.total > 0 {
		out = append(out, Remedy{
			Kind: ByApplication,
			Text: "if this listener has TCP_DEFER_ACCEPT (nginx: deferred, HAProxy: " +
				"defer-accept): do without it, or with fewer seconds; until then " +
				"clients that have sent nothing stay half-open",
			TakesEffect: AtStart,
		})
	}
	return append(out, Remedy{
		Kind: ByTopology,
		Text: "if the half-open connections stay for a minute, and no cookie " +
			"comes back (SyncookiesRecv), their peers do not answer: forged " +
			"addresses, or SYN-ACKs that are lost. Then look at the route back and " +
			"filter before this host; a larger backlog does not help",
		TakesEffect: Now,
	})
}

var turnCookiesOn = Remedy{
	Kind: BySetting, Setting: synCookies.Name, From: "0", To: "1", TakesEffect: Now,
	Text: "answer SYNs that meet a full SYN queue with a cookie instead of dropping them; " +
		"tcp_max_syn_backlog then has no effect",
	Change: host.Setting{Fact: synCookies, Want: "1"},
	Sum:    "with cookies a full SYN queue drops nobody",
	Cost:   "none; each cookie takes some CPU time, and only while the queue is full",
	Risk: "clients that are let in by a cookie have no window scaling and no SACK where TCP " +
		"timestamps are off",
	Lasts: untilBoot,
}

var synCookies = host.Sysctl("net.ipv4.tcp_syncookies")
