//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/role"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/render"
)

// fixFlags are what was asked of fix.
type fixFlags struct {
	journalFlags
	wanted
	limits       []string
	pid          int64
	window, from string
	within       string
	persist, yes bool
	dry, verbose bool
}

// fixWindow is how long a window is unless --for says otherwise.
const fixWindow = 10 * time.Second

func (a *app) fix() *cobra.Command {
	f := &fixFlags{}
	c := &cobra.Command{
		Use:   "fix",
		Short: "change what refuses connections, and keep it only if that helps",
		Long: `fix goes from a finding to a cure that was seen to work. It
checks this host over a window, plans what settings and live actions lift, and
shows on one screen what it will change, what only the application or the topology
can fix, and which evidence it will watch. After consent it applies the changes and
watches the same evidence for a window: refusals per second, use against limit,
connections opened, and any other limit that refuses since.

Cured, while connections are opened still: the changes are kept, and with --persist
for the next boot too. Not cured, or another limit is worse: they are rolled back at
once. Where there is more room and it is full again, twice as much is tried, in four
tries at most. No load to judge by: they stay for --confirm-within, for maxconn
confirm. The process that decides outlives the session.

Try it first, on copies of this host's settings: maxconn prove --inbound or
--outbound with the wanted workload. maxconn history shows past runs; --from
explains one.

Exit status: 0 cured and kept, or nothing was wrong; 1 nothing that a setting fixes,
or rolled back; 2 could not tell; 64 bad usage; 70 refused or failed.`,
		Example: `  maxconn fix --dry-run
  maxconn fix
  maxconn fix --limit accept-queue --for 30s --yes
  maxconn fix --inbound :443=100k --persist
  maxconn fix --netns web --yes --json
  maxconn fix --from 3`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return a.runFix(c.Context(), f) },
	}
	f.journalFlags.flags(c)
	f.wanted.flags(c)
	flags := c.Flags()
	flags.Var(wordList{to: &f.limits, split: true}, "limit",
		"fix this limit only, by its `id` (repeatable)")
	flags.Var(processID{&f.pid}, "pid",
		"fix the process with this `id` only, in its network namespace")
	flags.Var(word{&f.window}, "for",
		"how long a window of evidence is, before and after: a `time`, 10s if not given")
	flags.Var(word{&f.within}, "confirm-within",
		"where it cannot be told: roll back after this further `time` unless confirmed, "+
			"1m if not given")
	flags.BoolVar(&f.persist, "persist", false,
		"write the files that make it last over the next boot, too, once it is cured")
	flags.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	flags.BoolVar(&f.dry, "dry-run", false, "show what would be done and change nothing")
	flags.Var(word{&f.from}, "from",
		"explain a past run: its number, or a `report` that --json wrote (- is the "+
			"standard input)")
	flags.BoolVarP(&f.verbose, "verbose", "v", false,
		"show everything, not only what fits a first screen")
	completeWith(c, "limit", limitNames)
	for _, name := range []string{"for", "confirm-within", "pid"} {
		completeWith(c, name, nil)
	}
	return c
}

func (a *app) runFix(ctx context.Context, f *fixFlags) error {
	if f.from != "" {
		return a.explainFix(ctx, f)
	}
	o, err := f.options(ctx, a)
	if err != nil {
		return err
	}
	if f.pid != 0 {
		f.netns = "/proc/" + strconv.FormatInt(f.pid, 10) + "/ns/net"
	}
	e, err := a.engine(f.journalFlags)
	if err != nil {
		return err
	}
	if err := f.ready(e); err != nil {
		return err
	}
	found, err := a.findFix(ctx, e, o)
	if err != nil {
		return err
	}
	if found.report.Outcome != fix.Proposed {
		return a.showFix(f, found.report)
	}
	able := e.Able(found.plan, f.persist)
	switch {
	case f.dry && able != nil:
		a.hint("this user cannot carry it out: " +
			strings.TrimPrefix(able.Error(), "nothing was changed: "))
		fallthrough
	case f.dry:
		return a.showFix(f, found.report)
	case able != nil:
		return applyError(able)
	}
	return a.carryOutFix(ctx, e, f, o, found)
}

// ready refuses before a window is watched what could not be carried out after it.
func (f *fixFlags) ready(e *apply.Engine) error {
	switch {
	case f.persist && !e.Here.Initial:
		return &failure{statusFailed, errors.New("--persist: files for the next boot set " +
			"the host's own network namespace, and this is another"),
			"leave --persist out: what is cured is kept until the namespace ends"}
	case f.dry:
		return nil
	}
	return applyError(e.Free())
}

