package diagnose

import (
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// Need is what a workload wants of a gauge.
type Need struct {
	Gauge *limit.Gauge // never written; many needs may share it
	Goal  limit.Goal   // what asks for it; where several goals share the gauge, the first
	// Want is what the goals want of the gauge, Others what else uses it and goes on
	// to; both in the gauge's measure.
	Want, Others int64
	// Direction is that of the goal: the same address and port may be a destination and
	// a listener.
	Direction limit.Direction
	// Sharers is over how many such gauges the goal's connections spread: the processes
	// of a listener.
	Sharers int64
	// Mend is the ceiling under which the gauge would refuse nothing that is there now, where
	// it does. Stuck says that it refuses, or does not serve, what is wanted, and that no
	// ceiling cures it.
	Mend  int64
	Stuck bool
	place int // of the gauge
}

// Alone is a need with a gauge of its own, which does not keep all others in memory.
func (n Need) Alone() Need {
	n.Gauge = new(*n.Gauge)
	return n
}

// Total is what the gauge would have to hold.
func (n Need) Total() int64 { return max(n.Want+n.Others, n.Mend) }

// Exceeds says whether the gauge does not hold it, or refuses it already.
func (n Need) Exceeds() bool {
	return n.Stuck || n.tooMuch() || !n.Gauge.Unbounded && n.Mend > n.Gauge.Ceiling
}

// tooMuch says whether what is wanted is above the ceiling.
func (n Need) tooMuch() bool {
	return n.Want > 0 && !n.Gauge.Unbounded && n.Want+n.Others > n.possible()
}

// possible is what the gauge holds, as far as somebody may count on it.
func (n Need) possible() int64 {
	if n.Gauge.Fits > 0 {
		return min(n.Gauge.Fits, n.Gauge.Ceiling)
	}
	return n.Gauge.Ceiling
}

// unknown says whether nobody can tell if the gauge holds it: for want of a fact that somebody
// could have, not of one that this kernel does not tell.
func (n Need) unknown() bool {
	return n.Want > 0 && n.Gauge.Blind() && !n.Exceeds() && n.Total() > n.Gauge.Sure &&
		slices.ContainsFunc(n.Gauge.Unseen, func(m host.Missing) bool {
			return matters(n.Gauge.Limit, m.Fact, m.Why)
		})
}

// doubts are the words for the facts that unknown speaks of.
func (n Need) doubts() string {
	var words []string
	for _, m := range n.Gauge.Unseen {
		if matters(n.Gauge.Limit, m.Fact, m.Why) {
			words = append(words, m.Error())
		}
	}
	return "it could not be judged: " + strings.Join(words, "; ")
}

// Together says how the goals of a workload are meant.
type Together bool

const (
	// AtOnce: what goals share (a process, the host's memory) must hold all of them together.
	AtOnce Together = true
	// OneByOne: each goal has the host for itself, beside what is there already.
	OneByOne Together = false
)

// Needs is what a workload wants of each gauge that bounds it.
func Needs(s host.Snapshot, w limit.Workload, t Together) iter.Seq[Need] {
	return evaluate(s, Options{Workload: w}).needs(s, w, t)
}

// Unmet lists the gauges that a wanted workload does not fit.
func Unmet(s host.Snapshot, w limit.Workload, t Together) ([]Need, []Unseen) {
	e := evaluate(s, Options{Workload: w})
	needs := e.exceeded(e.needs(s, w, t))
	return needs, e.voided()
}

// exceeded are the needs that do not fit; for want of what nobody knows whether others do is noted.
func (e *evaluation) exceeded(needs iter.Seq[Need]) (out []Need) {
	for n := range needs {
		switch {
		case n.Exceeds():
			out = append(out, n.Alone())
		case n.unknown():
			for _, m := range n.Gauge.Unseen {
				e.miss(n.Gauge.Limit, &m, true)
				e.doubted[missing{m.Fact.String(), m.Why}] = true
			}
		}
	}
	return out
}

// voided are the facts for want of which whole limits could not be judged, or what the workload
// wants; only the latter decide.
func (e *evaluation) voided() (out []Unseen) {
	for _, u := range e.unseenList() {
		u.Decides = e.doubted[missing{u.Fact, u.Why}]
		if u.Decides || slices.ContainsFunc(u.Limits, func(id string) bool {
			return e.void[limit.ID(id)]
		}) {
			out = append(out, u)
		}
	}
	return out
}

// Faults lists the gauges that check finds fault with. Want is the ceiling under which it
// would find none, 0 where a higher one would not help or nobody knows how high.
func Faults(s host.Snapshot) (needs []Need) {
	for _, g := range evaluate(s, Options{}).gauges {
		if severity := Judge(g); severity == Critical || severity == Warning {
			needs = append(needs, Need{Gauge: &g, Want: g.Enough})
		}
	}
	return needs
}

func (e *evaluation) needs(s host.Snapshot, w limit.Workload, t Together) iter.Seq[Need] {
	wants := e.wants(demandsOf(s.Read(), w))
	return func(yield func(Need) bool) {
		for i := range e.gauges {
			for _, n := range e.onGauge(&e.gauges[i], wants[i], t) {
				if !yield(n) {
					return
				}
			}
		}
	}
}

// onGauge is what the demands want of one gauge, each by itself or all together.
func (e *evaluation) onGauge(g *limit.Gauge, wants []Need, t Together) []Need {
	var shared Need
	alone := wants[:0]
	for _, n := range wants {
		n.Gauge = g
		switch {
		case apart(*g):
			alone = append(alone, n)
		case t == OneByOne:
			alone = append(alone, n.beside(g))
		default:
			shared = shared.plus(n)
		}
	}
	if shared.Want > 0 || shared.Stuck {
		alone = append(alone, shared.beside(g))
	}
	return alone
}

// wants is what each demand asks of each gauge, by the place of the gauge and in the order
// of the demands; the gauge itself is left out.
func (e *evaluation) wants(demands []demand) map[int][]Need {
	all := map[int][]Need{}
	for _, d := range demands {
		own := map[int]*Need{}
		for _, f := range d.flows {
			for _, i := range e.coverage().of(f) {
				n := own[i]
				if n == nil {
					n = &Need{Goal: d.goal, Sharers: 1, place: i}
					own[i] = n
				}
				n.ask(f, &e.gauges[i])
			}
		}
		for i, n := range own {
			if apart(e.gauges[i]) {
				n.Others = 0
			}
			if n.Want > 0 || n.Stuck || n.Mend > 0 {
				all[i] = append(all[i], *n)
			}
		}
	}
	return all
}

// ask adds what one flow of the goal wants of a gauge.
func (n *Need) ask(f flow, g *limit.Gauge) {
	n.Want = max(n.Want, f.share(n.Goal.Want(g.Measure), g))
	n.Sharers, n.Direction = f.sharers(g), f.direction
	n.Others -= f.now / n.Sharers
	switch {
	case !ofTheFlow(g.Limit.Scope):
	case refuses(*g) && g.Enough > 0 && apart(*g):
		n.Mend = max(n.Mend, g.Enough)
	case refuses(*g) && g.Enough == 0:
		n.Stuck = true
	}
}

// ofTheFlow says whether what has a ceiling serves the flow alone, or its processes: what refuses
// there refuses the flow. What refuses on the whole host is a finding of its own.
func ofTheFlow(s limit.Scope) bool {
	return s == limit.Listener || s == limit.Process || s == limit.Peer
}

// refuses says whether a gauge refuses connections now, or a listener does not serve them.
func refuses(g limit.Gauge) bool {
	return g.Refusing || g.Harms && g.Enough == 0 && g.Limit.Scope == limit.Listener
}

// demand is a goal and the flows of this host that it means.
type demand struct {
	goal      limit.Goal
	direction limit.Direction
	flows     []flow
}

// demandsOf finds the flows of each goal. A destination that nobody is connected to has one
// of which nothing is known.
func demandsOf(r *host.Reader, w limit.Workload) (out []demand) {
	w = w.Merged()
	if len(w.Outbound) > 0 {
		to := destinationFlows(r)
		for _, goal := range w.Outbound {
			flows := to[goal.Subject]
			if flows == nil {
				flows = []flow{{direction: limit.Outbound}}
			}
			out = append(out, demand{goal, limit.Outbound, flows})
		}
	}
	if len(w.Inbound) > 0 {
		all := newListeners(listenerFlows(r))
		for _, goal := range w.Inbound {
			out = append(out, demand{goal, limit.Inbound, all.of(goal.Subject)})
		}
	}
	return out
}

// destinationFlows are the outbound flows by their destination.
func destinationFlows(r *host.Reader) map[string][]flow {
	to := map[string][]flow{}
	for _, row := range r.Table(host.OutboundKind) {
		if _, f, ok := outboundFlow(r, row); ok {
			to[f.destination] = append(to[f.destination], f)
		}
	}
	return to
}

// plus adds the demand of a further goal.
func (n Need) plus(m Need) Need {
	if n.Want == 0 {
		m.Stuck = m.Stuck || n.Stuck
		return m
	}
	n.Want, n.Others, n.Stuck = n.Want+m.Want, n.Others+m.Others, n.Stuck || m.Stuck
	return n
}

// beside adds what else uses the gauge now. A use in connections held says nothing of rates.
func (n Need) beside(g *limit.Gauge) Need {
	if n.Others = max(0, g.Used+n.Others); g.Measure != limit.Held {
		n.Others = 0
	}
	return n
}

// apart says whether goals do not add up in a gauge: each destination and each listener has
// a ceiling of its own.
func apart(g limit.Gauge) bool {
	switch g.Limit.Scope {
	case limit.Peer:
		return g.Subject.Destination != "" || g.Subject.Source == ""
	case limit.Listener:
		return true
	}
	return false
}

// share is how much of a demand falls on a gauge: processes that share a
// listener share its connections.
func (f flow) share(want int64, g *limit.Gauge) int64 {
	n := f.sharers(g)
	return want/n + min(want%n, 1)
}

// sharers is over how many gauges of the same limit the flow's connections spread.
func (f flow) sharers(g *limit.Gauge) int64 {
	if n := int64(len(f.pids)); g.Limit.Scope == limit.Process && g.Subject.PID != 0 && n > 1 {
		return n
	}
	return 1
}

// unmetFindings says of each limit that a workload would run into what would lift it.
func unmetFindings(needs []Need) (out []Finding) {
	for _, n := range needs {
		if !n.tooMuch() {
			continue // it refuses already: that finding is there
		}
		if n.Gauge.Lift != nil {
			n = n.Alone()
			n.Gauge.Remedies = n.Gauge.Lift(n.Total())
		}
		out = append(out, n.finding())
	}
	return out
}

func (n Need) finding() Finding {
	found := newFinding(*n.Gauge, Warning)
	found.Demand = n.Want
	found.Subject = n.Subject()
	found.Cause = n.Words()
	if n.Gauge.Cause != "" {
		found.Cause += "; " + n.Gauge.Cause
	}
	return found
}

// Subject is whose ceiling it is, or the destination that is asked for where there are no
// connections yet.
func (n Need) Subject() string {
	if n.Gauge.Subject.Kind == limit.AnyPeer {
		return n.Goal.Subject
	}
	return n.Gauge.Subject.Name
}

// Words are the two figures that do not fit.
func (n Need) Words() string {
	if !n.tooMuch() && n.Exceeds() {
		return "connections are refused or not served already: " + n.Gauge.Cause
	}
	words := "wanted " + figure.Count(n.Want) + " connections "
	if n.Gauge.Measure == limit.Burst {
		words += "at once"
	} else {
		words += string(n.Gauge.Measure)
	}
	if n.Others > 0 {
		words += " beside " + figure.Count(n.Others) + " others"
	}
	return words + ", possible " + figure.Count(n.possible())
}

// merge puts a demand into the finding that already speaks of the same limit and
// subject, so that nothing is said twice.
func merge(present, wanted []Finding) []Finding {
	type subject struct {
		limit, name string
		measure     limit.Measure
	}
	of := func(f Finding) subject { return subject{f.Limit, f.Subject, f.Measure} }
	first := map[subject]int{}
	for i, f := range present {
		if _, known := first[of(f)]; !known {
			first[of(f)] = i
		}
	}
	for _, f := range wanted {
		i, known := first[of(f)]
		if !known {
			first[of(f)] = len(present)
			present = append(present, f)
			continue
		}
		p := &present[i]
		p.Demand, p.Cause = f.Demand, f.Cause
		if len(f.Remedies) > 0 {
			p.Remedies = f.Remedies
		}
		if p.Severity == Info {
			p.Severity = Warning
		}
	}
	return present
}

// Unowned lists the inbound goals whose connections are held by a process that could not be
// seen: nobody can say whether its descriptors suffice.
func Unowned(s host.Snapshot, w limit.Workload) (goals []string) {
	r := s.Read()
	for _, d := range demandsOf(r, limit.Workload{Inbound: w.Inbound}) {
		unseen := func(pid int64) bool {
			_, ok := r.Row(host.ProcessKind, strconv.FormatInt(pid, 10))
			return !ok
		}
		hidden := func(f flow) bool {
			return f.ownerless || slices.ContainsFunc(f.pids, unseen)
		}
		if d.goal.Held > 0 && slices.ContainsFunc(d.flows, hidden) {
			goals = append(goals, d.goal.Subject)
		}
	}
	return goals
}

// Unmatched lists the inbound goals that no listener of the snapshot answers to.
func Unmatched(s host.Snapshot, w limit.Workload) (goals []string) {
	flows := newListeners(listenerFlows(s.Read()))
	for _, goal := range w.Inbound {
		if len(flows.of(goal.Subject)) == 0 {
			goals = append(goals, goal.Subject)
		}
	}
	return goals
}
