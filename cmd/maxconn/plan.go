package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/render"
)

// planFlags are what was asked of plan.
type planFlags struct {
	source
	form
	wanted
	toMax   bool
	verbose bool
	output  string
	format  string
}

func (a *app) plan() *cobra.Command {
	f := &planFlags{}
	c := &cobra.Command{
		Use: "plan [goal file]",
		Short: "say what to change so that a wanted workload fits, and what no " +
			"setting lifts",
		Long: `plan says which settings have to change so that this host takes a wanted workload: old
and new value, why, who set the old one, what it costs, what may go wrong and when it
takes effect; in the order in which the kernel accepts them. The same formulas that
check uses judge the host as it would be, so a plan holds, or says what still binds.
Values are the smallest that serve with a margin, which the plan names. It changes
nothing; maxconn apply does.

The workload stands on the command line as with check, or in a file:

  inbound:
    ":443": [100k, 2000@once]    # held at one time; a burst
  outbound:
    10.0.0.5:5432: 2000/s        # new connections per second

Without a workload plan fixes what check complains of. --to-max looks at each listener
and each destination that has connections now, and goes as far as settings can.

Exit status: 0 the workload fits (after the changes), 1 something still binds, 2 could
not tell.`,
		Example: `  maxconn plan --inbound :443=100k --outbound 10.0.0.5:5432=2000/s
  maxconn plan --inbound :8080=4096@once -o plan.json
  maxconn plan maxconn.yaml --from box.txt
  maxconn plan --inbound :443=100k --format sysctl.d -o zz-web.conf`,
		Args: atMostOneFile,
		RunE: func(c *cobra.Command, args []string) error {
			return a.runPlan(c.Context(), f, args)
		},
	}
	f.form.flags(c)
	f.source.flags(c, "plan for the network namespace of the process with this `id`")
	f.windowFlag(c)
	f.fileFlag(c)
	f.wanted.flags(c)
	c.Flags().BoolVar(&f.toMax, "to-max", false,
		"go as far as settings can, for each listener and destination there is")
	c.Flags().VarP(word{&f.output}, "output", "o",
		"write the plan to this `file` as well, for maxconn apply; with --format the "+
			"files for that tool, into a directory")
	c.Flags().Var(word{&f.format}, "format",
		"write the plan for another `tool`: "+strings.Join(formatNames(), ", "))
	completeWith(c, "format", completeFormats)
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false,
		"show everything, not only what fits a first screen")
	return c
}

// wanted is a workload on the command line or in a file.
type wanted struct {
	outbound, inbound []string
	goals             string
}

func (w *wanted) flags(c *cobra.Command) {
	c.Flags().Var(wordList{to: &w.outbound}, "outbound",
		"a wanted flow out: `DEST=COUNT` held or DEST=RATE/s (repeatable)")
	c.Flags().Var(wordList{to: &w.inbound}, "inbound",
		"a wanted flow in: `LISTENER=COUNT` held, LISTENER=RATE/s or "+
			"LISTENER=BURST@once (repeatable)")
	c.Flags().Var(word{&w.goals}, "goals",
		"read the wanted workload from this `file` (YAML); - is the standard input")
	completeWith(c, "outbound", nil)
	completeWith(c, "inbound", nil)
}

// workload is what the flags and the file ask for, together.
func (w *wanted) workload(ctx context.Context, a *app, local bool) (out limit.Workload, err error) {
	g := goals{ctx: ctx, local: local}
	if w.goals != "" {
		if out, err = a.goalFile(&g, w.goals); err != nil {
			return out, err
		}
	}
	for _, text := range w.outbound {
		out.Outbound = append(out.Outbound, g.outbound(text))
	}
	for _, text := range w.inbound {
		out.Inbound = append(out.Inbound, g.inbound(text))
	}
	return out, g.once(out)
}

func atMostOneFile(c *cobra.Command, args []string) error {
	if len(args) <= 1 {
		return nil
	}
	return misuse(c.CommandPath()+" --help lists the flags", "%s takes one goal file, have %s",
		c.CommandPath(), quoted(strings.Join(args, " ")))
}

func (a *app) runPlan(ctx context.Context, f *planFlags, args []string) error {
	if len(args) > 0 {
		if f.goals != "" {
			return misuse("give one of them", "--goals and a goal file")
		}
		f.goals = args[0]
	}
	if err := f.conflicts(); err != nil {
		return err
	}
	w, err := interruptible(ctx, func() (limit.Workload, error) {
		return f.workload(ctx, a, f.from == "")
	})
	if err != nil {
		return err
	}
	if f.toMax && len(w.Inbound)+len(w.Outbound) > 0 {
		return misuse("--to-max is for what is there now",
			"--to-max and a wanted workload: give one of them")
	}
	f.source.twice = true
	s, err := a.snapshot(ctx, f.source)
	if err != nil {
		return err
	}
	p, err := interruptible(ctx, func() (plan.Plan, error) {
		return plan.Make(s, w, plan.Options{ToMax: f.toMax,
			Owner: persist.SetBy(hostRoot(s, f.from))})
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return misuse("maxconn plan --help", "%w", err)
	}
	return a.writePlan(f, s, p)
}

// writePlan writes the plan where it belongs. The file is the first: a plan that could not
// be kept is not shown as if it were.
func (a *app) writePlan(f *planFlags, s host.Snapshot, p plan.Plan) error {
	a.status = statusOf(p.Verdict)
	if f.format != "" {
		return a.export(f, s, p)
	}
	if f.output != "" {
		var text bytes.Buffer
		if err := render.PlanJSON(&text, p); err != nil {
			return err
		}
		if err := writeFile(f.output, text.Bytes()); err != nil {
			return notWritten(err)
		}
	}
	err := show(a, f.form, f.verbose, p, forms[plan.Plan]{
		text: render.PlanText, json: render.PlanJSON, markdown: render.PlanMarkdown,
	})
	if err != nil {
		return err
	}
	if p.Verdict == diagnose.Unknown {
		a.untold(f.form, render.Untold(p),
			"maxconn check --verbose lists what was not seen")
	}
	return nil
}

// notWritten keeps the reason and the hint of a file that could not be written, and says
// which file it is.
func notWritten(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return &failure{f.status, fmt.Errorf("write the plan: %w", errors.Unwrap(f.err)),
			f.hint}
	}
	return err
}

func (f *planFlags) conflicts() error {
	if f.goals == "-" && f.from == "-" {
		return misuse("read one of them from a file",
			"--goals and --from cannot both be the standard input")
	}
	if f.format != "" && (f.json || f.markdown) {
		return misuse("one result has one form",
			"--format with --json or --md: give one of them")
	}
	if f.format != "" && !slices.Contains(formatNames(), f.format) {
		return misuse("--format takes "+strings.Join(formatNames(), ", "),
			"--format: there is no format %s", quoted(f.format))
	}
	return f.form.conflict()
}
