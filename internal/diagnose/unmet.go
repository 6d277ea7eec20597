package diagnose

import (
	"strconv"
	"strings"

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
		if want == 0 || g.Unbounded || want <= g.Ceiling || !f.covers(g) {
			continue
		}
		if g.Lift != nil {
			g.Remedies = g.Lift(want)
		}
		found := newFinding(g, Warning)
		found.Demand = want
		if found.Subject == anyDestination {
			found.Subject = goal.Subject
		}
		found.Cause = strings.TrimSuffix("wanted: "+strconv.FormatInt(want, 10)+" connections "+string(g.Measure)+", possible: "+strconv.FormatInt(g.Ceiling, 10)+"; "+g.Cause, "; ")
		out = append(out, found)
	}
	return out
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
