package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/plan"
)

// Rollback rolls a run back, 0 being the last one. Values that are neither those before nor
// those of the run belong to somebody else: they stay and are reported. Unless forced it
// refuses, and changes nothing, where an old value is below what is in use. A run that is
// rolled back already is no error, and nothing is done. After a reboot there are the files
// to roll back, and the values that they have set.
func (e *Engine) Rollback(id int, force bool) (Taken, error) {
	unlock, err := e.store().lock()
	if err != nil {
		return Taken{}, err
	}
	defer unlock()
	r, err := e.find(id)
	if err != nil || r == nil {
		return Taken{Schema: RollbackSchema, State: Undone, Items: []Item{}}, err
	}
	now, err := e.situation(false)
	if err != nil {
		return Taken{}, err
	}
	state := r.State(now)
	if r.Ended && r.Left == 0 {
		return Taken{
			Schema:   RollbackSchema,
			Run:      r.ID,
			State:    state,
			Items:    []Item{},
			InEffect: e.inEffect(r, now),
		}, nil
	}
	e = e.at(r)
	if err := e.sameNamespace(r); err != nil {
		return Taken{}, err
	}
	if err := e.overlaid(r, now); err != nil {
		return Taken{}, err
	}
	if !force {
		if err := e.notBelowUse(r); err != nil {
			return Taken{}, err
		}
	}
	l, err := e.store().reopen(r, e.Now)
	if err != nil {
		return Taken{}, err
	}
	t := e.undo(l, undoneByHand)
	t.InEffect = e.inEffect(r, now)
	return t, t.Journal
}

// undoneByHand is why a run was rolled back that somebody has rolled back.
const undoneByHand = "rollback"

// inEffect are the runs besides one that are in effect. It is for people: where they cannot
// be read it is empty.
func (e *Engine) inEffect(but *Run, now Situation) (out []int) {
	runs, _, _ := e.store().load()
	for _, r := range runs {
		if s := r.State(now); r.ID != but.ID && (s == InEffect || s == Persisting) {
			out = append(out, r.ID)
		}
	}
	return out
}

// find is a run by its number; 0 is the last that did not fail by itself, or nil where
// there is none.
func (e *Engine) find(id int) (*Run, error) {
	if id > 0 {
		r, err := e.store().read(id)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, &Refusal{Why: fmt.Sprintf("there is no run %d", id),
				Hint: "maxconn history lists them"}
		}
		var refused *Refusal
		if errors.As(err, &refused) {
			return nil, err
		}
		if err != nil {
			return nil, &Unreadable{id, e.store().journal(id), bare(err)}
		}
		return r, nil
	}
	runs, bad, err := e.store().load()
	if err != nil {
		return nil, err
	}
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		if len(bad) > 0 && bad[len(bad)-1].ID > r.ID {
			break
		}
		if r.Ended && r.Left == 0 && strings.HasPrefix(r.Undo, failedBecause) ||
			r.untouched() && !r.Applied {
			continue // nothing of it was ever in effect
		}
		return r, nil
	}
	if len(bad) > 0 {
		return nil, bad[len(bad)-1]
	}
	return nil, nil
}

// sameNamespace refuses to touch the values of one network namespace from another.
func (e *Engine) sameNamespace(r *Run) error {
	if r.Place.BootID != e.Here.BootID {
		return e.ownNamespace(r)
	}
	if r.Place.sameNamespace(e.Here) {
		return nil
	}
	switch over := e.ended(r.Place); {
	case over && e.Here.Path == "": // nothing of it is in this one, and the run can be closed
		return nil
	case over:
		const why = "the network namespace that %s changed has ended: %s is another one"
		const hint = "nothing is to be rolled back there; " +
			"without --netns maxconn rollback %d closes the run"
		return &Refusal{Why: fmt.Sprintf(why, r.name(), e.Here.Path),
			Hint: fmt.Sprintf(hint, r.ID)}
	}
	return &Refusal{Why: fmt.Sprintf("%s changed network namespace %s, this is %s", r.name(),
		r.Place.Netns, e.Here.Netns),
		Hint: fmt.Sprintf("say where that is: maxconn rollback %d --netns NAME", r.ID)}
}

