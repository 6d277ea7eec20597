package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// change puts what is taken into the form of a plan.
func (m *maker) change(t taken) Change {
	c := t.remedy.Change
	from, _ := value(m.now, c.Fact)
	out := Change{
		Target: target(m.now, c.Fact), From: from, To: c.Want,
		Limit: string(t.need.Gauge.Limit.ID), Why: why(t),
		TakesEffect: effect(t.remedy), OldLast: t.remedy.OldLast.Seconds(),
		Owner: m.owner(t, from), Cost: t.remedy.Cost, Risk: t.remedy.Risk,
		Lasts: t.remedy.Lasts,
	}
	out.Setting = setting(m.now, out.Target)
	if c.Fact.Kind == host.ProcessKind {
		row, _ := m.then.Read().Row(host.ProcessKind, out.Target.Name)
		out.Unit, out.Limits = row.Text("unit"), row.Text("soft")+":"+row.Text("hard")
	}
	return out
}

// target finds the thing that a fact speaks of, so that another that has its name by then
// is not mistaken for it.
func target(s host.Snapshot, f host.Fact) Target {
	name, field, _ := strings.Cut(f.Name, "#")
	t := Target{Kind: f.Kind, Name: name, Field: field}
	r := s.Read()
	switch f.Kind {
	case host.ProcessKind:
		t.Start = started(r, name)
	case host.ListenerKind:
		row, _ := r.Row(f.Kind, name)
		t.PID = row.Count("pid")
		t.Inode, _ = strconv.ParseUint(row.Text("inode"), 10, 64)
		t.Start = started(r, strconv.FormatInt(t.PID, 10))
	case host.LinkKind:
		row, _ := r.Row(f.Kind, name)
		t.Index = max(row.Count("index"), 0)
	}
	return t
}

func started(r *host.Reader, pid string) uint64 {
	row, _ := r.Row(host.ProcessKind, pid)
	n, _ := strconv.ParseUint(row.Text("start"), 10, 64)
	return n
}

// setting is the target in words.
func setting(s host.Snapshot, t Target) string {
	row, _ := s.Read().Row(t.Kind, t.Name)
	if t.Kind == host.ProcessKind {
		return t.Called(row.Text("name"))
	}
	return t.Called(row.Text("process"))
}

func process(name, pid string) string {
	if name == "" {
		return "pid " + pid
	}
	return name + " (pid " + pid + ")"
}

// why is whose ceiling is too low, by which formula, and how the new value comes about.
func why(t taken) string {
	n := t.need
	text := n.Subject() + ": " + n.Words()
	if n.Goal.Subject == "" { // nothing is wanted: something is wrong
		text = n.Gauge.Cause
	} else if f := formula(n.Gauge); f != "" {
		text += " (" + f + ")"
	}
	if t.remedy.Sum != "" {
		text += "; " + t.remedy.Sum
	}
	return text
}

// formula is the last step that leads to the ceiling, with its figures.
func formula(g *limit.Gauge) (sum string) {
	for _, s := range g.Steps {
		if s.Value == g.Ceiling && s.Sum != "" {
			sum = s.Sum
		}
	}
	return sum
}

// effect is when a change takes effect, in the words that are promised. A setting that
// connect() asks for each time acts now.
func effect(r limit.Remedy) limit.Effect {
	switch r.TakesEffect {
	case limit.AtConnect, limit.NowForNew, limit.NowInInitial:
		return limit.Now
	}
	return r.TakesEffect
}

// Unknown is the kind of what is left because it could not be seen.
const Unknown limit.RemedyKind = "unknown"

