package fix

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
)

// Before is what was seen before a change, and what is compared with it afterwards. It is all that
// a judgement needs besides the window after the change, so it is kept in the journal.
type Before struct {
	Seconds float64 `json:"seconds"` // of a window
	PID     int64   `json:"pid,omitempty"`
	// Watched is what the change is for.
	Watched []Reading `json:"watched"`
	// Critical are the other limits that refused already: they are not the change's doing.
	Critical []Reading `json:"critical,omitempty"`
	// OldLast is for how many seconds what holds the limit may be older than the change, which
	// acts on new connections only.
	OldLast  float64       `json:"old_last_seconds,omitempty"`
	Workload plan.Workload `json:"workload"`
	// Earlier are the runs that were rolled back because their room was full again.
	Earlier []int `json:"earlier_runs,omitempty"`
}

// ErrNoWindow is a snapshot of one sample: what moves is not in it.
var ErrNoWindow = errors.New("the evidence is no window of two samples")

// NewBefore is what is watched of a plan that was made for a window.
func NewBefore(s host.Snapshot, p plan.Plan, pid int64) (Before, error) {
	w, ok := windowOf(s)
	if !ok {
		return Before{}, ErrNoWindow
	}
	b := Before{Seconds: w.seconds, PID: pid, Workload: p.Workload, Watched: []Reading{}}
	for _, c := range p.Changes {
		b.OldLast = max(b.OldLast, c.OldLast)
	}
	wanted := unmet(s, p.Workload)
	for _, g := range gauges(s, b.Workload) {
		r := w.reading(g)
		concerned := pid == 0 || r.PID == 0 || r.PID == pid
		switch {
		case concerned && (r.faulty() || wanted[r.key()]) && changes(p, r) && !left(p, r):
			b.Watched = append(b.Watched, r)
		case r.Severity == diagnose.Critical:
			b.Critical = append(b.Critical, r)
		}
	}
	return b, nil
}

// unmet are the limits that a wanted workload does not fit.
func unmet(s host.Snapshot, w plan.Workload) map[key]bool {
	out := map[key]bool{}
	asked := w.Asked()
	if len(asked.Inbound)+len(asked.Outbound) == 0 {
		return out
	}
	needs, _ := diagnose.Unmet(s, asked, diagnose.AtOnce)
	for _, n := range needs {
		out[window{seconds: 1}.reading(*n.Gauge).key()] = true
	}
	return out
}

// changes says whether a plan changes something for a limit.
func changes(p plan.Plan, r Reading) bool {
	of := func(c plan.Change) bool { return c.Limit == r.Limit }
	return slices.ContainsFunc(p.Changes, of)
}

// left says whether a plan leaves a finding as it is.
func left(p plan.Plan, r Reading) bool {
	return slices.ContainsFunc(p.Left, func(l plan.Left) bool {
		return l.Binds && l.Limit == r.Limit && l.Subject == r.Subject
	})
}

// Refusing says whether anything of what is watched refused connections before the change.
func (b Before) Refusing() bool {
	return slices.ContainsFunc(b.Watched, func(r Reading) bool {
		return r.Severity == diagnose.Critical
	})
}

// Window is how long the window before the change was. After it one look takes half of that: load
// that ends with the change shows in the second.
func (b Before) Window() time.Duration { return seconds(b.Seconds) }

// Look is how long one look takes.
func (b Before) Look() time.Duration { return b.Window() / 2 }

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// looks are two windows: what clients had begun before the change may be refused a moment longer,
// and load comes in waves. mostLooks are for what the last of them leaves open.
const (
	looks     = 4
	mostLooks = 8
)

// What was there before the change is waited for before anything is said where it lasts no longer
// than mostOld: TIME_WAIT takes 60 s (include/net/tcp.h TCP_TIMEWAIT_LEN). Up to mostLate it is
// looked at again when it has ended.
const (
	mostOld  = 65 * time.Second
	mostLate = time.Hour
)

// old is how long what was there before the change lasts: the kernel's timer is late by some.
func (b Before) old() time.Duration {
	if old := seconds(min(b.OldLast, mostLate.Seconds())); old < mostLate {
		return old * 13 / 12
	}
	return 0
}

// Again is when, after the change, what is there is looked at again, because what was there before
// it hides what it does; 0 for never.
func (b Before) Again() time.Duration {
	if b.old() > mostOld*13/12 {
		return b.old()
	}
	return 0
}

// Longest is how long after the change the last look ends, at most.
func (b Before) Longest() time.Duration {
	return b.old() + mostLooks*b.Look()
}

// Terms are on which terms a change is kept.
func (b Before) Terms() string {
	if again := b.Again(); again > 0 {
		return fmt.Sprintf("kept if it is seen to be cured after %.0f s, when what was "+
			"there before the change has ended; else rolled back", again.Seconds())
	}
	return fmt.Sprintf("kept if it is seen to be cured, which takes %.0f s to %.0f s; else "+
		"rolled back", b.Seconds, b.Longest().Seconds())
}

// Enough says whether a judgement is the last one after this many looks, and that time since the
// change.
func (b Before) Enough(j Judgement, looked int, since time.Duration) bool {
	if j.Verdict == Cured || j.Verdict == Worse {
		return true
	}
	open := slices.ContainsFunc(j.Items, func(i Item) bool {
		return i.Verdict == Untold && (i.Filling > 0 || i.Loaded)
	})
	return looked >= looks && (since >= b.old() || b.Again() > 0) &&
		!(open && looked < mostLooks)
}

// find is the reading of a limit of a subject.
func find(all []Reading, k key) (Reading, bool) {
	i := slices.IndexFunc(all, func(r Reading) bool { return r.key() == k })
	if i < 0 {
		return Reading{}, false
	}
	return all[i], true
}

// why is the reason that a limit cannot be judged.
func why(s host.Snapshot, id string) string {
	l := limit.Find(limit.ID(id))
	if l == nil {
		return "this maxconn has no such limit"
	}
	if _, r := l.Evaluate(s, limit.Workload{}); r.Err() != nil {
		return r.Err().Error()
	}
	return ""
}
