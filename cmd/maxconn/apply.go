//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/role"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/render"
)

// applyFlags are what was asked of apply.
type applyFlags struct {
	journalFlags
	pid       int64
	listeners []string
	within    string
	persist   bool
	yes       bool
}

// remoteWindow is how long a confirmation is awaited on a session over the network that
// asks for nothing else.
const remoteWindow = time.Minute

func (a *app) apply() *cobra.Command {
	f := &applyFlags{}
	c := &cobra.Command{
		Use:   "apply [PLAN|-]",
		Short: "carry out a plan, or lengthen the accept queue of a running listener",
		Long: `apply writes the changes of a plan in its order. Each is compared with what is
there, written, and read back; on any error everything done so far is undone. A
journal on the disk knows of each change before it is made, so that maxconn
rollback restores the old values whatever happened.

--listener lengthens the accept queue of a program while it runs: apply takes a
copy of the listening socket out of the process and calls listen() on it, and
raises net.core.somaxconn first where that is lower.

With --confirm-within everything is rolled back when the window ends, unless
maxconn confirm comes; a process that outlives the session does that. It is
the default, with 60 s, on a session over the network; --confirm-within 0 turns
it off. --persist writes files for the next boot, after the confirmation;
maxconn verify says which values they cannot keep.

Exit status: 0 applied, 64 bad usage, 70 refused or failed: nothing is changed, or
what is left is named.`,
		Example: `  maxconn apply plan.json
  maxconn plan --inbound :443=100k -o - | maxconn apply --yes -
  maxconn apply --listener :8080=4096
  maxconn apply --confirm-within 5m plan.json && maxconn confirm`,
		Args: func(_ *cobra.Command, args []string) error { return f.arguments(args) },
		RunE: func(c *cobra.Command, args []string) error {
			return a.runApply(c.Context(), f, args)
		},
	}
	f.journalFlags.flags(c)
	c.Flags().Var(wordList{to: &f.listeners}, "listener",
		"lengthen the accept queue of a running `LISTENER=LENGTH`, such as :8080=4096 "+
			"(repeatable)")
	c.Flags().Var(processID{&f.pid}, "pid",
		"with --listener: of the process with this `id` only, in its network namespace")
	c.Flags().Var(word{&f.within}, "confirm-within",
		"roll back after this `time` unless confirmed; 0: no confirmation")
	c.Flags().BoolVar(&f.persist, "persist", false,
		"write the files that make it last over the next boot, too, once it is confirmed")
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	completeWith(c, "listener", nil)
	completeWith(c, "confirm-within", nil)
	completeWith(c, "pid", nil)
	return c
}

func (f *applyFlags) arguments(args []string) error {
	switch {
	case len(args) > 1:
		return misuse("one plan at a time", "apply takes one plan, have %d", len(args))
	case len(args) == 1 && len(f.listeners) > 0:
		return misuse("give one of them", "a plan and --listener")
	case len(args) == 0 && len(f.listeners) == 0:
		return misuse("maxconn apply plan.json, or maxconn apply --listener :8080=4096",
			"apply needs a plan or --listener")
	case f.pid != 0 && len(f.listeners) == 0:
		return misuse("a plan names its processes itself", "--pid goes with --listener")
	case f.pid != 0 && f.netns != "":
		return misuse("--pid alone looks in the namespace of the process",
			"--netns and --pid: give one of them")
	}
	return nil
}

func (a *app) runApply(ctx context.Context, f *applyFlags, args []string) error {
	window, err := f.window(a.env)
	if err != nil {
		return err
	}
	if window > 0 && role.Secure() {
		return &failure{statusFailed, role.ErrSecure,
			"nothing would roll it back: --confirm-within 0 waits for nobody"}
	}
	if f.pid != 0 {
		f.netns = "/proc/" + strconv.FormatInt(f.pid, 10) + "/ns/net"
	}
	e, err := a.engine(f.journalFlags)
	if err != nil {
		return err
	}
	p, err := a.planToApply(e, f, args)
	if err != nil {
		return applyError(err)
	}
	if len(p.Changes) == 0 {
		return a.nothingToApply(f)
	}
	p = e.Hold(p) // before it is shown: what somebody agrees to is what is written to
	if ok, err := a.agreed(p, f.yes, args, window); !ok {
		return err
	}
	// A hangup or the end of the session must not leave half of it: what was done is undone.
	ctx, stop := signal.NotifyContext(ctx, endings()...)
	defer stop()
	report, err := e.Apply(ctx, p, apply.Options{Within: window, Persist: f.persist})
	if err != nil {
		return applyError(err)
	}
	return a.writeReport(e, f.journalFlags, report, "applied", window)
}

