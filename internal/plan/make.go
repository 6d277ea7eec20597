package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// Options say more than a workload does.
type Options struct {
	// ToMax goes as far as settings can, for each listener and destination that is
	// there; the workload is then empty.
	ToMax bool
	// Owner says who set a sysctl to the value that is there now:
	// "/etc/sysctl.d/90-web.conf:3", or "". nil: nobody knows.
	Owner func(sysctl, value string) string
	// Limits are the only ones that are lifted, by ID, and PID the only process; none: all.
	Limits []string
	PID    int64
	// Rooms are ceilings that are known to be needed, where check finds fault with a gauge.
	Rooms []Room
}

// Room is a ceiling that a subject of a limit needs at least.
type Room struct {
	Limit, Subject string
	Kind           limit.Scope // of the subject
	Ceiling        int64
}

// room is what a gauge is known to need, 0 where nothing is.
func (o Options) room(g *limit.Gauge) (need int64) {
	for _, r := range o.Rooms {
		if r.Limit == string(g.Limit.ID) && r.Subject == g.Subject.Name {
			need = max(need, r.Ceiling)
		}
	}
	return need
}

// concerns says whether a need is one that the plan is to be for.
func (o Options) concerns(n diagnose.Need) bool {
	pid := n.Gauge.Subject.PID
	return (len(o.Limits) == 0 || slices.Contains(o.Limits, string(n.Gauge.Limit.ID))) &&
		(o.PID == 0 || pid == 0 || pid == o.PID)
}

// only leaves the needs that the plan is to be for.
func (o Options) only(needs []diagnose.Need) []diagnose.Need {
	return slices.DeleteFunc(needs, func(n diagnose.Need) bool { return !o.concerns(n) })
}

// mostRounds ends a search that goes in circles; a change that calls for another seldom
// calls for a third.
const mostRounds = 12

// Make finds the smallest changes after which a workload fits the host of a snapshot, as
// far as settings can. It asks the catalogue what is exceeded, takes what the limits
// themselves propose, looks at the host as it would then be, and goes on until nothing is
// exceeded or nothing helps. Errors are of the workload: *GoalError. Pure; safe for
// concurrent use.
func Make(s host.Snapshot, w limit.Workload, o Options) (Plan, error) {
	if err := checkWorkload(w); err != nil {
		return Plan{}, err
	}
	m := &maker{
		now:      s,
		then:     s,
		workload: w.Merged(),
		options:  o,
		aim:      Fit,
		together: diagnose.AtOnce,
	}
	switch {
	case o.ToMax:
		m.most()
	case len(w.Inbound)+len(w.Outbound) == 0:
		m.mend()
	default:
		m.fit()
	}
	return m.plan(), nil
}

// GoalError is a goal that means nothing.
type GoalError struct {
	Goal limit.Goal
	Why  string
}

func (e *GoalError) Error() string { return fmt.Sprintf("goal %q: %s", e.Goal.Subject, e.Why) }

func checkWorkload(w limit.Workload) error {
	for _, g := range slices.Concat(w.Outbound, w.Inbound) {
		switch least := min(g.Held, g.PerSecond, g.Burst); {
		case g.Subject == "":
			return &GoalError{g, "it has no destination and no listener"}
		case least < 0:
			return &GoalError{g, "a count is below zero"}
		case g.Held == 0 && g.PerSecond == 0 && g.Burst == 0:
			return &GoalError{g, "it asks for nothing"}
		}
	}
	for _, g := range w.Outbound {
		if g.Burst != 0 {
			return &GoalError{g,
				"a burst meets a listener's queue: it is asked for inbound"}
		}
	}
	return nil
}

// maker is a plan while it is made.
type maker struct {
	now      host.Snapshot
	workload limit.Workload
	together diagnose.Together
	options  Options
	aim      Aim
	fixed    []string // sysctls that stay as they are
	taken    []taken
	places   map[host.Fact]int // of taken, by what is changed
	left     []diagnose.Need   // of the host as it would be
	also     []Left
	programs map[string]int // which of also speaks of a program
	unseen   []diagnose.Unseen
	unowned  []string      // listeners whose process could not be seen
	then     host.Snapshot // the host as it would be
}

// taken is a change that the plan makes, and what for.
type taken struct {
	remedy limit.Remedy
	need   diagnose.Need
}

// fit goes on until nothing is exceeded or nothing helps.
func (m *maker) fit() {
	if m.aim == Fit {
		m.unowned = diagnose.Unowned(m.now, m.workload)
	}
	for range mostRounds {
		m.look()
		if !m.meetAll(m.left) {
			return
		}
	}
	m.look()
}

// look finds what does not fit the host as it would be.
func (m *maker) look() {
	m.left, m.unseen = diagnose.Unmet(m.then, m.workload, m.together)
	m.left = m.options.only(m.left)
}

// meetAll does what can be done, and looks at the host as it then would be.
func (m *maker) meetAll(needs []diagnose.Need) (changed bool) {
	for _, n := range needs {
		changed = m.meet(n) || changed
	}
	m.then = m.now.With(m.settings()...)
	return changed
}

// meet takes what the limit itself proposes.
func (m *maker) meet(n diagnose.Need) (changed bool) {
	if n.Gauge.Lift == nil || n.Stuck {
		return false
	}
	return m.carryOut(n, n.Gauge.Lift(n.Total()))
}