// fixOptions are the flags, read.
type fixOptions struct {
	check          diagnose.Options
	window, within time.Duration
	rooms          []plan.Room // what earlier rounds made too little of
	earlier        []int       // their runs
}

func (f *fixFlags) options(ctx context.Context, a *app) (o fixOptions, err error) {
	o.window, o.within = fixWindow, remoteWindow
	for _, t := range []struct {
		flag, text string
		to         *time.Duration
	}{{"--for", f.window, &o.window}, {"--confirm-within", f.within, &o.within}} {
		if t.text == "" {
			continue
		}
		d, err := time.ParseDuration(t.text)
		if err != nil || d < time.Second || d > time.Hour {
			return o, misuse("write a number with its unit, from 1s to 1h: "+t.flag+
				" 30s", "%s: %s is not a time to watch", t.flag, quoted(t.text))
		}
		*t.to = d
	}
	switch {
	case f.pid != 0 && f.netns != "":
		return o, misuse("--pid alone looks in the namespace of the process",
			"--netns and --pid: give one of them")
	case !f.yes && !f.dry && !a.canAsk():
		return o, misuse("look with maxconn fix --dry-run, then add --yes",
			"fix asks on a terminal, and there is none: --yes is needed")
	case !f.dry && role.Secure():
		return o, &failure{statusFailed, role.ErrSecure,
			"maxconn fix --dry-run says what it would change"}
	}
	check := checkFlags{source: source{pid: f.pid}, limits: f.limits}
	if o.check, err = check.options(ctx); err != nil {
		return o, err
	}
	o.check.Workload, err = interruptible(ctx, func() (limit.Workload, error) {
		return f.workload(ctx, a, true)
	})
	return o, err
}

// canAsk says whether somebody sits at a terminal.
func (a *app) canAsk() bool {
	_, out := terminal(a.stdout)
	return out && isTerminal(a.stdin)
}

// foundFix is what a window has shown, and what would be done about it.
type foundFix struct {
	plan   plan.Plan
	before fix.Before
	report fix.Report
	at     time.Time // the end of the window
}

// findFix takes a window and plans for what it shows.
func (a *app) findFix(ctx context.Context, e *apply.Engine, o fixOptions) (f foundFix, err error) {
	p := a.progress()
	defer p.done()
	return interruptible(ctx, func() (f foundFix, err error) {
		s, err := observe.Window(ctx, observe.Options{Namespace: e.Namespace()}, o.window,
			p.show)
		if err != nil {
			return f, namespaceError(err)
		}
		if o.check.PID != 0 {
			if s, err = e.Own(s, int(o.check.PID)); err != nil {
				return f, applyError(err)
			}
		}
		return foundIn(s, e, o)
	})
}

func foundIn(s host.Snapshot, e *apply.Engine, o fixOptions) (f foundFix, err error) {
	f.at = time.Now()
	r := diagnose.Check(s, o.check)
	f.plan, err = plan.Make(s, o.check.Workload, plan.Options{Limits: o.check.Limits,
		PID: o.check.PID, Rooms: o.rooms, Owner: persist.SetBy(hostRoot(s, ""))})
	if err != nil {
		return f, misuse("maxconn fix --help", "%w", err)
	}
	f.plan = e.Hold(f.plan) // what somebody agrees to is what is written to
	if f.before, err = fix.NewBefore(s, f.plan, o.check.PID); err != nil {
		return f, err
	}
	f.before.Earlier = o.earlier
	f.report = fix.Report{Schema: fix.Schema, Host: f.plan.Host, Changes: []fix.Change{},
		Evidence: []fix.Item{}, Seconds: f.before.Seconds, Left: f.plan.Left,
		Earlier: o.earlier, Outcome: fix.NoSetting, Why: fix.Beyond(f.plan, r.Unseen)}
	switch {
	case r.Verdict == diagnose.Holds:
		f.report.Outcome = fix.Nothing
		f.report.Why = "nothing that could be seen limits connections here"
		if len(o.check.Limits) > 0 {
			f.report.Why += ", of the limits that were asked for"
		}
	case r.Verdict == diagnose.Unknown:
		f.report.Outcome, f.report.Why = fix.Unknown, render.Blocking(r)
	case len(f.before.Watched) > 0:
		f.report.Outcome, f.report.Why = fix.Proposed, f.before.Terms()
		f.report.Changes = fix.ProposedChanges(f.plan)
		f.report.Evidence = f.before.Unjudged()
	}
	return f, nil
}

