package apply

import (
	"bytes"
	"errors"
	"math"
	"os"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/linux/tune"
	"github.com/maxconn/maxconn/internal/plan"
)

// StatusSchema, HistorySchema and VerifySchema name the JSON forms.
const (
	StatusSchema  = "maxconn.status/1"
	HistorySchema = "maxconn.history/1"
	VerifySchema  = "maxconn.verify/1"
)

// Status is what maxconn has changed on this host and not rolled back.
type Status struct {
	Schema string      `json:"schema"`
	Runs   []RunStatus `json:"runs"` // the oldest first
	// Unreadable are journals of which nothing is known.
	Unreadable []string `json:"unreadable,omitempty"`
}

// Settled says that nothing waits for anybody: no run is half-way, overdue or pending, and
// nobody else changed anything.
func (s Status) Settled() bool {
	for _, r := range s.Runs {
		if !r.settled() {
			return false
		}
	}
	return len(s.Unreadable) == 0
}

// settled is Settled of one run. Of one that was undone in part somebody may have undone the rest.
func (r RunStatus) settled() bool {
	if r.State == Rebooted || r.State == Over {
		return true
	}
	var now []Now
	for _, c := range r.Changes {
		now = append(now, c.Now)
	}
	for _, f := range r.Files {
		now = append(now, f.Now)
	}
	left := []Now{NowOther, NowUnknown}
	if r.State == PartlyLeft {
		left = append(left, NowNew)
	}
	return (r.State == InEffect || r.State == PartlyLeft) &&
		!slices.ContainsFunc(now, func(n Now) bool { return slices.Contains(left, n) })
}

// RunStatus is one run.
type RunStatus struct {
	Run     int       `json:"run"`
	State   State     `json:"state"`
	Started time.Time `json:"started"`
	Netns   string    `json:"netns"`
	// SecondsLeft is what is left of the confirm window of a pending run; Guarded says
	// whether the process that rolls it back is up.
	SecondsLeft int  `json:"seconds_left,omitempty"`
	Guarded     bool `json:"guarded,omitempty"`
	// why it was, or is to be, rolled back; what is damaged
	Why     string         `json:"why,omitempty"`
	Changes []ChangeStatus `json:"changes"`
	Files   []FileStatus   `json:"files,omitempty"`
}

// Now says what is there now, as this run sees it.
type Now string

const (
	NowNew     Now = "as applied"
	NowOld     Now = "as before"
	NowLater   Now = "changed by a later run"
	NowOther   Now = "changed by somebody else"
	NowGone    Now = "gone"
	NowUnknown Now = "unknown"
)

// ChangeStatus is one change of a run.
type ChangeStatus struct {
	Setting string `json:"setting"`
	From    string `json:"from"`
	Wanted  string `json:"wanted"`
	Became  string `json:"became,omitempty"` // "" where that was not recorded
	Value   string `json:"value,omitempty"`  // now
	Now     Now    `json:"now"`
	Why     string `json:"why,omitempty"` // why it is unknown, or gone
}

// FileStatus is one file for the next boot.
type FileStatus struct {
	Path string `json:"path"`
	Now  Now    `json:"now"`
}

// Status compares what is there with what was applied and not rolled back. It takes no lock
// and writes nothing.
func (e *Engine) Status() (Status, error) {
	out := Status{Schema: StatusSchema, Runs: []RunStatus{}}
	busy := e.store().busy()
	runs, bad, err := e.store().load()
	if err != nil {
		return out, err
	}
	for _, u := range bad {
		out.Unreadable = append(out.Unreadable, u.Error())
	}
	now, err := e.situation(busy)
	if err != nil {
		return out, err
	}
	var later []*Run
	for _, r := range slices.Backward(runs) {
		if s := r.State(now); s != Undone && s != NotBegun {
			out.Runs = append(out.Runs, e.runStatus(r, s, now, later))
			later = append(later, r)
		}
	}
	slices.Reverse(out.Runs)
	return out, nil
}

