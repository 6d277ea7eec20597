package diagnose

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// Judged is what becomes of one wanted flow.
type Judged struct {
	Direction string      `json:"direction"` // "outbound" or "inbound"
	Goal      string      `json:"goal"`      // in the words of the flags: ":443=100000"
	Verdict   GoalVerdict `json:"verdict"`
	// Limit is what it does not fit, or what bounds it; "" where nothing does.
	Limit string `json:"limit"`
	Why   string `json:"why"`
}

// GoalVerdict is what becomes of a wanted flow, in a word.
type GoalVerdict string

const (
	GoalHolds   GoalVerdict = "holds"
	DoesNotHold GoalVerdict = "does-not-hold"
	GoalUnknown GoalVerdict = "unknown"
)

// judged lists all goals, inbound ones first, each measure by itself.
func (e *evaluation) judged(s host.Snapshot, o Options) (out []Judged) {
	w := o.Workload.Merged()
	if len(w.Inbound)+len(w.Outbound) == 0 {
		return nil
	}
	needs := map[asker]Need{}
	for n := range e.needs(s, w, AtOnce) {
		if by := askedBy(n, n.Goal); n.tooMuch() || n.unknown() {
			needs[by] = n
		}
	}
	unowned := map[string]bool{}
	for _, subject := range Unowned(s, w) {
		unowned[subject] = true
	}
	for _, d := range demandsOf(s.Read(), w) {
		for _, m := range []limit.Measure{limit.Held, limit.PerSecond, limit.Burst} {
			if d.goal.Want(m) == 0 {
				continue
			}
			j := e.judge(d, m, needs)
			held := m == limit.Held && d.direction == limit.Inbound
			if j.Verdict == GoalHolds && held && unowned[d.goal.Subject] {
				j.Verdict, j.Limit = GoalUnknown, string(limit.ProcessFiles)
				j.Why = "the process that takes its connections could not be seen"
			}
			out = append(out, j)
		}
	}
	slices.SortStableFunc(out, func(a, b Judged) int {
		return cmp.Compare(a.Direction, b.Direction)
	})
	return out
}

// asker is the place of a gauge and, where goals do not add up in it, the goal.
type asker struct {
	place   int
	subject string
}

func askedBy(n Need, g limit.Goal) asker {
	if apart(*n.Gauge) {
		return asker{n.place, g.Subject}
	}
	return asker{place: n.place}
}

// judge looks at one goal in one measure: what of all that is wanted does not fit comes first,
// then what refuses its connections now, then what could not be evaluated.
func (e *evaluation) judge(d demand, m limit.Measure, needs map[asker]Need) Judged {
	j := Judged{Direction: "outbound", Goal: asked(d.goal, m), Verdict: DoesNotHold}
	if d.direction == limit.Inbound {
		j.Direction = "inbound"
	}
	if len(d.flows) == 0 {
		j.Verdict, j.Why = GoalUnknown, "nothing listens on "+d.goal.Subject
		return j
	}
	covering := e.covering(d)
	for _, i := range covering {
		n, ok := needs[askedBy(Need{Gauge: &e.gauges[i], place: i}, d.goal)]
		if ok && n.Gauge.Measure == m && n.tooMuch() {
			j.Limit, j.Why = string(n.Gauge.Limit.ID), n.Words()
			return j
		}
	}
	for _, i := range covering {
		if g := e.gauges[i]; refuses(g) {
			j.Limit, j.Why = string(g.Limit.ID), g.Cause
			return j
		}
	}
	j.Verdict = GoalUnknown
	if l := e.undecides(d, m); l != nil {
		j.Limit, j.Why = string(l.ID), "it could not be judged: "+e.voidedBy(l.ID)
		return j
	}
	for _, i := range covering {
		n, ok := needs[askedBy(Need{Gauge: &e.gauges[i], place: i}, d.goal)]
		if ok && n.Gauge.Measure == m && n.unknown() {
			j.Limit, j.Why = string(n.Gauge.Limit.ID), n.doubts()
			return j
		}
	}
	return e.fits(j, d, m)
}

// fits names what bounds a goal that fits.
func (e *evaluation) fits(j Judged, d demand, m limit.Measure) Judged {
	var b bound
	judged := len(e.checked) == len(limit.Catalogue())-len(e.void)
	for _, f := range d.flows {
		covering := e.coverage().of(f)
		if low := e.lowest(f, covering, m); low.by != "" {
			b = b.tighter(low)
		}
		judged = judged || len(covering) > 0
	}
	j.Verdict, j.Limit, j.Why = GoalHolds, b.by, "nothing bounds it"
	switch {
	case !judged:
		j.Verdict, j.Why = GoalUnknown, "no limit that was asked for bounds it"
	case b.by != "" && b.atMost:
		j.Why = "at most " + figure.Count(b.value) + " are possible"
	case b.by != "":
		j.Why = figure.Count(b.value) + " are possible"
	}
	return j
}

// covering are the places of the gauges that bound any flow of a demand.
func (e *evaluation) covering(d demand) (places []int) {
	for _, f := range d.flows {
		places = append(places, e.coverage().of(f)...)
	}
	slices.Sort(places)
	return slices.Compact(places)
}

// undecides is a limit without which nobody can judge the goal, and that could not be evaluated.
func (e *evaluation) undecides(d demand, m limit.Measure) *limit.Limit {
	only := limit.Goal{Held: 1}
	switch m {
	case limit.PerSecond:
		only = limit.Goal{PerSecond: 1}
	case limit.Burst:
		only = limit.Goal{Burst: 1}
	}
	w := limit.Workload{Outbound: []limit.Goal{only}}
	if d.direction == limit.Inbound {
		w = limit.Workload{Inbound: []limit.Goal{only}}
	}
	for _, l := range limit.Catalogue() {
		if e.void[l.ID] && l.Decides.AnyOf(w) {
			return l
		}
	}
	return nil
}

// voidedBy is why a limit could not be evaluated.
func (e *evaluation) voidedBy(id limit.ID) (why string) {
	for _, u := range e.unseenList() {
		if slices.Contains(u.Limits, string(id)) {
			return u.Fact + ": " + u.Why
		}
	}
	return ""
}

// asked is a goal in the words of the flags.
func asked(g limit.Goal, m limit.Measure) string {
	text := g.Subject + "=" + strconv.FormatInt(g.Want(m), 10)
	switch m {
	case limit.PerSecond:
		text += "/s"
	case limit.Burst:
		text += "@once"
	}
	return text
}

// WhyUnknown says of the goals that could not be judged why, each reason once.
func WhyUnknown(goals []Judged) (why []string) {
	for _, j := range goals {
		words := j.Why
		if j.Limit != "" {
			words = strings.TrimPrefix(j.Goal+": "+j.Why, ": ")
		}
		if j.Verdict == GoalUnknown && !slices.Contains(why, words) {
			why = append(why, words)
		}
	}
	return why
}
