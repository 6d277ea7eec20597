package diagnose

import (
	"slices"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// unmet lists the limits that a wanted workload would run into.
func unmet(s host.Snapshot, e *evaluation, w limit.Workload) []Finding {
	r := s.Read()
	var out []Finding
	for _, goal := range w.Outbound {
		for _, f := range goalFlows(r, goal) {
			out = append(out, exceeded(e, f, goal)...)
		}
	}
	for _, goal := range w.Inbound {
		for _, f := range listenerFlows(r) {
			if meansListener(goal.Subject, f.listener) {
				out = append(out, exceeded(e, f, goal)...)
			}
		}
	}
	return out
}

// goalFlows are the flows to a wanted destination: from each source address that
// has connections there, or from any.
func goalFlows(r *host.Reader, goal limit.Goal) []flow {
	var flows []flow
	for _, row := range r.Table(host.OutboundKind) {
		if _, f, ok := outboundFlow(r, row); ok && f.destination == goal.Subject {
			flows = append(flows, f)
		}
	}
	if flows == nil {
		flows = []flow{{direction: limit.Outbound}}
	}
	return flows
}

// exceeded is a finding for each limit of the flow whose ceiling lies below the goal.
func exceeded(e *evaluation, f flow, goal limit.Goal) (out []Finding) {
	for _, g := range e.gauges {
		want := goal.Want(g.Measure)
		if want == 0 || g.Unbounded || !f.covers(g) {
			continue
		}
		want = f.share(want, g)
		if want <= g.Ceiling {
			continue
		}
		if g.Lift != nil {
			g.Remedies = g.Lift(want)
		}
		out = append(out, unmetFinding(g, goal, want))
	}
	return out
}

// share is how much of a demand falls on a gauge: processes that share a
// listener share its connections.
func (f flow) share(want int64, g limit.Gauge) int64 {
	if n := int64(len(f.pids)); g.Limit.Scope == limit.Process && g.Subject.PID != 0 && n > 1 {
		return (want + n - 1) / n
	}
	return want
}

func unmetFinding(g limit.Gauge, goal limit.Goal, want int64) Finding {
	found := newFinding(g, Warning)
	found.Demand = want
	if found.Subject == anyDestination {
		found.Subject = goal.Subject
	}
	found.Cause = "wanted " + limit.Count(want) + " connections " + string(g.Measure) + ", possible " + limit.Count(g.Ceiling)
	if g.Cause != "" {
		found.Cause += "; " + g.Cause
	}
	return found
}

// merge puts a demand into the finding that already speaks of the same limit and
// subject, so that nothing is said twice.
func merge(present, wanted []Finding) []Finding {
	for _, f := range wanted {
		i := slices.IndexFunc(present, func(p Finding) bool { return p.Limit == f.Limit && p.Subject == f.Subject && p.Measure == f.Measure })
		if i < 0 {
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

// Unmatched lists the inbound goals that no listener of the snapshot answers to.
func Unmatched(s host.Snapshot, w limit.Workload) (goals []string) {
	flows := listenerFlows(s.Read())
	for _, goal := range w.Inbound {
		found := false
		for _, f := range flows {
			found = found || meansListener(goal.Subject, f.listener)
		}
		if !found {
			goals = append(goals, goal.Subject)
		}
	}
	return goals
}
