package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/observe"
)

// A run of fix is judged by evidence while it waits for a confirmation, by the process that would
// roll it back otherwise: so it comes to the same whether or not the program that began it lives.

// Evidence takes a window of an engine's namespace.
type Evidence func(ctx context.Context, length time.Duration) (host.Snapshot, error)

// evidence is the one of the running kernel.
func (e *Engine) evidence(ctx context.Context, length time.Duration) (host.Snapshot, error) {
	return observe.Window(ctx, observe.Options{Namespace: e.Namespace()}, length, nil)
}

// undecided says whether a run waits for a judgement, or for what follows from one.
func (r *Run) undecided(s State) bool {
	return r.Fix != nil && s == Pending && (r.Judged == nil || r.Judged.Verdict != fix.Untold)
}

// judge looks until there is a judgement and carries it out. It ends without one with ctx, and
// where somebody else has decided meanwhile.
func (e *Engine) judge(ctx context.Context, r *Run) error {
	if r.Judged != nil { // somebody was ended between the judgement and what follows from it
		return e.decide(r.ID, *r.Judged)
	}
	now, err := e.situation(false)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, r.remaining(now)) // then nobody has confirmed it
	defer stop()
	begun := e.Now()
	var last *fix.Judgement
	for looked := 1; ; looked++ {
		j := e.judgement(ctx, r, last)
		if ctx.Err() != nil {
			return nil
		}
		if r.Fix.Enough(j, looked, e.Now().Sub(begun)) {
			return e.decide(r.ID, j)
		}
		last = &j
		if again, err := e.store().read(r.ID); err != nil || !e.waits(again) {
			return nil
		}
	}
}

// judgement is what one window says. A judge that cannot go on is none: the run has to be rolled
// back in time all the same.
func (e *Engine) judgement(ctx context.Context, r *Run, last *fix.Judgement) (j fix.Judgement) {
	defer func() {
		if x := recover(); x != nil {
			j = fix.Unread(fmt.Errorf("the judge has failed: %v", x))
		}
	}()
	s, err := e.Evidence(ctx, r.Fix.Window())
	if err != nil {
		return fix.Unread(err)
	}
	return r.Fix.Judge(s, last)
}

// waits says whether a run is to be confirmed still.
func (e *Engine) waits(r *Run) bool {
	now, err := e.situation(false)
	return err == nil && r.State(now) == Pending
}

// decide writes a judgement down and keeps the run or rolls it back, under the lock.
func (e *Engine) decide(id int, j fix.Judgement) error {
	unlock, err := e.store().lock()
	if err != nil {
		return err
	}
	defer unlock()
	r, err := e.store().read(id)
	if err != nil || !e.waits(r) {
		return err
	}
	l, err := e.store().reopen(r, e.Now)
	if err != nil {
		return err
	}
	if r.Judged == nil {
		if other := e.meddled(r); other != "" {
			j.Verdict, j.Why = fix.Untold, other
		}
		if err := l.add(entry{Do: doJudged, Judged: &j}); err != nil {
			return err
		}
	}
	return e.follow(l)
}

// follow does what follows from the judgement of a run.
func (e *Engine) follow(l *log) error {
	switch j := l.run.Judged; j.Verdict {
	case fix.Cured:
		if err := l.add(entry{Do: doConfirmed}); err != nil || !l.run.Persist {
			return err
		}
		return e.persistOrNothing(l)
	case fix.NotCured, fix.Worse:
		return e.undo(l, string(j.Verdict)+": "+j.Why).Journal
	}
	return nil
}

// meddled names a change that is not there any more: what is seen is not its doing.
func (e *Engine) meddled(r *Run) string {
	for i := range r.Progress {
		if c := e.changeStatus(r, i); c.Now != NowNew {
			return fmt.Sprintf("%s is %s since the change: %s", c.Setting,
				orEmpty(c.Value), c.Now)
		}
	}
	return ""
}

// Free refuses while an earlier run in this namespace is not over, as Apply does.
func (e *Engine) Free() error {
	return e.free()
}

// AwaitJudgement returns the report of a run of fix once it is decided, or could not be. Where the
// process that judges has been ended, another is started. The error is that of ctx, or of the
// journal.
func (e *Engine) AwaitJudgement(ctx context.Context, id int) (fix.Report, error) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		report, err := e.FixReport(id)
		if err != nil || report.Outcome == fix.Waiting || !State(report.State).open() {
			return report, err
		}
		if err := e.guarded(id); err != nil {
			return report, err
		}
		select {
		case <-ctx.Done():
			return report, ctx.Err()
		case <-tick.C:
		}
	}
}