// endings are the signals that end an apply in an orderly way; a hangup that nohup has
// switched off stays so.
func endings() []os.Signal {
	if signal.Ignored(syscall.SIGHUP) {
		return []os.Signal{syscall.SIGTERM}
	}
	return []os.Signal{syscall.SIGTERM, syscall.SIGHUP}
}

// window is how long a confirmation is awaited.
func (f *applyFlags) window(env func(string) string) (time.Duration, error) {
	switch f.within {
	case "":
		if apply.Remote(env) {
			return remoteWindow, nil
		}
		return 0, nil
	case "0":
		return 0, nil
	}
	d, err := time.ParseDuration(f.within)
	if err != nil || d < time.Second && d != 0 || d > 24*time.Hour {
		return 0, misuse(
			"write a number with its unit, from 1s to 24h, or 0: --confirm-within 60s",
			"--confirm-within: %s "+
				"is not a time to wait", quoted(f.within))
	}
	return d, nil
}

func (a *app) planToApply(e *apply.Engine, f *applyFlags, args []string) (plan.Plan, error) {
	if len(args) == 1 {
		return a.readPlan(args[0])
	}
	var queues []plan.Queue
	for _, text := range f.listeners {
		q, err := parseQueue(text)
		if err != nil {
			return plan.Plan{},
				misuse("write a listener and a length: --listener :8080=4096, "+
					"--listener 127.0.0.1:8080=4096", "--listener %s: %w",
					quoted(text),
					err)
		}
		queues = append(queues, q)
	}
	s, err := observe.Observe(a.context(), observe.Options{Namespace: e.Namespace()})
	if err == nil && f.pid != 0 {
		s, err = e.Through(s, int(f.pid))
	}
	if err != nil {
		return plan.Plan{}, err
	}
	p, err := plan.Lengthen(s, queues, plan.Options{Owner: persist.SetBy(hostRoot(s, ""))})
	return p, f.queueError(err)
}

// queueError says what to do about a queue that cannot be lengthened.
func (f *applyFlags) queueError(err error) error {
	var q *plan.QueueError
	switch {
	case !errors.As(err, &q):
		return err
	case q.Absent && f.pid != 0:
		return &failure{statusFailed,
			fmt.Errorf("process %d does not listen on %s, or its descriptors "+
				"cannot be seen", f.pid, q.Listener),
			"that takes the same user or CAP_SYS_PTRACE"}
	case q.Absent:
		return &failure{statusFailed, err,
			"maxconn --verbose lists the listeners; --pid looks in the " +
				"network namespace of a process"}
	}
	return &failure{statusFailed, err,
		"it takes the user of the process that has the socket open, or " +
			"CAP_SYS_PTRACE; --pid names a process"}
}

// parseQueue reads LISTENER=LENGTH.
func parseQueue(text string) (plan.Queue, error) {
	goal, err := parseGoal(text)
	if err != nil {
		return plan.Queue{}, err
	}
	if goal.PerSecond != 0 || goal.Burst != 0 || goal.Held > 1<<31-1 {
		return plan.Queue{}, errors.New("it is not the length of a queue")
	}
	name, err := listener(goal.Subject)
	return plan.Queue{Listener: name, Limit: goal.Held}, err
}

// readPlan reads a plan from a file or from the standard input.
func (a *app) readPlan(name string) (plan.Plan, error) {
	ctx := a.context()
	text, shown, err := a.input(ctx, name, largestPlan)
	if err != nil {
		return plan.Plan{}, inputError("the plan "+shown, err, planHint)
	}
	p, err := interruptible(ctx, func() (plan.Plan, error) {
		if err := bounded(text, "{", mostObjects); err != nil {
			return plan.Plan{}, err
		}
		return apply.ReadPlan(bytes.NewReader(text))
	})
	if err != nil && ctx.Err() == nil {
		err = &failure{statusUsage, fmt.Errorf("read the plan %s: %w", shown, err),
			planHint}
	}
	return p, err
}

// planHint is for what is no plan.
const planHint = "a plan is what maxconn plan -o plan.json writes"

func (a *app) nothingToApply(f *applyFlags) error {
	if f.json {
		return a.writeJSON(apply.Report{Schema: apply.ReceiptSchema, State: apply.InEffect,
			Receipts: []apply.Receipt{}})
	}
	return a.lines(func(w io.Writer) error {
		err := printf(w, "nothing to change: what is asked for is there, or more\n")
		return err
	})
}

// agreed shows the plan and asks, on a terminal; elsewhere --yes has to say it.
func (a *app) agreed(p plan.Plan, yes bool, args []string, window time.Duration) (bool, error) {
	if yes {
		return true, nil
	}
	fromInput := len(args) == 1 && args[0] == "-"
	if _, ok := terminal(a.stdout); !ok || fromInput || !isTerminal(a.stdin) {
		return false, misuse("look at the plan, then add --yes",
			"apply asks on a terminal, and there is none: --yes is needed")
	}
	return a.ask(p, window)
}