// mostRounds is how often fix makes room, each time twice as much.
const mostRounds = 4

// carryOutFix makes room, and more where that is full again, and says what came of it.
func (a *app) carryOutFix(ctx context.Context, e *apply.Engine, f *fixFlags, o fixOptions,
	found foundFix) error {
	for round := 1; ; round++ {
		report, err := a.fixOnce(ctx, e, f, o, found)
		if err != nil || report == nil {
			return err
		}
		short := report.Short()
		goals := len(o.check.Workload.Inbound) + len(o.check.Workload.Outbound)
		if report.Outcome != fix.RolledBack || len(short) == 0 || goals > 0 ||
			round == mostRounds {
			return a.showFix(f, *report)
		}
		printf(a.stderr, "maxconn: run %d is rolled back, and more room is planned: %s\n",
			report.Run, render.Clean(report.Why))
		o.rooms, o.earlier = append(o.rooms, short...), append(o.earlier, report.Run)
		if found, err = a.findFix(ctx, e, o); err != nil {
			return err
		}
		if found.report.Outcome != fix.Proposed || !found.more(report.Changes) {
			return a.showFix(f, *report)
		}
	}
}

// more says whether a plan changes something other than what was tried.
func (f foundFix) more(tried []fix.Change) bool {
	same := func(a, b fix.Change) bool { return a.Setting == b.Setting && a.To == b.To }
	return !slices.EqualFunc(f.report.Changes, tried, same)
}

// fixOnce asks, applies, and waits for what comes of it; nil where nothing was to be done.
func (a *app) fixOnce(ctx context.Context, e *apply.Engine, f *fixFlags, o fixOptions,
	found foundFix) (*fix.Report, error) {
	if !f.yes {
		ok, err := a.agreedToFix(f, found)
		if err != nil || !ok {
			return nil, err
		}
		if found, err = a.foundStill(ctx, e, o, found); err != nil {
			return nil, err
		}
	}
	ctx, stop := signal.NotifyContext(ctx, endings()...)
	defer stop()
	run, err := e.Apply(ctx, found.plan, apply.Options{Persist: f.persist, Fix: &found.before,
		Within: found.before.Longest() + o.within})
	if err != nil {
		return nil, applyError(err)
	}
	p, end := a.progress(), time.Now().Add(found.before.Longest())
	report, err := e.AwaitJudgement(ctx, run.Run, func() {
		p.say(fmt.Sprintf("run %d: watching %s, %d s left at most", run.Run,
			found.before.Watched[0].Limit, int(max(time.Until(end), 0).Seconds())))
	})
	p.done()
	if ctx.Err() != nil {
		a.hint(fmt.Sprintf("run %d is judged all the same: %s; %s rolls it back", run.Run,
			f.verb("history"), f.verb("rollback "+strconv.Itoa(run.Run))))
	}
	return &report, applyError(err)
}

// agreedToFix shows what would be done, and asks.
func (a *app) agreedToFix(f *fixFlags, found foundFix) (bool, error) {
	err := a.write(func(w io.Writer) error {
		if err := render.FixText(w, found.report, a.style(f.verbose)); err != nil {
			return err
		}
		return printf(w, "\nFix it? [y/N] ")
	})
	if err != nil {
		return false, err
	}
	return a.answered()
}

// foundStill looks again where the answer took longer than a window: what was found may be gone,
// and evidence of before has to be of just before.
func (a *app) foundStill(ctx context.Context, e *apply.Engine, o fixOptions, found foundFix) (
	foundFix, error) {
	if time.Since(found.at) < o.window {
		return found, nil
	}
	now, err := a.findFix(ctx, e, o)
	if err != nil {
		return found, err
	}
	settings := func(f foundFix) (all []string) {
		for _, c := range f.report.Changes {
			all = append(all, c.Setting)
		}
		return all
	}
	if !slices.Equal(settings(now), settings(found)) {
		return found, &failure{statusFailed, errors.New("nothing was changed: what was " +
			"found is gone by now, or another"), "maxconn fix looks again"}
	}
	now.plan = found.plan // the values that were agreed to
	return now, nil
}
