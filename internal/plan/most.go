package plan

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// mostFlows bounds how many listeners, and how many destinations, are looked at.
const mostFlows = 256

// most asks of each listener and each destination as many connections held as fit under the
// lowest ceiling that no setting lifts. What limits leave alone (limit.LeftAlone) counts as
// one.
func (m *maker) most() {
	m.aim, m.together, m.fixed = Most, diagnose.OneByOne, leftAlone()
	m.workload = present(m.now)
	m.unowned = diagnose.Unowned(m.now, m.workload)
	ceilings := m.hardCeilings(diagnose.Needs(m.now, m.workload, m.together))
	m.raise(m.workload.Inbound, limit.Inbound, ceilings)
	m.raise(m.workload.Outbound, limit.Outbound, ceilings)
	m.workload.Inbound = slices.DeleteFunc(m.workload.Inbound, func(g limit.Goal) bool {
		return unasked(g) || slices.Contains(m.unowned, g.Subject)
	})
	m.workload.Outbound = slices.DeleteFunc(m.workload.Outbound, unasked)
	m.fit()
}

// hardCeilings are the lowest ceilings that no setting lifts, by goal.
func (m *maker) hardCeilings(needs iter.Seq[diagnose.Need]) map[asked]hardCeiling {
	ceilings := map[asked]hardCeiling{}
	peers := map[pool]int64{} // all destinations choose from the same ports
	for n := range needs {
		key := pool{limit: n.Gauge.Limit, ceiling: n.Gauge.Ceiling}
		if n.Gauge.Limit.Scope != limit.Peer { // what many goals share is asked once
			key.subject, key.measure = n.Gauge.Subject, n.Gauge.Measure
		}
		h, known := peers[key]
		if !known {
			h = m.highest(n.Gauge)
			peers[key] = h
		}
		if !n.Gauge.Unbounded && h < noWall {
			w, goal := hardCeiling{n, max(h-n.Others, 0) * n.Sharers},
				asked{n.Direction, n.Goal.Subject}
			if w.below(ceilings[goal]) {
				w.need = w.need.Alone()
				ceilings[goal] = w
			}
		}
	}
	return ceilings
}

// leftAlone are the sysctls that stay as they are.
func leftAlone() (names []string) {
	for _, l := range limit.Catalogue() {
		for _, s := range l.LeftAlone {
			names = append(names, s.Name)
		}
	}
	return names
}

// pool is a limit and the ceiling that it has, for every destination alike or for what else
// it bounds.
type pool struct {
	limit   *limit.Limit
	ceiling int64
	subject limit.Subject
	measure limit.Measure
}

// asked is a goal without its figures.
type asked struct {
	direction limit.Direction
	subject   string
}

// hardCeiling is the ceiling of a goal that no setting lifts.
type hardCeiling struct {
	need diagnose.Need
	held int64
}

// noWall is beyond what any host holds.
const noWall = int64(1) << 32

// below says whether it is the lower of two; the zero value is none.
func (w hardCeiling) below(o hardCeiling) bool {
	return o.need.Gauge == nil || cmp.Or(cmp.Compare(w.held, o.held),
		cmp.Compare(w.need.Gauge.Limit.ID, o.need.Gauge.Limit.ID)) < 0
}

// raise puts the ceilings into the goals, and says what they are.
func (m *maker) raise(goals []limit.Goal, d limit.Direction, ceilings map[asked]hardCeiling) {
	for i, g := range goals {
		w, ok := ceilings[asked{d, g.Subject}]
		goals[i].Held = w.held
		if !ok || d == limit.Inbound && slices.Contains(m.unowned, g.Subject) {
			continue
		}
		l := w.need.Gauge.Limit
		text := "ends at " + figure.Count(w.held) + " connections held, by " +
			string(l.ID) + " at " + w.need.Subject() +
			", which no setting lifts further"
		for _, s := range l.LeftAlone {
			text += " (" + s.Name + " stays as it is: " + s.Why + ")"
		}
		m.also = append(m.also, Left{
			Limit:    string(l.ID),
			Subject:  g.Subject,
			Kind:     limit.ByTopology,
			Text:     text,
			Possible: w.held,
			Measure:  limit.Held,
		})
	}
}

// present is a goal of one connection for each listener and each destination that has
// connections, the busiest first. A destination of which only TIME_WAIT is left has none:
// on a host where both ends of a connection were, those are the ends of clients.
func present(s host.Snapshot) (w limit.Workload) {
	r := s.Read()
	for _, row := range busiest(r.Rows(host.ListenerKind)) {
		name, _, _ := strings.Cut(row.Name(), "~")
		w.Inbound = append(w.Inbound, limit.Goal{Subject: name, Held: 1})
	}
	ended := func(row host.Row) bool { return row.Sockets() == row.Count("TIME_WAIT") }
	for _, row := range busiest(slices.DeleteFunc(r.Rows(host.OutboundKind), ended)) {
		if source, destination, ok := strings.Cut(row.Name(), "->"); ok &&
			!strings.Contains(source+destination, "*") {
			w.Outbound = append(w.Outbound, limit.Goal{Subject: destination, Held: 1})
		}
	}
	return w.Merged()
}

func busiest(rows []host.Row) []host.Row {
	slices.SortStableFunc(rows, func(a, b host.Row) int {
		return cmp.Compare(b.Sockets(), a.Sockets())
	})
	return rows[:min(len(rows), mostFlows)]
}

// highest is how far settings lift a gauge.
func (m *maker) highest(g *limit.Gauge) int64 {
	low, high := g.Ceiling, noWall
	for low < high {
		middle := low + (high-low+1)/2
		if m.lifts(g, middle) {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return low
}

// lifts says whether settings alone make room for that many.
func (m *maker) lifts(g *limit.Gauge, need int64) bool {
	if g.Lift == nil {
		return false
	}
	any := false
	for _, r := range g.Lift(need) {
		if r.IsChange() && !m.allowed(r.Change) {
			return false
		}
		any = any || r.IsChange()
	}
	return any
}

func unasked(g limit.Goal) bool { return g.Held == 0 }
