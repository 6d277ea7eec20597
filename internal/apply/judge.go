package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/maxconn/maxconn/internal/plan"
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
func (r *Run) undecided(now Situation) bool {
	return r.Fix != nil && r.State(now) == Pending && (r.Judged == nil ||
		r.Judged.Verdict != fix.Untold || r.Judged.Early && r.since(now) >= r.Fix.Again())
}

// since is how long ago the last change was made.
func (r *Run) since(now Situation) time.Duration { return r.within() - r.remaining(now) }

// judge looks until there is a judgement and carries it out. It ends without one with ctx, and
// where somebody else has decided meanwhile.
func (e *Engine) judge(ctx context.Context, r *Run) error {
	if r.Judged != nil && !r.Judged.Early { // somebody was ended before what follows from it
		return e.decide(r.ID, *r.Judged)
	}
	now, err := e.situation(false)
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, r.remaining(now)) // then nobody has confirmed it
	defer stop()
	var last *fix.Judgement
	for looked := 1; ; looked++ {
		j := e.judgement(ctx, r, last)
		if now, err = e.situation(false); err != nil || ctx.Err() != nil {
			return err
		}
		if r.Fix.Enough(j, looked, r.since(now)) {
			j.Early = j.Verdict == fix.Untold && r.since(now) < r.Fix.Again()
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
	s, err := e.Evidence(ctx, r.Fix.Look())
	if err == nil && r.Fix.PID != 0 {
		s, err = e.Own(s, int(r.Fix.PID))
	}
	now, err2 := e.situation(false)
	if err = errors.Join(err, err2); err != nil {
		return fix.Unread(err)
	}
	return r.Fix.Judge(s, last, r.since(now))
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
	if r.Judged == nil || r.Judged.Early {
		if lost := e.lost(r); len(lost) > 0 {
			j.Verdict, j.Why, j.Early = fix.Untold, lost[0].Sentence(), false
		}
		now, err := e.situation(false)
		if err == nil {
			err = l.add(entry{Do: doJudged, Judged: &j, UntilUp: r.untilUp(j, now)})
		}
		if err != nil {
			return err
		}
	}
	return e.follow(l)
}

// untilUp is when a run is rolled back that a judgement has left to the operator, in seconds since
// boot: as long after it as was said; 0 where it stays as it is.
func (r *Run) untilUp(j fix.Judgement, now Situation) float64 {
	if j.Verdict != fix.Untold || j.Early {
		return 0
	}
	return min(r.UntilUp, (now.Uptime + r.within() - r.Fix.Longest()).Seconds())
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

// lost are the changes that are not there any more: what is seen is not their doing.
func (e *Engine) lost(r *Run) (out []ChangeStatus) {
	for i := range r.Progress {
		if c := e.changeStatus(r, i); c.Now != NowNew {
			out = append(out, c)
		}
	}
	return out
}

// Sentence is "net.core.somaxconn is 77 now: changed by somebody else".
func (c ChangeStatus) Sentence() string {
	if c.Value == "" {
		return c.Setting + ": " + string(c.Now)
	}
	return c.Setting + " is " + c.Value + " now: " + string(c.Now)
}

// Free refuses while an earlier run in this namespace is not over, as Apply does.
func (e *Engine) Free() error {
	return e.free()
}

// Able refuses what Apply would refuse: changes that are not permitted here, and files for the next
// boot that cannot be.
func (e *Engine) Able(p plan.Plan, persist bool) error {
	if err := e.probeAll(p); err != nil {
		return err
	}
	return e.canPersist(p, persist)
}

// AwaitJudgement returns the report of a run of fix once it is decided, or could not be. Where the
// process that judges has been ended or stopped, another is started. The error is that of ctx, or
// of the journal.
func (e *Engine) AwaitJudgement(ctx context.Context, id int, tell func()) (fix.Report, error) {
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
		tell()
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
		if _, stopped := statOf(r.Guard); stopped {
			return &Refusal{Why: fmt.Sprintf("process %d decides on %s, and is stopped",
				r.Guard, r.name()), Hint: fmt.Sprintf("kill -CONT %d", r.Guard)}
		}
		return nil // it is being decided
	}
	defer unlock()
	if r, err = e.store().read(id); err != nil {
		return err
	}
	now, err := e.situation(false)
	if s := r.State(now); err != nil || s == Pending && !r.undecided(now) || !s.open() {
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
		Earlier: r.Fix.Earlier, Left: r.Plan.Left, Changes: fix.ProposedChanges(r.Plan)}
	for i, p := range r.Progress {
		out.Changes[i].Became, out.Changes[i].RolledBack = p.Became, undone(p)
	}
	for _, f := range r.written() {
		out.Files = append(out.Files, f.Path)
	}
	out.Outcome = r.outcome(s)
	if j := r.Judged; j != nil {
		out.Evidence, out.Worse, out.Why = j.Items, j.Worse, j.Why
		if s != Undone { // else the host is as it was
			out.Left = j.Still(out.Left)
		}
	}
	switch {
	case out.Outcome == fix.Waiting || out.Outcome == fix.Watching:
		out.Until = &r.Until
		if r.Judged != nil && r.Judged.Early {
			again := r.Until.Add(r.Fix.Again() - r.within())
			out.Again = &again
		}
	case out.Outcome == fix.ByHand:
		out.Why = "it was confirmed before it was seen to be cured"
		if r.Judged != nil {
			out.Why = "nobody could tell whether it is cured: " + r.Judged.Why
		}
	case r.Undo != "" && (r.Judged == nil || !strings.HasSuffix(r.Undo, r.Judged.Why)):
		out.Why = map[string]string{undoneByHand: "by hand"}[r.Undo]
		out.Why = cmp.Or(out.Why, r.Undo)
		if j := r.Judged; j != nil {
			out.Why += "; before that: " + string(j.Verdict) + ": " + j.Why
		}
	}
	if since := s.ended(); since != "" {
		out.Why = strings.TrimPrefix(out.Why+"; "+since, "; ")
	}
	return out
}

// ended says what has ended with a run since it was decided, "" where nothing has.
func (s State) ended() string {
	switch s {
	case Over:
		return "its network namespace has ended since, and its values with it"
	case Rebooted:
		return "the host was booted since, and its values are gone"
	}
	return ""
}

func undone(p Progress) string {
	words := string(p.Undone)
	if p.Undone == Changed {
		words = "left"
	}
	return strings.TrimSuffix(words+": "+p.Text, ": ")
}

// outcome is what a run of fix has come to, or had when its namespace or boot ended.
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
	case Undone:
		return fix.RolledBack
	case PartlyLeft:
		return fix.InPart
	case InEffect, Persisting, Over, Rebooted:
		switch {
		case cured && r.Confirmed:
			return fix.Kept
		case r.Confirmed:
			return fix.ByHand
		}
		return fix.Gone
	}
	return fix.Broken
}
