package diagnose

import (
	"cmp"
	"errors"
	"slices"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// evaluation is what the catalogue says of one snapshot.
type evaluation struct {
	gauges  []limit.Gauge
	checked []Checked
	unseen  map[missing]*blame
	void    map[limit.ID]bool // limits that could not be evaluated at all
	covers  *coverage         // of the gauges, made when it is asked for
	mayBe   map[int]map[int64]bool
	doubted map[missing]bool // what is unknown of the workload for want of it
	someone *bool            // whether a flow's process could not be seen; nil: not asked
}

// coverage is made once, when all gauges are there.
func (e *evaluation) coverage() *coverage {
	if e.covers == nil {
		e.covers = newCoverage(e.gauges)
		e.mayBe = map[int]map[int64]bool{}
		for i, g := range e.gauges {
			if len(g.MaySpare) > 0 {
				e.mayBe[i] = setOf(g.MaySpare)
			}
		}
	}
	return e.covers
}

// maySpare says whether it is not known of one of the flow's processes that the gauge bounds it.
func (e *evaluation) maySpare(f flow, i int) bool {
	set := e.mayBe[i]
	return len(set) > 0 && slices.ContainsFunc(f.pids, func(pid int64) bool { return set[pid] })
}

// missing is a fact and the reason that it could not be read.
type missing struct{ fact, why string }

// blame is the limits that lack a fact, and whether the host may not hold for all that is known.
type blame struct {
	limits  []string
	decides bool
}

func evaluate(s host.Snapshot, o Options) *evaluation {
	e := &evaluation{unseen: map[missing]*blame{}, void: map[limit.ID]bool{},
		doubted: map[missing]bool{}}
	var all [][]limit.Gauge
	for _, l := range limit.Catalogue() {
		if len(o.Limits) > 0 && !slices.Contains(o.Limits, string(l.ID)) {
			continue
		}
		gauges, r := l.Evaluate(s, o.Workload)
		if err := r.Err(); err != nil {
			e.void[l.ID] = true
			e.miss(l, err, true)
			all = append(all, ceilingless(l, err))
			continue
		}
		all = append(all, gauges)
		e.checked = append(e.checked, Checked{Limit: string(l.ID), Subjects: len(gauges)})
		e.missAll(l, s, r, gauges)
	}
	e.gauges = slices.Concat(all...)
	if kernel := s.Read().Kernel(); kernel.Before(4, 4) {
		why := "the formulas are checked against Linux 4.4 to 6.18, and this is " +
			kernel.String()
		e.unseen[missing{host.System("kernel").String(), why}] = &blame{}
	}
	return e
}

// someoneUnseen says whether some flow's process could not be seen.
func (e *evaluation) someoneUnseen(s host.Snapshot) bool {
	if e.someone == nil {
		e.someone = new(ownerless(s.Read()))
	}
	return *e.someone
}

// missAll notes what a limit that could be evaluated did without.
func (e *evaluation) missAll(l *limit.Limit, s host.Snapshot, r *host.Reader,
	gauges []limit.Gauge) {
	for _, g := range gauges {
		for _, m := range g.Unseen {
			e.miss(l, &m, g.Decides)
		}
	}
	for _, f := range l.Needs {
		if why := partial(s, f); why != "" {
			decides := f != host.All(host.ProcessKind) || e.someoneUnseen(s)
			e.miss(l, &host.Missing{Fact: f, Why: why}, decides)
		}
	}
	parts := map[host.Kind]string{} // each table is gone through once, not for each of its rows
	for _, m := range r.Missed() {
		kind := m.Fact.Kind
		if _, known := parts[kind]; !known {
			parts[kind] = partial(s, host.All(kind))
		}
		if parts[kind] == "" && matters(l, m.Fact, m.Why) {
			e.miss(l, &m, true)
		}
	}
}

// ceilingless are gauges of a limit that could not be evaluated: they bound all that it may
// bound, and nobody knows where.
func ceilingless(l *limit.Limit, err error) (gauges []limit.Gauge) {
	m := missingFact(err)
	if nowhere(m.Why) {
		return nil
	}
	for _, measure := range []limit.Measure{limit.Held, limit.PerSecond, limit.Burst} {
		if l.Bounds.Direction != 0 && l.Bounds.Has(l.Bounds.Direction, measure) {
			gauges = append(gauges, limit.Gauge{Limit: l, Measure: measure,
				Bounds: l.Bounds.Direction, Unbounded: true, AtMost: true,
				Unseen: []host.Missing{m}})
		}
	}
	return gauges
}

// nowhere says whether a reason is that the kernel has no such thing, so that it limits nobody.
func nowhere(why string) bool {
	return why == host.NoSetting || why == host.Absent || why == host.NoConntrack
}

// matters says whether the host may not hold for want of a fact. What is not there limits
// nobody, and what is the host's is not judged in a network namespace of its own.
func matters(l *limit.Limit, f host.Fact, why string) bool {
	return !host.IsAbsence(why) && why != host.InChild &&
		!host.Untellable(why) && !slices.Contains(l.Details, f) &&
		!slices.Contains(l.Details, host.All(f.Kind))
}

// partial is why rows of a table that a limit needs are missing, or "".
func partial(s host.Snapshot, f host.Fact) string {
	if f != host.All(f.Kind) || !f.Kind.IsTable() {
		return ""
	}
	return s.Read().Partial(f.Kind)
}

// miss notes that a limit lacks a fact; decides says that the limit may bind for all that is known.
func (e *evaluation) miss(l *limit.Limit, err error, decides bool) {
	m := missingFact(err)
	key := missing{m.Fact.String(), m.Why}
	decides = decides && (matters(l, m.Fact, m.Why) || e.undecided(l))
	b := e.unseen[key]
	if b == nil {
		b = &blame{}
		e.unseen[key] = b
	}
	if b.decides = b.decides || decides; !slices.Contains(b.limits, string(l.ID)) {
		b.limits = append(b.limits, string(l.ID))
	}
}

// missingFact is the fact that an error of a reader speaks of.
func missingFact(err error) host.Missing {
	var m *host.Missing
	var bad *host.Malformed
	switch {
	case errors.As(err, &m):
		return *m
	case errors.As(err, &bad):
		return host.Missing{Fact: bad.Fact,
			Why: "its text is not " + bad.Want + ": " + bad.Text}
	}
	return host.Missing{Why: err.Error()}
}

// unseenList is sorted by fact.
func (e *evaluation) unseenList() []Unseen {
	out := []Unseen{}
	for k, b := range e.unseen {
		out = append(out, Unseen{k.fact, k.why, b.limits, b.decides})
	}
	slices.SortFunc(out, func(a, b Unseen) int {
		return cmp.Or(cmp.Compare(a.Fact, b.Fact), cmp.Compare(a.Why, b.Why))
	})
	return out
}

// undecided says that nobody can tell whether the host holds for want of this limit.
func (e *evaluation) undecided(l *limit.Limit) bool {
	return l.Decides != (limit.Flows{}) && e.void[l.ID]
}

// verdict sums up: something binds if any finding is more than information; nobody knows
// where something that was not seen might.
func verdict(r Report) Verdict {
	for _, f := range r.Findings {
		if f.Severity != Info {
			return Binds
		}
	}
	decides := func(u Unseen) bool { return u.Decides }
	switch {
	case anyGoal(r.Workload, DoesNotHold):
		return Binds
	case anyGoal(r.Workload, GoalUnknown), len(r.Checked) == 0,
		slices.ContainsFunc(r.Unseen, decides):
		return Unknown
	}
	return Holds
}

func anyGoal(all []Judged, v GoalVerdict) bool {
	return slices.ContainsFunc(all, func(j Judged) bool { return j.Verdict == v })
}
