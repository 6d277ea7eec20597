package diagnose

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// bound is the lowest ceiling of one measure over all gauges that cover a flow.
type bound struct {
	value  int64
	by     string
	atMost bool
	how    limit.How
	why    []string // what may lower it
}

// lowest finds what binds a flow. A process-wide ceiling counts once for each
// process that shares the flow (SO_REUSEPORT groups, forked workers).
func (e *evaluation) lowest(f flow, covering []int, m limit.Measure) (b bound) {
	perProcess := map[limit.ID][]*limit.Gauge{}
	var doubts bound
	for _, i := range covering {
		g := &e.gauges[i]
		if g.Measure != m {
			continue
		}
		if doubts.atMost = doubts.atMost || g.Blind(); g.AtMost && g.Why != "" {
			doubts.why = append(doubts.why, g.Why)
		}
		switch {
		case g.Unbounded:
		case g.Subject.PID != 0 && g.Limit.Scope == limit.Process:
			perProcess[g.Limit.ID] = append(perProcess[g.Limit.ID], g)
		default:
			b = b.tighter(e.boundOf(f, i))
		}
	}
	if f.ownerless && m != limit.Burst {
		doubts.atMost = true
		doubts.why = append(doubts.why, "the process could not be seen")
	}
	for id, gauges := range perProcess {
		if f.ownerless || len(gauges) < len(f.pids) { // nobody knows what the others hold
			doubts.atMost = true
			continue
		}
		b = b.tighter(together(id, gauges)) // tighter does not depend on the order
	}
	for _, i := range covering { // an estimate, and the bound of it is higher
		g := &e.gauges[i]
		doubts.atMost = doubts.atMost || g.Measure == m && g.Most > g.Ceiling &&
			g.Ceiling < b.value
	}
	if m == limit.Held && b.by != "" && f.now >= b.value {
		return b // reached: nothing was lower
	}
	b.atMost, b.why = b.atMost || doubts.atMost, append(b.why, doubts.why...)
	slices.Sort(b.why)
	b.why = slices.Compact(b.why)
	return b
}

// boundOf is what one gauge says of a flow.
func (e *evaluation) boundOf(f flow, i int) bound {
	g := &e.gauges[i]
	b := bound{value: g.Bound(), by: string(g.Limit.ID), atMost: g.AtMost, how: CeilingHow(*g)}
	if e.maySpare(f, i) {
		b.atMost, b.why = true, []string{"whether " + b.by +
			" binds the process is not known"}
	}
	return b
}

// together is what several processes hold.
func together(id limit.ID, gauges []*limit.Gauge) bound {
	b := bound{by: string(id), atMost: len(gauges) > 1, how: limit.Computed}
	for _, g := range gauges {
		b.value, b.atMost = b.value+g.Bound(), b.atMost || g.AtMost
	}
	return b
}

// tighter is the lower of two bounds; on a tie the first by name, so that the report does not
// depend on order, and exact only if the other is, too.
func (b bound) tighter(c bound) bound {
	if b.by == "" || cmp.Or(cmp.Compare(c.value, b.value), cmp.Compare(c.by, b.by)) < 0 {
		b, c = c, b
	}
	if c.by != "" && c.value == b.value && c.atMost {
		b.atMost, b.why = true, slices.Concat(b.why, c.why)
	}
	return b
}

// CeilingHow is how a ceiling was got: as the first step that ends with it, else by the
// whole formula.
func CeilingHow(g limit.Gauge) limit.How {
	if g.Unbounded {
		return ""
	}
	for _, s := range g.Steps {
		if s.Value == g.Ceiling {
			return s.How
		}
	}
	return limit.Computed
}

func capacity(s host.Snapshot, e *evaluation, o Options) Capacity {
	r := s.Read()
	c := Capacity{Outbound: []Outbound{}, Inbound: []Inbound{}}
	if o.PID == 0 {
		c.Outbound = append(c.Outbound,
			outbound(e, Outbound{}, flow{direction: limit.Outbound}))
	}
	for _, row := range r.Table(host.OutboundKind) {
		if line, f, ok := outboundFlow(r, row); ok && (o.PID == 0 || line.PID == o.PID) {
			c.Outbound = append(c.Outbound, outbound(e, line, f))
		}
	}
	for _, f := range listenerFlows(r) {
		if o.PID == 0 || slices.Contains(f.holders, o.PID) {
			c.Inbound = append(c.Inbound, inbound(r, e, f))
		}
	}
	c.Inbound = append(c.Inbound, closed(r, o)...)
	busiest := c.Outbound
	if o.PID == 0 {
		busiest = busiest[1:] // that of any destination stays first
	}
	slices.SortStableFunc(busiest, func(a, b Outbound) int { return cmp.Compare(b.Now, a.Now) })
	slices.SortStableFunc(c.Inbound, func(a, b Inbound) int {
		return cmp.Compare(b.Now, a.Now)
	})
	return c
}

func outboundFlow(r *host.Reader, row host.Row) (Outbound, flow, bool) {
	source, destination, ok := strings.Cut(row.Name(), "->")
	pid := row.Count("pid")
	line := Outbound{
		Source:      source,
		Destination: destination,
		Process:     row.Text("process"),
		PID:         pid,
		Now:         row.Sockets(),
	}
	f := flow{direction: limit.Outbound, source: source, destination: destination,
		now: open(row)}
	if pid != 0 {
		f.pids = []int64{pid}
	}
	f.ownerless = pid == 0 && row.Text("several") != "yes" &&
		row.Sockets() > row.Count("TIME_WAIT")
	return line, f.withProcess(r), ok && !strings.Contains(source, "*")
}