// longestAnswer is far above "yes", in bytes.
const longestAnswer = 1024

// ask shows a plan and reads the answer.
func (a *app) ask(p plan.Plan, window time.Duration) (bool, error) {
	if err := a.lines(func(w io.Writer) error { return showPlan(w, p, window) }); err != nil {
		return false, err
	}
	return a.answered()
}

// answered reads the answer, and says where it was no.
func (a *app) answered() (bool, error) {
	answer, err := interruptible(a.context(), func() (string, error) {
		return bufio.NewReader(io.LimitReader(a.stdin, longestAnswer)).ReadString('\n')
	})
	if err != nil && err != io.EOF {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, nil
	}
	a.status = statusFailed // it was refused
	return false, a.write(func(w io.Writer) error { return printf(w, "nothing was changed\n") })
}

func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	_, ok = terminal(f)
	return ok
}

func showPlan(w io.Writer, p plan.Plan, window time.Duration) error {
	var b strings.Builder
	for i, c := range p.Changes {
		printf(&b, "%d. %s: %s -> %s", i+1, clean(c.Setting, c.Target.Name), value(c.From),
			value(c.To))
		if c.TakesEffect != "" {
			printf(&b, " (takes effect %s)", shown(string(c.TakesEffect)))
		}
		printf(&b, "\n")
		if i+1 < len(p.Changes) && render.Alike(c, p.Changes[i+1]) {
			continue // the last of them says why
		}
		for _, line := range []struct{ name, text string }{{"why", c.Why}, {"cost", c.Cost},
			{"lasts", c.Lasts}, {"risk", c.Risk}} {
			if line.text != "" {
				printf(&b, "   %s: %s\n", line.name, shown(line.text))
			}
		}
	}
	if window > 0 {
		printf(&b, "Everything is rolled back after %s unless confirmed.\n", window)
	}
	b.WriteString("Apply? [y/N] ")
	_, err := io.WriteString(w, b.String())
	return err
}

// mostShown is how much of a text of a plan is put before a question, in characters: the reasons
// that a plan gives are shorter.
const mostShown = 400

func shown(text string) string { return cut(render.Clean(cut(text, mostShown)), mostShown) }

func clean(text, otherwise string) string {
	if text == "" {
		text = otherwise
	}
	return render.Clean(text)
}

// value is the text of a setting; some are empty (ip_local_reserved_ports).
func value(text string) string {
	if text == "" {
		return "(empty)"
	}
	return render.Clean(text)
}

// writeReport writes what came of a run, and, where files were written for the next boot,
// what they cannot keep.
func (a *app) writeReport(
	e *apply.Engine, f journalFlags, r apply.Report, what string, window time.Duration,
) error {
	lost, err := unkept(e, r)
	if err != nil {
		return err
	}
	if f.json {
		return a.writeJSON(struct {
			apply.Report
			NotKept []apply.Comparison `json:"not_kept,omitempty"`
		}{r, lost})
	}
	return a.lines(func(w io.Writer) error {
		if err := showReport(w, r, what, window, f); err != nil {
			return err
		}
		for _, c := range r.Lost {
			err := printf(w, "Not there: %s\n", render.Clean(c.Sentence()))
			if err != nil {
				return err
			}
		}
		for _, u := range lost {
			if err := printf(w, "Not kept over a boot: %s: %s\n", u.Setting,
				u.Why); err != nil {
				return err
			}
		}
		return nil
	})
}

func showReport(w io.Writer, r apply.Report, what string, window time.Duration,
	f journalFlags) error {
	var b strings.Builder
	printf(&b, "run %d: %s\n", r.Run, what)
	for _, c := range r.Receipts {
		printf(&b, "  %s: %s -> %s", render.Clean(c.Setting), value(c.From),
			value(c.Became))
		if c.Kept {
			printf(&b, ", which the kernel made of %s", value(c.Wanted))
		}
		if c.TakesEffect != "" && c.TakesEffect != limit.Now {
			printf(&b, " (takes effect %s)", shown(string(c.TakesEffect)))
		}
		printf(&b, "\n")
	}
	for _, f := range r.Files {
		printf(&b, "  wrote %s\n", render.Clean(f))
	}
	switch {
	case r.State == apply.Pending:
		printf(&b, "Rolled back at %s, in %s, unless confirmed: %s\n",
			r.Until.Local().Format(time.TimeOnly), window, f.verb("confirm"))
	default:
		printf(&b, "Rolled back by: %s\n", f.verb("rollback "+strconv.Itoa(r.Run)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
