package fix

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
)

// Verdict is what a change came to, in one word or two.
type Verdict string

const (
	Cured    Verdict = "cured"     // it refuses no more while connections are opened
	NotCured Verdict = "not cured" // it refuses still
	Worse    Verdict = "worse"     // another limit refuses that did not before
	Untold   Verdict = "could not tell"
)

// Judgement compares a window after a change with the one before it.
type Judgement struct {
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why"`
	Seconds float64 `json:"seconds"` // of the window
	Items   []Item  `json:"items"`
	// Worse are the limits that refuse since the change.
	Worse []Reading `json:"worse,omitempty"`
	// Faulty names all that check complains of after the change; null where nothing was read.
	Faulty []string `json:"faulty"`
	// Early: what was there before the change hides what it does, and is looked at again.
	Early bool `json:"early,omitempty"`
}

// Item is one thing that was watched.
type Item struct {
	Before  Reading  `json:"before"`
	After   *Reading `json:"after"` // null where it was not to be seen
	Verdict Verdict  `json:"verdict"`
	Why     string   `json:"why,omitempty"`
	// Filling counts the looks at which a queue or table held more than at the one before.
	Filling int `json:"filling,omitempty"`
	// Loaded: connections were opened and none was refused, which counts at the second look
	// that shows it.
	Loaded bool `json:"-"`
}

// String is "accept-queue at :8080: 214 refused/s at 6 of 6 -> 0 refused/s at 41 of 512
// connections".
func (i Item) String() string {
	if i.After == nil {
		after := " -> not to be seen"
		if i.Verdict == Cured {
			after = " -> not near it any more"
		}
		return i.Before.Name() + ": " + i.Before.String() + after
	}
	return i.Before.Name() + ": " + i.Before.figures() + " -> " + i.After.String()
}

// Unread is the judgement where there is no evidence.
func Unread(why error) Judgement {
	return Judgement{Verdict: Untold, Items: []Item{},
		Why: "the evidence could not be read after the change: " + why.Error()}
}

// Judge compares a look after the change with the window before it. last is the judgement of the
// look that ended when this one began, nil for none; since is the time from the change to the end
// of this one. What is not known is never a cure, and without a load nothing is.
func (b Before) Judge(s host.Snapshot, last *Judgement, since time.Duration) Judgement {
	w, ok := windowOf(s)
	if !ok {
		return Unread(ErrNoWindow)
	}
	j := Judgement{Seconds: w.seconds, Items: []Item{}, Faulty: []string{}}
	var after []Reading
	blind := map[key]bool{}
	for _, g := range gauges(s, b.Workload) {
		r := w.reading(g)
		after = append(after, r)
		blind[r.key()] = g.Decides && len(g.Unseen) > 0
		if r.faulty() {
			j.Faulty = append(j.Faulty, r.Name())
		}
	}
	for _, before := range b.Watched {
		i := w.item(s, before, after, blind)
		if last.drained(&i, blind[before.key()]) {
			i.Verdict, i.Why = Cured, "more waited than could before, and were accepted"
		} else if i = last.grown(i, w.seconds); i.Verdict == Cured {
			i = last.lasting(i)
		}
		j.Items = append(j.Items, i)
	}
	j.Worse = b.worse(after)
	j.sum(b, since)
	return j
}

// lasting holds back a cure that only load shows until two looks have shown it, one after the
// other: the load may have ended in the first.
func (j *Judgement) lasting(i Item) Item {
	if i.After != nil && beyond(i.Before, *i.After) {
		return i
	}
	i.Loaded = true
	if was, known := j.item(i.Before.key()); !known || !was.Loaded {
		i.Verdict = Untold
		i.Why += ", and none was refused in the last look alone"
	}
	return i
}

// Still are those of what a plan leaves that check complains of after the change, too.
func (j Judgement) Still(left []plan.Left) []plan.Left {
	if j.Faulty == nil {
		return left
	}
	out := []plan.Left{}
	for _, l := range left {
		if !l.Binds || l.Wanted > 0 || slices.Contains(j.Faulty, l.Limit+" at "+l.Subject) {
			out = append(out, l)
		}
	}
	return out
}

func (w window) item(s host.Snapshot, before Reading, after []Reading, blind map[key]bool) Item {
	i := Item{Before: before, Verdict: Untold}
	now, ok := find(after, before.key())
	if !ok && before.Kind == limit.Source && why(s, before.Limit) == "" {
		// such a gauge is there only while it is near
		now.OpenedPerSecond = w.opened(limit.Outbound)
		i.Verdict, i.Why = loaded(before, now)
		return i
	}
	if !ok {
		i.Why = cmp.Or(why(s, before.Limit), "it is gone, or nobody uses it now")
		return i
	}
	i.After = &now
	if before.RefusedPerSecond < 0 && now.RefusedPerSecond == 0 {
		now.RefusedPerSecond = unknownRate
	}
	switch {
	case refuses(before, now):
		i.Verdict, i.Why = NotCured, "refuses still: "+now.Cause
	case blind[now.key()]:
		i.Why = "its figures could not all be read after the change"
	case before.Severity == "":
		i.Why = "it refused nobody before and refuses nobody now, which shows nothing"
		if beyond(before, now) {
			i.Verdict, i.Why = Cured, "more use it than could before"
		}
	default:
		i.Verdict, i.Why = loaded(before, now)
	}
	return i
}

// A queue or table fills where it would be full within soonFull looks and kept such a share of what
// came in the last one. Of a queue that is certain mostGrown times one after the other: a burst
// shows now more and now less of itself.
const (
	soonFull  = 20
	kept      = 0.25
	mostGrown = 3
)

