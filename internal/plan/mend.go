package plan

import (
	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/limit"
)

// mend lifts what check finds fault with, so far that it would find none.
func (m *maker) mend() {
	m.aim = Mend
	faults := diagnose.Faults(m.now)
	then := faults
	for range mostRounds {
		if !m.mendAll(then) {
			break
		}
		then = diagnose.Faults(m.then)
	}
	after, changed := map[gauge]*diagnose.Need{}, map[gauge]bool{}
	for i := len(then) - 1; i >= 0; i-- {
		after[gaugeOf(then[i])] = &then[i] // of several the first
	}
	for _, t := range m.taken {
		changed[gaugeOf(t.need)] = true
	}
	for _, f := range faults {
		n := after[gaugeOf(f)]
		if n != nil && !mended(f, *n, changed[gaugeOf(f)]) {
			m.left = append(m.left, *n)
		}
	}
}

// mendAll raises ceilings that are too low for what is there. Where there is no ceiling, the remedies of the finding say what to do.
func (m *maker) mendAll(faults []diagnose.Need) (changed bool) {
	for _, n := range faults {
		switch {
		case n.Exceeds():
			changed = m.meet(n) || changed
		case n.Gauge.Unbounded:
			changed = m.carryOut(n, n.Gauge.Remedies) || changed
		}
	}
	m.then = m.now.With(m.settings()...)
	return changed
}

// mended: what moved in a window speaks of the host as it was. A fault is gone where the ceiling was too low and is not any
// more, or where there is none and what the finding says was done.
func mended(before, after diagnose.Need, changed bool) bool {
	if before.Gauge.Unbounded {
		return changed
	}
	return before.Exceeds() && !after.Exceeds()
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