func outbound(e *evaluation, line Outbound, f flow) Outbound {
	covering := e.coverage().of(f)
	held, rate := e.lowest(f, covering, limit.Held), e.lowest(f, covering, limit.PerSecond)
	line.Held, line.BoundBy, line.AtMost, line.RateAtMost = held.value, held.by, held.atMost ||
		f.ownerless, rate.atMost
	line.PerSecond, line.RateBy = rate.value, rate.by
	line.HeldHow, line.RateHow = held.how, rate.how
	line.AtMostWhy = held.why
	return line
}

// ownerless says whether the process of any flow could not be seen: only then may there be
// limits of processes that nobody knows of.
func ownerless(r *host.Reader) bool {
	for _, row := range r.Rows(host.OutboundKind) {
		if _, f, ok := outboundFlow(r, row); ok && f.ownerless {
			return true
		}
	}
	return slices.ContainsFunc(listenerFlows(r), func(f flow) bool { return f.ownerless })
}

// mostHolders is how many processes are looked at for all listeners together: a server has
// some for each of a few. What lies beyond counts as not seen.
const mostHolders = 1 << 16

// listenerFlows is one flow for each listening address and port.
func listenerFlows(r *host.Reader) []flow {
	var flows []flow
	places := map[string]int{}
	type held struct {
		listener int
		pid      int64
	}
	seen := map[held]bool{}
	full, unowned := map[int]bool{}, map[int]bool{}
	for _, row := range r.Rows(host.ListenerKind) {
		name, _, _ := strings.Cut(row.Name(), "~")
		i, known := places[name]
		if !known {
			i, flows = len(flows),
				append(flows, flow{direction: limit.Inbound, listener: name,
					only6: row.Count("v6only") == 1, now: accepted(r, name)})
			places[name] = i
		}
		unowned[i] = unowned[i] || row.Text("pid") == "" && row.Text("pids") == ""
		for pid := range strings.SplitSeq(cmp.Or(row.Text("pids"), row.Text("pid")), ",") {
			if len(seen) >= mostHolders {
				full[i] = true
				break
			}
			if n, err := strconv.ParseInt(pid, 10, 64); err == nil &&
				!seen[held{i, n}] {
				seen[held{i, n}] = true
				flows[i].holders = append(flows[i].holders, n)
			}
		}
	}
	for i := range flows {
		flows[i].pids = serving(r, flows[i].holders)
		flows[i].ownerless = len(flows[i].pids) == 0 || full[i] || unowned[i]
		flows[i] = flows[i].withProcess(r)
	}
	return flows
}

func inbound(r *host.Reader, e *evaluation, f flow) Inbound {
	covering := e.coverage().of(f)
	held, burst := e.lowest(f, covering, limit.Held), e.lowest(f, covering, limit.Burst)
	line := Inbound{
		Listener:    f.listener,
		Held:        held.value,
		BoundBy:     held.by,
		Burst:       burst.value,
		BurstBy:     burst.by,
		AtMost:      held.atMost,
		BurstAtMost: burst.atMost,
	}
	line.HeldHow, line.BurstHow = held.how, burst.how
	line.AtMostWhy = held.why
	line.AtMost = line.AtMost || f.ownerless
	if row, ok := r.Row(host.ListenerKind, f.listener); ok {
		line.PID, line.Process = row.Count("pid"), row.Text("process")
	}
	line.Now = f.now
	return line
}

// closed are the connections of listeners that are closed by now, as in a server that drains.
func closed(r *host.Reader, o Options) (out []Inbound) {
	if r.Partial(host.ListenerKind) != "" {
		return nil // they may listen still
	}
	listening := map[string]bool{}
	for _, row := range r.Rows(host.ListenerKind) {
		listening[row.Name()] = true
	}
	for _, row := range r.Rows(host.InboundKind) {
		pid := row.Count("pid")
		if n := open(row); !listening[row.Name()] && n > 0 && (o.PID == 0 || o.PID == pid) {
			out = append(out, Inbound{Listener: row.Name(), Closed: true, Now: n,
				Process: row.Text("process"), PID: pid})
		}
	}
	return out
}

// serving are those of the processes that hold a listener that take its connections: a
// master that only started its workers (nginx) has no epoll instance, and they have.
func serving(r *host.Reader, holders []int64) []int64 {
	var waiting, others []int64
	for _, pid := range holders {
		row, _ := r.Row(host.ProcessKind, strconv.FormatInt(pid, 10))
		switch n, known := row.Int("epoll"); {
		case n > 0:
			waiting = append(waiting, pid)
		case !known:
			others = append(others, pid)
		}
	}
	if len(waiting) == 0 {
		return holders
	}
	return append(waiting, others...)
}

// accepted is how many connections a listener has now, those in its queue included.
func accepted(r *host.Reader, listener string) int64 {
	row, _ := r.Row(host.InboundKind, listener)
	return open(row)
}

// open is the connections of a row that are neither half-open nor in TIME_WAIT.
func open(row host.Row) int64 {
	return row.Sockets() - row.Count("TIME_WAIT") - row.Count("SYN_RECV")
}
