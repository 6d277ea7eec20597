package diagnose

import (
	"cmp"
	"slices"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// findings lists what is worth saying, worst first.
func findings(s host.Snapshot, e *evaluation, o Options) []Finding {
	out := []Finding{}
	for _, g := range e.gauges {
		if o.PID != 0 && g.Subject.PID != 0 && g.Subject.PID != o.PID {
			continue
		}
		if severity := Judge(g); severity != "" {
			out = append(out, newFinding(g, severity))
		}
	}
	out = merge(out, unmetFindings(e.exceeded(e.needs(s, o.Workload, AtOnce))))
	effect := effects(out)
	slices.SortStableFunc(out, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Severity), rank(b.Severity)),
			cmp.Compare(effect(a), effect(b)), worse(a, b))
	})
	return out
}

// effects tells findings that others of the same severity explain, 1, from those that none does,
// 0: one limit refuses a process what makes it meet the other.
func effects(all []Finding) func(Finding) int {
	type refused struct {
		limit    string
		pid      int64
		severity Severity
	}
	causes := map[refused]bool{}
	for _, f := range all {
		causes[refused{f.Limit, f.PID, f.Severity}] = true
	}
	return func(f Finding) int {
		for _, id := range limit.Find(limit.ID(f.Limit)).Follows {
			if causes[refused{string(id), f.PID, f.Severity}] {
				return 1
			}
		}
		return 0
	}
}

// Judge is the severity of what a gauge says; "" is nothing to say.
func Judge(g limit.Gauge) Severity {
	switch {
	case g.Refusing:
		return Critical
	case g.Harms || g.IsNear():
		return Warning
	case g.Notice:
		return Info
	}
	return ""
}

// worse sorts by what is refused, then by how full, then by name.
func worse(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(b.Refused, a.Refused),
		cmp.Compare(share(b), share(a)),
		cmp.Compare(a.Limit, b.Limit),
		cmp.Compare(a.Subject, b.Subject),
	)
}

func rank(s Severity) int { return slices.Index([]Severity{Critical, Warning, Info}, s) }

// share is how full a limit is, 0 where there is no ceiling.
func share(f Finding) float64 {
	switch {
	case f.Unbounded:
		return 0
	case f.Ceiling == 0:
		return 1
	}
	return float64(max(f.Used, f.Demand)) / float64(f.Ceiling)
}

func newFinding(g limit.Gauge, severity Severity) Finding {
	f := Finding{
		Limit: string(g.Limit.ID), Severity: severity, Subject: g.Subject.Name,
		Process: g.Subject.Process, PID: g.Subject.PID, Measure: g.Measure,
		Unit: g.Unit, Ceiling: g.Bound(), Unbounded: g.Unbounded, AtMost: g.AtMost,
		CeilingHow: CeilingHow(g), Used: g.Used, Refused: g.Refused, Cause: g.Cause,
		Owner:    g.Owner,
		Evidence: listed(g.Evidence), Remedies: listed(g.Remedies), Steps: listed(g.Steps),
		Sources: g.Limit.Sources,
	}
	return f
}

// listed is a list that JSON writes as [] where it is empty.
func listed[T any](all []T) []T {
	if len(all) == 0 {
		return []T{}
	}
	return slices.Clip(all)
}
