package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"
)

// Confirm keeps the run that waits for it, 0 being the last one, and writes its files for
// the next boot. What somebody else has changed meanwhile stays as it is, and is reported. A
// run that is kept already is no error. When the window is over it refuses. Where the files
// cannot be written, those that were are rolled back, and the running values stay.
func (e *Engine) Confirm(id int) (Report, error) {
	unlock, err := e.store().lock()
	if err != nil {
		return Report{}, err
	}
	defer unlock()
	r, err := e.find(id)
	if err != nil {
		return Report{}, err
	}
	now, err := e.situation(false)
	if err != nil {
		return Report{}, err
	}
	if err := confirmable(r, now); err != nil {
		return Report{}, err
	}
	l, err := e.store().reopen(r, e.Now)
	if err == nil && r.Within > 0 && !r.Confirmed {
		err = l.add(entry{Do: doConfirmed})
	}
	if err == nil && r.Persist && !r.Persisted {
		err = e.persistOrNothing(l)
	}
	report := e.report(r)
	report.Lost = e.at(r).lost(r)
	return report, err
}

// persistOrNothing leaves no file behind where not all of them can be written.
func (e *Engine) persistOrNothing(l *log) error {
	err := e.persist(l)
	if err == nil {
		return nil
	}
	for i := len(l.run.Files) - 1; i >= 0; i-- {
		item := l.store.disk.restore(l.run.Files[i])
		err = errors.Join(err,
			l.add(entry{Do: doUndone, FileNo: i + 1, Outcome: item.Outcome,
				Text: item.Text}))
	}
	return fmt.Errorf("the running values stay, no file for the next boot was written: %w", err)
}

func confirmable(r *Run, now Situation) error {
	if r == nil {
		return &Refusal{Why: "nothing waits for a confirmation"}
	}
	switch s := r.State(now); s {
	case Pending, InEffect, Persisting:
		return nil
	case Overdue:
		if r.Guard == 0 || !alive(r.Guard, r.GuardFrom) {
			return unguarded(r, now)
		}
		return &Refusal{Why: fmt.Sprintf(
			"too late: %s was to be confirmed %s ago, and is rolled back", r.name(),
			(-r.remaining(now)).Round(time.Second)), Hint: fmt.Sprintf(
			"maxconn status shows whether it was; maxconn rollback %d does it", r.ID)}
	case Undone, PartlyLeft:
		return &Refusal{Why: fmt.Sprintf("%s was rolled back: %s", r.name(), r.Undo),
			Hint: "apply the plan again"}
	case Over:
		return &Refusal{
			Why: fmt.Sprintf(
				"the network namespace of %s has ended, and its values with it",
				r.name()),
			Hint: "apply the plan again",
		}
	case Rebooted:
		return &Refusal{Why: fmt.Sprintf(
			"the host was booted since %s: its running values are gone", r.name()),
			Hint: "apply the plan again"}
	default:
		return &Refusal{Why: fmt.Sprintf("%s does not wait for a confirmation: it is %s",
			r.name(), s), Hint: s.hint(r.ID)}
	}
}

// unguarded is the refusal to confirm what nobody rolled back in time.
func unguarded(r *Run, now Situation) error {
	late := (-r.remaining(now)).Round(time.Second)
	return &Refusal{
		Why: fmt.Sprintf("too late: %s was to be confirmed %s ago, and was not rolled "+
			"back: the process that was to do it has ended or is stopped", r.name(),
			late),
		Hint: fmt.Sprintf("maxconn rollback %d does it", r.ID),
	}
}

// Watched is what the process that awaits a confirmation came to.
type Watched string

const (
	WatchedKept     Watched = "kept"     // confirmed, or ended by somebody else
	WatchedReverted Watched = "reverted" // rolled back, all of it
	WatchedLeft     Watched = "left"     // rolled back, but not all of it
)

// watchEvery is how often the journal is looked at: a process whose run was confirmed ends
// that soon.
const watchEvery = 250 * time.Millisecond

// watchGone is for how long a run's journal may be away (a state directory that is being
// moved) before the process that watches it gives up: without it nobody knows what to roll
// back.
const watchGone = time.Minute

// Watch rolls a run back when its window ends without a confirmation, at once when the
// process that applies it died half-way, and when ctx ends: nobody would do it after that.
// It returns when the run needs no watching any more.
func (e *Engine) Watch(ctx context.Context, id int) (Watched, error) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	seen := e.Now()
	if r, err := e.store().read(id); err == nil {
		e.Hold(r.Plan) // its processes, from now on
	}
	for {
		due, over, err := e.look(ctx, id)
		if over {
			return WatchedKept, err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			seen = e.Now()
		} else if e.Now().Sub(seen) > watchGone {
			return WatchedLeft,
				fmt.Errorf("the journal of run %d has been away for %v: nobody "+
					"knows what to roll back: %w", id, watchGone, err)
		}
		if due {
			result, done, err := e.revert(ctx, id)
			if done {
				return result, err
			}
		} else if e.judges(ctx, id) {
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// judges says whether a run waited for a judgement, which it has now, or soon has.
func (e *Engine) judges(ctx context.Context, id int) bool {
	r, err := e.store().read(id)
	if err != nil || ctx.Err() != nil {
		return false
	}
	now, err := e.situation(e.store().busy())
	return err == nil && r.undecided(now) && e.judge(ctx, r) == nil
}

// look reads the journal without the lock. What cannot be read now, of which err tells, may
// be readable at the next look.
func (e *Engine) look(ctx context.Context, id int) (due, over bool, err error) {
	r, err := e.store().read(id)
	if err != nil {
		return false, ctx.Err() != nil, err
	}
	now, err := e.situation(e.store().busy())
	if err != nil {
		return false, false, nil
	}
	switch r.State(now) {
	case Applying, Undoing:
		return false, false, nil
	case Pending:
		return ctx.Err() != nil, false, nil
	case Overdue, Interrupted:
		return true, false, nil
	case NotBegun:
		// The lock was free, so the program that began it is dead.
		return true, false, nil
	}
	return false, true, nil
}

// revert rolls a run back under the lock, if it still has to be.
func (e *Engine) revert(ctx context.Context, id int) (result Watched, done bool, err error) {
	unlock, err := e.store().lock()
	if err != nil {
		return "", false, nil // somebody is at work: look again
	}
	defer unlock()
	r, err := e.store().read(id)
	if err != nil {
		return "", false, nil
	}
	now, err := e.situation(false)
	if err != nil {
		return "", false, nil
	}
	s := r.State(now)
	switch {
	case s == Pending && ctx.Err() == nil:
		return "", false, nil // the window has begun meanwhile
	case !s.open() && s != NotBegun:
		return WatchedKept, true, nil
	}
	l, err := e.store().reopen(r, e.Now)
	if err != nil {
		return WatchedLeft, true, err
	}
	t := e.undo(l, reason(s))
	if t.Left > 0 {
		return WatchedLeft, true, nil
	}
	return WatchedReverted, true, t.Journal
}

// reason is why a watched run is rolled back.
func reason(s State) string {
	switch s {
	case Pending:
		return "the process that awaited the confirmation was signalled to end"
	case Overdue:
		return "nobody confirmed it in time"
	}
	return "the program that applied it was ended half-way"
}