// leftOf is a remedy that no plan can carry out.
func leftOf(n diagnose.Need, r limit.Remedy) Left {
	text := r.Text
	switch {
	case r.Setting != "" && r.To != "" && r.From != "":
		text = r.Setting + " from " + r.From + " to " + r.To + ": " + text
	case r.Setting != "" && r.To != "":
		text = r.Setting + " to " + r.To + ": " + text
	case r.Setting != "":
		text = r.Setting + ": " + text
	}
	if e := r.TakesEffect; e != "" && e != limit.Now {
		text += " (takes effect " + string(e) + ")"
	}
	l := Left{
		Limit:   string(n.Gauge.Limit.ID),
		Subject: n.Subject(),
		Kind:    r.Kind,
		Text:    text,
		Binds:   true,
		Cause:   n.Gauge.Cause,
	}
	if n.Goal.Subject != "" {
		l.Cause, l.Wanted, l.Possible, l.Measure = n.Words(), n.Total(), n.Gauge.Ceiling,
			n.Gauge.Measure
	}
	return l
}

// binding is what still binds when all is changed that can be, and what is unknown.
func (m *maker) binding() (out []Left) {
	for _, n := range m.left {
		out = append(out, leftovers(n)...)
	}
	for _, goal := range diagnose.Unmatched(m.now, m.workload) {
		out = append(out, Left{
			Limit:   string(limit.AcceptQueue),
			Subject: goal,
			Kind:    Unknown,
			Text: "nothing listens there: start the server first, a plan is for " +
				"what runs",
		})
	}
	for _, goal := range m.unowned {
		out = append(out, Left{
			Limit:   string(limit.ProcessFiles),
			Subject: goal,
			Kind:    Unknown,
			Text: "the process that takes its connections could not be seen, so " +
				"whether its descriptors suffice is not known; root of the " +
				"host sees it",
		})
	}
	return out
}

// leftovers is what the limit would have done about it.
func leftovers(n diagnose.Need) (out []Left) {
	remedies := n.Gauge.Remedies
	if n.Gauge.Lift != nil && n.Total() > 0 && !n.Stuck {
		remedies = n.Gauge.Lift(n.Total())
	}
	for _, r := range remedies {
		if !r.Also {
			out = append(out, leftOf(n, r))
		}
	}
	if len(out) == 0 {
		out = append(out,
			leftOf(n, limit.Remedy{Kind: limit.ByTopology,
				Text: "no setting lifts it: " + n.Words()}))
	}
	return out
}

// Queue is a wanted limit for the accept queues of what listens at an address and port, or at a
// port whatever the address (":80").
type Queue struct {
	Listener string
	Limit    int64
}

// QueueError is a queue that cannot be lengthened while its program runs.
type QueueError struct {
	Listener string
	Absent   bool // nothing listens there
	Why      string
}

func (e *QueueError) Error() string {
	if e.Absent {
		return fmt.Sprintf("nothing listens on %s here", e.Listener)
	}
	return fmt.Sprintf("the accept queue of %s cannot be lengthened: %s", e.Listener, e.Why)
}

// Lengthen plans longer accept queues for listeners that run, for all members of a SO_REUSEPORT
// group alike: somaxconn first where it is lower, then each socket. A queue that is as long already
// is not in the plan, which lowers nothing. The error is a *QueueError.
func Lengthen(s host.Snapshot, queues []Queue, o Options) (Plan, error) {
	m := &maker{now: s, then: s, options: o, aim: Fit}
	for _, q := range queues {
		r := s.Read()
		gauges := limit.Queues(r, q.Listener)
		if err := r.Err(); len(gauges) == 0 && err != nil {
			return Plan{}, &QueueError{Listener: q.Listener, Why: err.Error()}
		} else if len(gauges) == 0 {
			return Plan{}, &QueueError{Listener: q.Listener, Absent: true}
		}
		for _, g := range gauges {
			remedies := g.Lift(q.Limit)
			// the cap is first, and says less
			for _, r := range slices.Backward(remedies) {
				if !r.IsChange() || !m.allowed(r.Change) {
					return Plan{},
						&QueueError{Listener: g.Subject.Name, Why: r.Text}
				}
			}
			for _, r := range remedies {
				m.take(taken{r, diagnose.Need{Gauge: &g}})
			}
		}
	}
	return m.plan(), nil
}
