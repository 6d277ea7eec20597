package render

import (
	"io"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
)

// PlanJSON writes a plan in its stable form, which apply reads.
func PlanJSON(w io.Writer, p plan.Plan) error { return writeJSON(w, p) }

// PlanText writes a plan for a terminal: the answer in one sentence, the changes in their
// order, and what no setting lifts.
func PlanText(w io.Writer, p plan.Plan, style Style) error {
	s := newScreen(style)
	s.plan(p)
	return s.flush(w)
}

// Untold is why it could not be told whether a plan holds.
func Untold(p plan.Plan) string {
	var words []string
	for _, l := range p.Left {
		if l.Kind == plan.Unknown {
			words = append(words, l.Subject+": "+l.Text)
		}
	}
	told := len(words) > 0 // what the goals lack is the reason, whatever else was not seen
	for _, u := range p.Unseen {
		if !told && len(words) < 3 {
			words = append(words, u.Fact+": "+u.Why)
		}
	}
	return Clean(strings.Join(words, "; "))
}

func (s *screen) plan(p plan.Plan) {
	s.para(0, 2, planAbout(p)...)
	s.goals(p.Workload)
	s.blank()
	s.para(0, 2, planVerdict(p)...)
	if len(p.Changes) > 0 {
		s.blank()
		s.line(0, span{"CHANGES", bold},
			text(", in the order in which the kernel takes them"))
	}
	s.changes(p.Changes)
	s.leftovers(p)
	s.notJudged(p)
}

// mostGoals and mostLeft are how many goals, and subjects of one limit, a first screen shows.
const (
	mostGoals = 12
	mostLeft  = 6
)

func (s *screen) goals(w plan.Workload) {
	goals := planGoals(w)
	if len(goals) == 0 {
		return
	}
	s.blank()
	label, shown := "wanted", goals[:s.first(len(goals), mostGoals)]
	for _, g := range shown {
		s.labelled(0, label, 8, text(g))
		label = ""
	}
	if n := len(goals) - len(shown); n > 0 {
		s.labelled(0, "", 8, span{"and " + count(int64(n)) + " more (--verbose shows them)",
			dim})
	}
}

// first is how many of n a screen shows: all where everything was asked for, or where one
// line more is no gain.
func (s *screen) first(n, most int) int {
	if s.style.Verbose || n <= most+1 {
		return n
	}
	return most
}

// planAbout is the header line.
func planAbout(p plan.Plan) []span {
	name := p.Host.Name
	if name == "" {
		name = "unnamed host"
	}
	words := ": Linux " + orUnknown(p.Host.Kernel)
	if p.Host.Netns != "" {
		words += ", network namespace " + p.Host.Netns
	}
	return []span{{name, bold}, text(words)}
}

// planGoals is what is wanted, a line a subject.
func planGoals(w plan.Workload) (out []string) {
	say := func(goals []plan.Goal, direction string) {
		for _, g := range goals {
			out = append(out, direction+" "+g.Subject+": "+list(wants(g)))
		}
	}
	say(w.Inbound, "inbound")
	say(w.Outbound, "outbound")
	return out
}

func wants(g plan.Goal) (out []string) {
	for _, m := range []limit.Measure{limit.Held, limit.PerSecond, limit.Burst} {
		if n := (limit.Goal{Held: g.Held, PerSecond: g.PerSecond, Burst: g.Burst}).Want(
			m); n > 0 {
			out = append(out, count(n)+" "+measured(m))
		}
	}
	return out
}

// planVerdict is the answer in one sentence.
func planVerdict(p plan.Plan) []span {
	after := "After " + plural(len(p.Changes), "change")
	fits, not := "the wanted workload fits", "the wanted workload does not fit"
	switch p.Aim {
	case plan.Mend:
		fits, not = "check finds nothing wrong", "something stays wrong"
	case plan.Most:
		fits, not = "all of this fits, each by itself", "not all of this fits"
	}
	seen := "."
	if len(p.Unseen) > 0 {
		seen = ", as far as could be seen."
	}
	switch {
	case p.Verdict == diagnose.Unknown:
		return []span{{"Could not tell", yellow}, text(" whether it holds: " + Untold(p))}
	case p.Verdict == diagnose.Holds && len(p.Changes) == 0:
		return []span{{"Nothing to change", green}, text(": " + fits + seen)}
	case p.Verdict == diagnose.Holds:
		return []span{{after + " " + fits, green}, text(seen)}
	case len(p.Changes) == 0:
		return []span{{strings.ToUpper(not[:1]) + not[1:], red},
			text(", and no setting changes that: " + list(bindingLimits(p)) + ".")}
	}
	return []span{{after + " " + not, red}, text(" yet: " + list(bindingLimits(p)) + ".")}
}

// bindingLimits names what still binds, each once.
func bindingLimits(p plan.Plan) (out []string) {
	seen := map[string]bool{}
	for _, l := range p.Left {
		if words := l.Limit + " at " + l.Subject; l.Binds && !seen[words] {
			seen[words] = true
			out = append(out, words)
		}
	}
	return out
}

// planLabels is the column at which the words of a change begin.
const planLabels = 15

// changes writes them all; workers of one program that get the same are one block, unless
// everything is asked for.
func (s *screen) changes(all []plan.Change) {
	for i := 0; i < len(all); {
		n := 1
		for !s.style.Verbose && i+n < len(all) && Alike(all[i], all[i+n]) {
			n++
		}
		if i > 0 {
			s.blank()
		}
		s.change(i, all[i:i+n])
		i += n
	}
}

