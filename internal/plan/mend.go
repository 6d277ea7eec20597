package plan

import (
	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/limit"
)

// mend lifts what check finds fault with, so far that it would find none.
func (m *maker) mend() {
	m.aim = Mend
	then := m.options.only(diagnose.Faults(m.now))
	for i, n := range then {
		then[i].Want = max(n.Want, n.Gauge.Peak, m.options.room(n.Gauge))
	}
	faults := make([]fault, len(then))
	for i, n := range then {
		byWord := n.Gauge.Unbounded || len(n.Gauge.Cure) > 0
		faults[i] = fault{gaugeOf(n), byWord, n.Exceeds()}
	}
	for range mostRounds {
		if !m.mendAll(then) {
			break
		}
		then = m.options.only(diagnose.Faults(m.then))
	}
	after, changed := map[gauge]*diagnose.Need{}, map[gauge]bool{}
	for i := len(then) - 1; i >= 0; i-- {
		after[gaugeOf(then[i])] = &then[i] // of several the first
	}
	for _, t := range m.taken {
		changed[gaugeOf(t.need)] = true
	}
	for _, f := range faults {
		n := after[f.gauge]
		if n != nil && !f.mended(*n, changed[f.gauge]) {
			m.left = append(m.left, *n)
		}
	}
}

// mendAll raises ceilings that are too low for what is there. Where no ceiling is, or a higher one
// is not the answer, the limit says what to do.
func (m *maker) mendAll(faults []diagnose.Need) (changed bool) {
	for _, n := range faults {
		switch {
		case n.Exceeds():
			changed = m.meet(n) || changed
		case len(n.Gauge.Cure) > 0:
			changed = m.carryOut(n, n.Gauge.Cure) || changed
		case n.Gauge.Unbounded:
			changed = m.carryOut(n, n.Gauge.Remedies) || changed
		}
	}
	m.then = m.now.With(m.settings()...)
	return changed
}

// mended: what moved in a window speaks of the host as it was. A fault is gone where the
// ceiling was too low and is not any more, or where what the finding says was done.
func (f fault) mended(after diagnose.Need, changed bool) bool {
	if f.byWord {
		return changed
	}
	return f.exceeds && !after.Exceeds()
}

// fault is what has to be remembered of one while its cure is looked for.
type fault struct {
	gauge           gauge
	byWord, exceeds bool // no figure says when it is gone
}

// gauge is what stays of a gauge when the host is judged again.
type gauge struct {
	limit   *limit.Limit
	subject limit.Subject
	measure limit.Measure
	unit    string
}

func gaugeOf(n diagnose.Need) gauge {
	return gauge{n.Gauge.Limit, n.Gauge.Subject, n.Gauge.Measure, n.Gauge.Unit}
}