// grown looks again at what holds more than it could before: it has room, and whether it only fills
// shows at the looks that follow.
func (j *Judgement) grown(i Item, seconds float64) Item {
	if i.Verdict != Cured || i.After == nil || !beyond(i.Before, *i.After) {
		return i
	}
	was, known := j.item(i.Before.key())
	if !known || was.After == nil {
		i.Verdict, i.Filling = Untold, 1
		i.Why = "there are more than could be before, and perhaps more still soon"
		return i
	}
	more := i.After.Used - was.After.Used
	if more*soonFull <= i.After.Ceiling-i.After.Used ||
		float64(more) <= kept*i.After.OpenedPerSecond*seconds {
		return i
	}
	i.Verdict, i.Filling = Untold, max(was.Filling, 1)+1
	i.Why = fmt.Sprintf("fills up still, and is full in about %.0f s if that goes on",
		math.Ceil(float64(i.After.Ceiling-i.After.Used)/float64(more)*seconds))
	if i.Before.Measure == limit.Burst && i.Filling > mostGrown {
		i.Verdict = NotCured
		i.Why = "fills up still: the program accepts more slowly than connections come, " +
			"and a longer queue would be full again"
	}
	return i
}

// drained says whether a queue that was longer than it could be has become shorter again, and
// refuses nobody: that shows a load as well, although none may come just now.
func (j *Judgement) drained(i *Item, blind bool) bool {
	was, known := j.item(i.Before.key())
	return known && was.After != nil && !blind && i.Verdict == Untold && i.After != nil &&
		i.Before.Measure == limit.Burst && beyond(i.Before, *was.After) &&
		i.After.Used < was.After.Used
}

// item is what an earlier judgement says of a limit.
func (j *Judgement) item(k key) (Item, bool) {
	if j != nil {
		for _, i := range j.Items {
			if i.Before.key() == k {
				return i, true
			}
		}
	}
	return Item{}, false
}

// refuses says whether a limit still does what it was watched for.
func refuses(before, now Reading) bool {
	return now.Severity == diagnose.Critical ||
		now.Severity == diagnose.Warning && before.Severity == diagnose.Warning
}

// beyond says whether more is in use than the limit allowed before, which shows both a load and
// that it has room.
func beyond(before, now Reading) bool {
	return !before.Unbounded && !now.Unbounded && now.Used > before.Ceiling &&
		now.Ceiling > before.Ceiling
}

// least is the share of the connections opened a second before the change that has to be there
// after it, for the load to be the same one.
const least = 0.5

// loaded says whether connections are tried still where none is refused.
func loaded(before, now Reading) (Verdict, string) {
	was, is := before.OpenedPerSecond, now.OpenedPerSecond
	switch {
	case beyond(before, now):
		return Cured, "more use it than could before"
	case was < 0 || is < 0:
		return Untold, "how many connections are opened could not be read"
	case is == 0:
		return Untold, "nobody opens connections now: there is no load to judge by"
	case is < least*was:
		return Untold, fmt.Sprintf("the load is gone: %s connections a second are opened, "+
			"%s were before", perSecond(is), perSecond(was))
	}
	return Cured, fmt.Sprintf("%s connections a second are opened, %s were before",
		perSecond(is), perSecond(was))
}

// worse are the limits that refuse now and did not before. What was watched is judged by itself.
func (b Before) worse(after []Reading) (out []Reading) {
	known := slices.Concat(b.Watched, b.Critical)
	for _, r := range after {
		_, before := find(known, r.key())
		if r.Severity == diagnose.Critical && !before && !b.follows(r) {
			out = append(out, r)
		}
	}
	return out
}

// follows says whether what refuses was refused already by a limit that explains it, or is
// explained by one that is watched.
func (b Before) follows(r Reading) bool {
	for _, id := range limit.Find(limit.ID(r.Limit)).Follows {
		if slices.ContainsFunc(slices.Concat(b.Watched, b.Critical), func(w Reading) bool {
			return w.Limit == string(id) && w.PID == r.PID
		}) {
			return true
		}
	}
	return false
}

// sum is the verdict on all: one limit that is worse, or is not cured, decides. Of what is watched
// and had refused nobody, nothing has to be seen.
func (j *Judgement) sum(b Before, since time.Duration) {
	worst := func(v Verdict) int { // of those that refused, where any did
		at := slices.IndexFunc(j.Items, func(i Item) bool {
			return i.Verdict == v && i.Before.Severity == diagnose.Critical
		})
		if at < 0 && (v != Untold || !b.Refusing()) {
			at = slices.IndexFunc(j.Items, func(i Item) bool { return i.Verdict == v })
		}
		return at
	}
	switch i := worst(NotCured); {
	case len(j.Worse) > 0:
		w := j.Worse[0]
		j.Verdict, j.Why = Worse, w.Name()+" refuses since the change: "+w.Cause
	case i >= 0 && b.OldLast > 0 && (since < b.old() || b.old() == 0):
		j.Verdict = Untold
		j.Why = fmt.Sprintf("%s refuses still: the change acts on new connections, and "+
			"what was there before it lasts for up to %g s", j.Items[i].Before.Name(),
			b.OldLast)
	case i >= 0:
		j.Verdict, j.Why = NotCured, j.Items[i].Before.Name()+" "+j.Items[i].Why
	case worst(Untold) >= 0:
		i = worst(Untold)
		j.Verdict, j.Why = Untold, j.Items[i].Before.Name()+": "+j.Items[i].Why
	case len(j.Items) == 0:
		j.Verdict, j.Why = Untold, "nothing is watched"
	default:
		i = worst(Cured)
		j.Verdict, j.Why = Cured, j.Items[i].Before.Name()+" refuses no more: "+
			j.Items[i].Why
	}
}