// Alike says whether two changes are the same to two processes of one program, or to two members
// of a SO_REUSEPORT group.
func Alike(a, b plan.Change) bool {
	if a.Target.Kind != b.Target.Kind || a.From != b.From || a.To != b.To {
		return false
	}
	switch a.Target.Kind {
	case host.ProcessKind:
		return program(a) == program(b)
	case host.ListenerKind:
		return address(a) == address(b)
	}
	return false
}

// program is the setting without the pid.
func program(c plan.Change) string {
	return strings.TrimSuffix(c.Setting, " (pid "+c.Target.Name+")")
}

// address is a listener's without the number of the member.
func address(c plan.Change) string {
	at, _, _ := strings.Cut(c.Target.Name, "~")
	return at
}

// together is what changes that are alike are called.
func together(same []plan.Change) string {
	if same[0].Target.Kind == host.ListenerKind {
		return "accept queues of " + address(same[0]) + ", " +
			plural(len(same), "member") + " of its SO_REUSEPORT group"
	}
	var pids []string
	for _, c := range same {
		pids = append(pids, c.Target.Name)
	}
	return program(same[0]) + " (pids " + list(pids) + ")"
}

func (s *screen) change(i int, same []plan.Change) {
	c, number, name := same[0], count(int64(i+1))+". ", same[0].Setting
	if len(same) > 1 {
		number = count(int64(i+1)) + "-" + count(int64(i+len(same))) + ". "
		name = together(same)
	}
	s.para(0, 4, span{number, dim}, span{name, bold},
		text(": "+shownValue(c.From)+" -> "+shownValue(c.To)))
	for _, x := range changeWords(c) {
		s.labelled(2, x.label, planLabels, text(x.words))
	}
}

type labelledWords struct{ label, words string }

// changeWords is everything that is to be said of a change.
func changeWords(c plan.Change) (out []labelledWords) {
	for _, x := range []labelledWords{
		{"why", c.Why}, {"set by", c.Owner}, {"takes effect", string(c.TakesEffect)},
		{"lasts", c.Lasts}, {"cost", c.Cost}, {"risk", c.Risk},
	} {
		if x.words != "" {
			out = append(out, x)
		}
	}
	return out
}

// shownValue is a value as the kernel has it; numbers stay as they are typed.
func shownValue(v string) string {
	if v == "" {
		return "(empty)"
	}
	return v
}

// leftovers says aloud what no setting lifts, and what else has to be seen to.
func (s *screen) leftovers(p plan.Plan) {
	s.leftover(leftTitles(p)[0], p, true)
	s.leftover(leftTitles(p)[1], p, false)
}

// leftTitles head what binds and what does not.
func leftTitles(p plan.Plan) [2]string {
	switch p.Aim {
	case plan.Mend:
		return [2]string{"NOT FIXABLE BY SETTINGS", "ALSO CHECK"}
	case plan.Most:
		return [2]string{"NOT LIFTABLE BY SETTINGS", "HOW FAR IT GOES"}
	}
	return [2]string{"NOT LIFTABLE BY SETTINGS", "ALSO CHECK"}
}

func (s *screen) leftover(title string, p plan.Plan, binds bool) {
	all := slices.DeleteFunc(slices.Clone(p.Left), func(l plan.Left) bool {
		return l.Binds != binds || l.Kind == plan.Unknown
	})
	for i, group := range leftGroups(all) {
		if i == 0 {
			s.blank()
			s.line(0, span{title, bold})
		}
		shown := group[:s.first(len(group), mostLeft)]
		for _, subject := range shown {
			s.para(0, 2, span{subject[0].Limit, bold}, text(leftHead(subject[0])))
			for _, l := range subject {
				s.labelled(2, string(l.Kind), planLabels, text(l.Text))
			}
		}
		if n := len(group) - len(shown); n > 0 {
			s.para(0, 2, span{group[0][0].Limit, bold},
				span{" at " + count(int64(n)) + " more (--verbose shows them)",
					dim})
		}
	}
}

// leftGroups puts what follows each other into one group for each limit, and in it what is
// of one subject together.
func leftGroups(all []plan.Left) (out [][][]plan.Left) {
	for i, l := range all {
		newLimit := i == 0 || l.Limit != all[i-1].Limit
		if newLimit {
			out = append(out, nil)
		}
		group := &out[len(out)-1]
		if newLimit || leftHead(l) != leftHead(all[i-1]) {
			*group = append(*group, nil)
		}
		subject := &(*group)[len(*group)-1]
		*subject = append(*subject, l)
	}
	return out
}

func leftHead(l plan.Left) string {
	if l.Cause == "" {
		return " at " + l.Subject
	}
	return " at " + l.Subject + ": " + l.Cause
}

// notJudged names the limits that could not be looked at.
func (s *screen) notJudged(p plan.Plan) {
	var ids, why []string
	for _, u := range p.Unseen {
		ids = append(ids, u.Limits...)
		why = append(why, list(u.Limits)+" ("+factName(u.Fact)+": "+u.Why+")")
	}
	if len(ids) == 0 {
		return
	}
	slices.Sort(ids)
	words := list(slices.Compact(ids)) + " (--verbose says why)"
	if s.style.Verbose {
		words = strings.Join(why, "; ")
	}
	s.blank()
	s.para(0, 2, span{"Not judged", yellow}, text(": "+words))
}