// carryOut takes all changes of a list or, where one of them may not be, none.
func (m *maker) carryOut(n diagnose.Need, remedies []limit.Remedy) (changed bool) {
	for _, r := range remedies {
		if r.IsChange() && !m.allowed(r.Change) {
			return false
		}
	}
	for _, r := range remedies {
		switch {
		case r.IsChange():
			changed = m.take(taken{r, n}) || changed
		case r.Also:
			m.see(n, r)
		}
	}
	return changed
}

// allowed says whether a change may stand in a plan: what it changes is there, and gets
// more, never less.
func (m *maker) allowed(c host.Setting) bool {
	from, ok := value(m.now, c.Fact)
	switch {
	case !ok:
		return false
	case from == c.Want:
		return true
	case slices.Contains(m.fixed, c.Fact.Name), c.Fact == timestamps && m.recycles():
		return false
	}
	return raises(c.Fact, from, c.Want)
}

var timestamps = host.Sysctl("net.ipv4.tcp_timestamps")

// recycles says whether timestamps would make the kernel drop clients behind NAT: with
// tcp_tw_recycle, before 4.12.
func (m *maker) recycles() bool {
	n, ok := m.now.Read().Maybe(host.Sysctl("net.ipv4.tcp_tw_recycle"))
	return ok && n != 0
}

// take adds a change, or makes one that is there go further.
func (m *maker) take(t taken) (changed bool) {
	c := t.remedy.Change
	i, known := m.places[c.Fact]
	if !known {
		if from, _ := value(m.now, c.Fact); from == c.Want {
			return false
		}
		if m.places == nil {
			m.places = map[host.Fact]int{}
		}
		m.places[c.Fact] = len(m.taken)
		m.taken = append(m.taken, t)
		return true
	}
	if raises(c.Fact, m.taken[i].remedy.Change.Want, c.Want) {
		m.taken[i] = t
		return true
	}
	return false
}

// see notes what has to be seen to as well: once for all workers of a program, with the
// highest figure.
func (m *maker) see(n diagnose.Need, r limit.Remedy) {
	l := leftOf(n, r)
	l.Binds, l.Cause = false, ""
	program := n.Gauge.Subject.Process
	if i, ok := m.programs[program+" "+r.Setting]; ok {
		if l.Wanted > m.also[i].Wanted {
			m.also[i] = l
		}
		return
	}
	if m.programs == nil {
		m.programs = map[string]int{}
	}
	m.programs[program+" "+r.Setting] = len(m.also)
	m.also = append(m.also, l)
}

func (m *maker) settings() (out []host.Setting) {
	for _, t := range m.taken {
		out = append(out, t.remedy.Change)
	}
	return out
}

func (m *maker) plan() Plan {
	p := Plan{
		Schema:   Schema,
		Host:     hostOf(m.now),
		Workload: wanted(m.workload),
		Aim:      m.aim,
		Changes:  []Change{},
		Left:     []Left{},
		Unseen:   []diagnose.Unseen{},
	}
	slices.SortStableFunc(m.taken, inOrder)
	for _, t := range m.taken {
		p.Changes = append(p.Changes, m.change(t))
	}
	p.Left = append(append(p.Left, m.binding()...), m.also...)
	p.Unseen = append(p.Unseen, m.unseen...)
	p.Verdict = m.verdict(p.Left)
	p.Holds = p.Verdict == diagnose.Holds
	return p
}

// verdict is unknown where a limit that the workload certainly meets could not be judged.
func (m *maker) verdict(left []Left) diagnose.Verdict {
	undecided := func(l *limit.Limit) bool {
		void := func(u diagnose.Unseen) bool {
			return slices.Contains(u.Limits, string(l.ID))
		}
		return l.Decides.AnyOf(m.workload) && slices.ContainsFunc(m.unseen, void)
	}
	switch {
	case len(m.left) > 0:
		return diagnose.Binds
	case slices.ContainsFunc(left, func(l Left) bool { return l.Kind == Unknown }),
		slices.ContainsFunc(m.unseen, func(u diagnose.Unseen) bool { return u.Decides }),
		slices.ContainsFunc(limit.Catalogue(), undecided):
		return diagnose.Unknown
	}
	return diagnose.Holds
}

func wanted(w limit.Workload) Workload {
	goals := func(in []limit.Goal) []Goal {
		out := []Goal{}
		for _, g := range in {
			out = append(out, Goal{g.Subject, g.Held, g.PerSecond, g.Burst})
		}
		return out
	}
	return Workload{Outbound: goals(w.Outbound), Inbound: goals(w.Inbound)}
}

// Asked is the workload as the model takes it.
func (w Workload) Asked() limit.Workload {
	goals := func(in []Goal) (out []limit.Goal) {
		for _, g := range in {
			out = append(out, limit.Goal{Subject: g.Subject, Held: g.Held,
				PerSecond: g.PerSecond, Burst: g.Burst})
		}
		return out
	}
	return limit.Workload{Outbound: goals(w.Outbound), Inbound: goals(w.Inbound)}
}

func hostOf(s host.Snapshot) Host {
	r := s.Read()
	text := func(name string) string { return r.Optional(host.System(name)) }
	cookie, _ := strconv.ParseUint(text("netns-cookie"), 10, 64)
	return Host{Name: text("name"), Kernel: text("kernel"), Netns: text("netns"),
		Cookie: cookie,
		Scope:  text("scope"), Boot: text("boot")}
}

// inOrder sorts by what the kernel asks to be first, then by name.
func inOrder(a, b taken) int {
	f, g := a.remedy.Change.Fact, b.remedy.Change.Fact
	return cmp.Or(cmp.Compare(turn(f), turn(g)), cmp.Compare(f.Kind, g.Kind),
		cmp.Compare(f.Name, g.Name))
}