// ownNamespace refuses to roll back what files have set at boot from a namespace that they
// do not act on.
func (e *Engine) ownNamespace(r *Run) error {
	for _, c := range r.Plan.Changes {
		if _, elsewhere := e.reach(r, c); elsewhere != "" {
			return &Refusal{Why: fmt.Sprintf(
				"the files of %s set %s in the host's own network namespace, "+
					"this is another one", r.name(), describe(c)),
				Hint: fmt.Sprintf("on the host: maxconn rollback %d", r.ID)}
		}
	}
	return nil
}

// overlaid refuses to roll back a run under a later one that is in effect and changed the
// same setting or file: the last one first.
func (e *Engine) overlaid(r *Run, now Situation) error {
	runs, _, err := e.store().load()
	if err != nil {
		return err
	}
	for _, later := range slices.Backward(runs) {
		if later.ID <= r.ID {
			break
		}
		ended := []State{Undone, PartlyLeft, NotBegun, Rebooted, Over}
		if what := r.shares(later); what != "" &&
			!slices.Contains(ended, later.State(now)) {
			return &Refusal{Why: fmt.Sprintf("%s changed %s after %s did", later.name(),
				what, r.name()),
				Hint: fmt.Sprintf("roll that back first: maxconn rollback %d",
					later.ID)}
		}
	}
	return nil
}

// shares names a setting or file that both runs changed.
func (r *Run) shares(other *Run) string {
	for _, f := range r.Files {
		if slices.ContainsFunc(other.Files, func(g fileNote) bool {
			return f.Path == g.Path
		}) {
			return f.Path
		}
	}
	sameBoot := r.Place.BootID == other.Place.BootID
	if sameBoot && !r.Place.sameNamespace(other.Place) {
		return ""
	}
	for _, c := range r.Plan.Changes {
		if !sameBoot && !r.keeps(c.Target) {
			continue
		}
		same := func(d plan.Change) bool { return c.Target.Same(d.Target) }
		if slices.ContainsFunc(other.Plan.Changes, same) {
			return describe(c)
		}
	}
	return ""
}

// notBelowUse refuses where an old value is below what is in use now.
func (e *Engine) notBelowUse(r *Run) error {
	if e.Usage == nil {
		return nil
	}
	var why []string
	use := e.Usage()
	for i := range r.Progress {
		if !r.mayHaveWritten(i) {
			continue
		}
		if text := e.below(use, r, i); text != "" {
			why = append(why, text)
		}
	}
	if len(why) == 0 {
		return nil
	}
	return &Refusal{Why: "nothing was changed: " + strings.Join(why, "; "),
		Hint: "wait until less is in use, or --force"}
}

// below says why an old value would be too low now, "" where it would not be written or is
// high enough.
func (e *Engine) below(use Usage, r *Run, i int) string {
	c := r.change(i)
	if past, elsewhere := e.reach(r, c); past != "" || elsewhere != "" {
		return ""
	}
	have, err := e.Kernel.Read(c.Target)
	if err != nil || !e.isOurs(r, i, have) ||
		c.Target.Kind == host.ProcessKind && c.Target.Field == fieldHard {
		return "" // nothing will be written, or the soft limit is what counts
	}
	old, ok := amount(c)
	if !ok {
		return ""
	}
	n, of, err := use.InUse(c.Target)
	switch {
	case errors.Is(err, ErrGone):
		return ""
	case err != nil:
		return fmt.Sprintf("%s cannot be compared with what is in use: %v", describe(c),
			err)
	case of != "" && n > old:
		return fmt.Sprintf("%s was %d, and %d %s", describe(c), old, n, of)
	}
	return ""
}

// amount is the old value in the unit in which its use is counted: of the three bounds of
// tcp_mem the last, above which the kernel refuses memory; of a range of ports their
// number. ok is false where it is no number.
func amount(c plan.Change) (n int64, ok bool) {
	fields := strings.Fields(c.From)
	switch {
	case c.Target.Kind == host.SysctlKind && c.Target.Name == tcpMem && len(fields) == 3:
		return whole(fields[2])
	case c.Target.Kind == host.SysctlKind && c.Target.Name == portRange && len(fields) == 2:
		low, ok1 := whole(fields[0])
		high, ok2 := whole(fields[1])
		return high - low + 1, ok1 && ok2
	case len(fields) == 1:
		return whole(fields[0])
	}
	return 0, false
}

func whole(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}