// guarded starts the process that judges a run again where it has been ended.
func (e *Engine) guarded(id int) error {
	r, err := e.store().read(id)
	if err != nil || alive(r.Guard, r.GuardFrom) {
		return err
	}
	unlock, err := e.store().lock()
	if err != nil {
		return nil // it is being decided
	}
	defer unlock()
	if r, err = e.store().read(id); err != nil {
		return err
	}
	now, err := e.situation(false)
	if s := r.State(now); err != nil || s == Pending && !r.undecided(s) || !s.open() {
		return err
	}
	l, err := e.store().reopen(r, e.Now)
	if err != nil {
		return err
	}
	return e.startGuard(l)
}

// startGuard starts the process that rolls a run back when its window ends, and judges it.
func (e *Engine) startGuard(l *log) error {
	pid, err := e.guard(l.run.ID)
	if err == nil {
		err = l.add(entry{Do: doGuard, PID: pid, Start: startOf(pid)})
	}
	if err != nil {
		return fmt.Errorf("start the process that rolls it back: %w", err)
	}
	return nil
}

// FixReport is what a run of fix has come to by now; 0 is the last of them.
func (e *Engine) FixReport(id int) (fix.Report, error) {
	busy := e.store().busy()
	r, err := e.fixRun(id)
	if err != nil {
		return fix.Report{}, err
	}
	now, err := e.situation(busy)
	if err != nil {
		return fix.Report{}, err
	}
	return r.report(now), nil
}

func (e *Engine) fixRun(id int) (*Run, error) {
	if id > 0 {
		r, err := e.find(id)
		if err == nil && r.Fix == nil {
			err = &Refusal{Why: fmt.Sprintf("run %d was not made by maxconn fix", id),
				Hint: "maxconn history lists all runs"}
		}
		return r, err
	}
	runs, bad, err := e.store().load()
	if err != nil || len(bad) > 0 {
		return nil, errors.Join(err, unreadable(bad))
	}
	for _, r := range slices.Backward(runs) {
		if r.Fix != nil {
			return r, nil
		}
	}
	return nil, &Refusal{Why: "maxconn fix has changed nothing here yet"}
}

func unreadable(bad []*Unreadable) error {
	if len(bad) == 0 {
		return nil
	}
	return bad[0]
}

// report is the run in the form of fix.
func (r *Run) report(now Situation) fix.Report {
	s := r.State(now)
	out := fix.Report{Schema: fix.Schema, Host: r.Plan.Host, Run: r.ID, Started: &r.Started,
		State: string(s), Evidence: r.Fix.Unjudged(), Seconds: r.Fix.Seconds,
		Left: r.Plan.Left, Changes: fix.ProposedChanges(r.Plan)}
	for i, p := range r.Progress {
		out.Changes[i].Became, out.Changes[i].RolledBack = p.Became, undone(p)
	}
	for _, f := range r.written() {
		out.Files = append(out.Files, f.Path)
	}
	if j := r.Judged; j != nil {
		out.Evidence, out.Worse, out.Why = j.Items, j.Worse, j.Why
	}
	out.Outcome = r.outcome(s)
	switch {
	case out.Outcome == fix.Waiting || out.Outcome == fix.Watching:
		out.Until = &r.Until
	case r.Judged == nil || out.Outcome == fix.ByHand:
		out.Why = orElse(r.Undo, string(s))
	}
	return out
}

func undone(p Progress) string {
	if p.Text == "" {
		return string(p.Undone)
	}
	return string(p.Undone) + ": " + p.Text
}

func orElse(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// outcome is what a run of fix has come to.
func (r *Run) outcome(s State) fix.Outcome {
	cured := r.Judged != nil && r.Judged.Verdict == fix.Cured
	told := r.Judged != nil && r.Judged.Verdict != fix.Untold
	switch s {
	case Applying, Undoing:
		return fix.Watching
	case Pending:
		if r.Judged == nil || told {
			return fix.Watching
		}
		return fix.Waiting
	case InEffect, Persisting:
		if cured {
			return fix.Kept
		}
		return fix.ByHand
	case Undone:
		if told && !cured {
			return fix.RolledBack
		}
		return fix.ByHand
	}
	return fix.Broken
}
