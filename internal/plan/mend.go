package plan

import (
	"slices"

	"github.com/maxconn/maxconn/internal/diagnose"
)

// mend lifts what check finds fault with, so far that it would find none.
func (m *maker) mend() {
	m.aim = Mend
	faults := diagnose.Faults(m.now)
	for range mostRounds {
		if !m.mendAll(diagnose.Faults(m.then)) {
			break
		}
	}
	then := diagnose.Faults(m.then)
	for _, f := range faults {
		i := slices.IndexFunc(then, func(n diagnose.Need) bool { return sameGauge(n, f) })
		if i >= 0 && !m.mended(f, then[i]) {
			m.left = append(m.left, then[i])
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
func (m *maker) mended(before, after diagnose.Need) bool {
	if before.Gauge.Unbounded {
		return slices.ContainsFunc(m.taken, func(t taken) bool { return sameGauge(t.need, before) })
	}
	return before.Exceeds() && !after.Exceeds()
}

func sameGauge(a, b diagnose.Need) bool {
	return a.Gauge.Limit == b.Gauge.Limit && a.Gauge.Subject == b.Gauge.Subject && a.Gauge.Measure == b.Gauge.Measure && a.Gauge.Unit == b.Gauge.Unit
}
