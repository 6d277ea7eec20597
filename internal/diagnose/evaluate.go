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
	unseen  map[missing][]string // fact and reason -> limits
	void    map[limit.ID]bool    // limits that could not be evaluated at all
	covers  *coverage            // of the gauges, made when it is asked for
	mayBe   map[int]map[int64]bool
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

func evaluate(s host.Snapshot, o Options) *evaluation {
	e := &evaluation{unseen: map[missing][]string{}, void: map[limit.ID]bool{}}
	var all [][]limit.Gauge
	for _, l := range limit.Catalogue() {
		if len(o.Limits) > 0 && !slices.Contains(o.Limits, string(l.ID)) {
			continue
		}
		gauges, r := l.Evaluate(s, o.Workload)
		if err := r.Err(); err != nil {
			e.void[l.ID] = true
			e.miss(l.ID, err)
			continue
		}
		all = append(all, gauges)
		e.checked = append(e.checked, Checked{Limit: string(l.ID), Subjects: len(gauges)})
		for _, g := range gauges {
			for _, m := range g.Unseen {
				e.miss(l.ID, &m)
			}
		}
		for _, f := range l.Needs {
			if why := partial(s, f); why != "" {
				e.miss(l.ID, &host.Missing{Fact: f, Why: why})
			}
		}
	}
	e.gauges = slices.Concat(all...)
	if kernel := s.Read().Kernel(); kernel.Before(4, 4) {
		why := "the formulas are checked against Linux 4.4 to 6.18, and this is " +
			kernel.String()
		e.unseen[missing{host.System("kernel").String(), why}] = nil
	}
	return e
}

// partial is why rows of a table that a limit needs are missing, or "".
func partial(s host.Snapshot, f host.Fact) string {
	if f != host.All(f.Kind) {
		return ""
	}
	return s.Read().Partial(f.Kind)
}

func (e *evaluation) miss(id limit.ID, err error) {
	key := missing{why: err.Error()}
	var m *host.Missing
	var bad *host.Malformed
	switch {
	case errors.As(err, &m):
		key = missing{m.Fact.String(), m.Why}
	case errors.As(err, &bad):
		key = missing{bad.Fact.String(), "its text is not " + bad.Want + ": " + bad.Text}
	}
	if !slices.Contains(e.unseen[key], string(id)) {
		e.unseen[key] = append(e.unseen[key], string(id))
	}
}

// unseenList is sorted by fact.
func (e *evaluation) unseenList() []Unseen {
	out := []Unseen{}
	for k, limits := range e.unseen {
		out = append(out, Unseen{k.fact, k.why, limits})
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

// verdict sums up: something binds if any finding is more than information.
func verdict(r Report, e *evaluation) Verdict {
	for _, f := range r.Findings {
		if f.Severity != Info {
			return Binds
		}
	}
	switch {
	case anyGoal(r.Workload, DoesNotHold):
		return Binds
	case anyGoal(r.Workload, GoalUnknown), len(r.Checked) == 0,
		slices.ContainsFunc(limit.Catalogue(), e.undecided):
		return Unknown
	}
	return Holds
}

func anyGoal(all []Judged, v GoalVerdict) bool {
	return slices.ContainsFunc(all, func(j Judged) bool { return j.Verdict == v })
}
