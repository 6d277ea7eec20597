package apply

import (
	"slices"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/plan"
)

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
