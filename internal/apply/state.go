package apply

import (
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/plan"
)

// State is what a run has come to.
type State string

const (
	Applying State = "applying"  // the changes are being written now
	NotBegun State = "not begun" // it ended before it wrote anything
	// it ended while it wrote, or rolled back; some changes may be there
	Interrupted State = "interrupted"
	Pending     State = "pending"   // written; waits for confirm
	Overdue     State = "overdue"   // nobody confirmed, and nothing has rolled it back yet
	InEffect    State = "in effect" // written, and confirmed where that was asked for
	// in effect; its files for the next boot are not all written
	Persisting State = "not persisted"
	Undoing    State = "undoing" // it is being rolled back now
	Undone     State = "undone"  // everything is as before
	// rolled back, but for what somebody else changed or the kernel refused
	PartlyLeft State = "partly undone"
	// the host was booted since: its running values are gone
	Rebooted State = "rebooted"
	// its network namespace has ended, with all that it changed
	Over State = "over"
)

// Situation is what a state depends on besides the journal.
type Situation struct {
	BootID string
	Uptime time.Duration
	Busy   bool // somebody holds the lock now
	// Ended says whether a network namespace is known to have ended; nil: it is not.
	Ended func(Place) bool
}

// State tells what the run has come to.
func (r *Run) State(now Situation) State {
	switch {
	case r.Ended && r.Left > 0:
		return PartlyLeft
	case r.Ended:
		return Undone
	case r.Undo != "" && now.Busy:
		return Undoing
	case r.Place.BootID != now.BootID:
		return r.afterBoot()
	case r.over(now):
		return Over
	case r.Undo != "" || r.Damaged != "":
		return Interrupted
	case !r.Applied && now.Busy:
		return Applying
	case !r.Applied && r.untouched():
		return NotBegun
	case !r.Applied:
		return Interrupted
	case r.Within > 0 && !r.Confirmed:
		return r.waiting(now)
	case r.Persist && !r.Persisted:
		return Persisting
	}
	return InEffect
}

func (r *Run) waiting(now Situation) State {
	if r.remaining(now) > 0 {
		return Pending
	}
	return Overdue
}

// remaining is what is left of the confirm window.
func (r *Run) remaining(now Situation) time.Duration {
	return time.Duration(r.UntilUp*float64(time.Second)) - now.Uptime
}

// open says whether something of the run has to be finished before another may begin.
func (s State) open() bool {
	switch s {
	case Applying, Interrupted, Pending, Overdue, Undoing:
		return true
	}
	return false
}

// untouched says that no change was so much as intended.
func (r *Run) untouched() bool {
	for _, p := range r.Progress {
		if p.Intended {
			return false
		}
	}
	return r.Damaged == ""
}

// What a run changed ends with its boot, except for what its files set again at the next
// one. Those values are there as if the run had just written them: status compares them,
// rollback rolls them back.

// keeps says whether a file of the run sets a target at each boot.
func (r *Run) keeps(t plan.Target) bool {
	return slices.ContainsFunc(r.Files, func(n fileNote) bool {
		return slices.Contains(n.Keeps, t)
	})
}

// reach says whether a change of a run can be looked at from here. past, where not empty, says with
// what it ended. elsewhere, where not empty, says in which network namespace it is.
func (e *Engine) reach(r *Run, c plan.Change) (past, elsewhere string) {
	switch {
	case r.Place.BootID == e.Here.BootID && r.Place.sameNamespace(e.Here):
		return "", ""
	case r.Place.BootID == e.Here.BootID && e.ended(r.Place):
		if goesWithNamespace(c.Target) {
			return "its network namespace has ended", ""
		}
		return "", ""
	case r.Place.BootID == e.Here.BootID:
		return "", "it is in network namespace " + r.Place.Netns
	case !r.keeps(c.Target):
		return "its boot is over", ""
	case namespaced(c.Target) && !e.Here.Initial:
		return "", "it is in the host's own network namespace"
	}
	return "", ""
}

// namespaced targets are others in each network namespace; what files set at boot is in the first.
func namespaced(t plan.Target) bool {
	return t.Kind != host.SysctlKind || knob.InNetns(t.Name)
}

// afterBoot is the state of a run of an earlier boot. What has all its files is in effect
// through them. Where the boot ended while files were written or rolled back, some may be
// there and act.
func (r *Run) afterBoot() State {
	switch {
	case r.Undo == "" && r.Persisted && r.Damaged == "":
		return InEffect
	case len(r.Files) > 0:
		return Interrupted
	}
	return Rebooted
}

// endedBetween is why a run of an earlier boot is half there.
const endedBetween = "its boot ended while its files for the next one were being written or " +
	"rolled back"