// runStatus looks at one run. What a run of later left behind is that run's.
func (e *Engine) runStatus(r *Run, s State, now Situation, later []*Run) RunStatus {
	out := RunStatus{
		Run:     r.ID,
		State:   s,
		Started: r.Started,
		Netns:   r.Place.Netns,
		Why:     r.Undo,
		Changes: []ChangeStatus{},
	}
	if r.Damaged != "" {
		out.Why = "its journal is damaged: " + r.Damaged
	}
	if s == Interrupted && out.Why == "" && r.Place.BootID != e.Here.BootID {
		out.Why = endedBetween
	}
	if s == Pending {
		out.SecondsLeft = int(math.Ceil(r.remaining(now).Seconds()))
		out.Guarded = r.Guard > 0 && alive(r.Guard, r.GuardFrom)
	}
	e = e.at(r)
	for i := range r.Progress {
		c := e.changeStatus(r, i)
		if target := r.change(i).Target; c.Now == NowOther &&
			slices.ContainsFunc(later, func(l *Run) bool {
				return l.reaches(e, target)
			}) {
			c.Now = NowLater
		}
		out.Changes = append(out.Changes, c)
	}
	for _, f := range r.Files {
		s := FileStatus{f.Path, f.now()}
		if s.Now == NowOther && slices.ContainsFunc(later, func(l *Run) bool {
			return l.wrote(f.Path)
		}) {
			s.Now = NowLater
		}
		out.Files = append(out.Files, s)
	}
	return out
}

// reaches says whether a run has set a target that can be looked at from here.
func (r *Run) reaches(e *Engine, t plan.Target) bool {
	for i, c := range r.Plan.Changes {
		past, elsewhere := e.reach(r, c)
		if c.Target.Same(t) && r.mayHaveWritten(i) && past == "" && elsewhere == "" {
			return true
		}
	}
	return false
}

// wrote says whether a run may have written a file.
func (r *Run) wrote(path string) bool {
	return slices.ContainsFunc(r.Files, func(n fileNote) bool { return n.Path == path })
}

// alive says whether a process is there still and not stopped; of one whose start is not known (0),
// whether its number is anybody's. It is for people: the journal decides.
func alive(pid int, start uint64) bool {
	now, stopped := statOf(pid)
	return now != 0 && (start == 0 || now == start) && !stopped
}

func (e *Engine) changeStatus(r *Run, i int) ChangeStatus {
	c := r.change(i)
	out := ChangeStatus{Setting: describe(c), From: c.From, Wanted: c.To,
		Became: r.Progress[i].Became}
	switch past, elsewhere := e.reach(r, c); {
	case past != "":
		out.Now, out.Why = NowGone, past
		return out
	case elsewhere != "":
		out.Now, out.Why = NowUnknown, elsewhere
		return out
	}
	have, err := e.Kernel.Read(c.Target)
	out.Value = have
	switch {
	case errors.Is(err, ErrGone):
		out.Now = NowGone
	case err != nil:
		out.Now, out.Why = NowUnknown, err.Error()
	case r.mayHaveWritten(i) && e.isOurs(r, i, have):
		out.Now = NowNew
	case tune.Same(c.From, have):
		out.Now = NowOld
	default:
		out.Now = NowOther
	}
	return out
}

func (n fileNote) now() Now {
	have, err := readPlain(n.Path)
	switch {
	case err == nil && bytes.Equal(have, n.New):
		return NowNew
	case err == nil && n.Existed && bytes.Equal(have, n.Old), os.IsNotExist(err) && !n.Existed:
		return NowOld
	case err != nil && !os.IsNotExist(err):
		return NowUnknown
	}
	return NowOther
}

// History is every run, the oldest first.
type History struct {
	Schema string       `json:"schema"`
	Runs   []HistoryRun `json:"runs"`
	// Unreadable are journals of which nothing is known.
	Unreadable []string `json:"unreadable,omitempty"`
}

// HistoryRun is one run in few words.
type HistoryRun struct {
	Run      int        `json:"run"`
	Started  time.Time  `json:"started"`
	State    State      `json:"state"`
	Settings []string   `json:"settings"`
	Why      string     `json:"why,omitempty"` // why it was rolled back
	Ended    *time.Time `json:"ended,omitempty"`
	Left     int        `json:"left,omitempty"`
	// Fix is what a run of maxconn fix came to.
	Fix *fix.Report `json:"fix,omitempty"`
}

// History lists every run.
func (e *Engine) History() (History, error) {
	out := History{Schema: HistorySchema, Runs: []HistoryRun{}}
	busy := e.store().busy()
	runs, bad, err := e.store().load()
	if err != nil {
		return out, err
	}
	now, err := e.situation(busy)
	for _, r := range runs {
		h := HistoryRun{
			Run:      r.ID,
			Started:  r.Started,
			State:    r.State(now),
			Why:      r.Undo,
			Left:     r.Left,
			Settings: []string{},
		}
		if r.Ended {
			h.Ended = &r.EndedAt
		}
		for i := range r.Progress {
			h.Settings = append(h.Settings, describe(r.change(i)))
		}
		if r.Fix != nil {
			report := r.report(now)
			h.Fix = &report
		}
		out.Runs = append(out.Runs, h)
	}
	for _, u := range bad {
		out.Unreadable = append(out.Unreadable, u.Error())
	}
	return out, err
}
