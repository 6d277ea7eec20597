package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/render"
)

// checkFlags are what was asked of check.
type checkFlags struct {
	source
	form
	allNetns          bool
	verbose           bool
	outbound, inbound []string
	limits            []string
	html              string
}

func (a *app) check() *cobra.Command {
	f := &checkFlags{}
	c := &cobra.Command{
		Use:   "check",
		Short: "say what limits this host's connections (the default command)",
		Long: `check says how many connections this host can make to one destination and hold
on each listener, what sets those figures, and what refuses connections now.
A counter that was above zero before counts as history; --for watches whether
it moves.

A wanted workload is judged with --outbound and --inbound: as many connections
held at one time (--inbound :443=100k), as many new ones per second
(--outbound 10.0.0.9:5432=500/s), or a burst (--inbound :443=2000@once).

Exit status: 0 nothing limits connections, 1 something does, 2 could not tell.`,
		Example: `  maxconn check
  maxconn check --for 10s
  maxconn check --outbound 10.0.0.9:5432=500/s --outbound 10.0.0.9:5432=20k
  maxconn check --limit time-wait --limit ephemeral-ports --verbose
  maxconn check --all-netns --json
  maxconn observe | maxconn check --from -`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.runCheck(c.Context(), f)
		},
	}
	f.form.flags(c)
	f.source.flags(c, "look at the process with this `id` only, in its network namespace")
	f.windowFlag(c)
	f.fileFlag(c)
	c.Flags().BoolVar(&f.allNetns, "all-netns", false,
		"report on each network namespace, one after the other")
	c.Flags().Var(wordList{to: &f.outbound}, "outbound",
		"judge a wanted flow out: `DEST=COUNT` held or DEST=RATE/s (repeatable)")
	c.Flags().Var(wordList{to: &f.inbound}, "inbound",
		"judge a wanted flow in: `LISTENER=COUNT` held, LISTENER=RATE/s or "+
			"LISTENER=BURST@once (repeatable)")
	c.Flags().Var(wordList{to: &f.limits, split: true}, "limit",
		"judge this limit only, by its `id` (repeatable)")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false,
		"show everything, not only what fits a first screen")
	c.Flags().Var(word{&f.html}, "html",
		"also write the report as a page to this `file`, for a ticket")
	completeWith(c, "limit", limitNames)
	completeWith(c, "outbound", nil)
	completeWith(c, "inbound", nil)
	return c
}

func (a *app) runCheck(ctx context.Context, f *checkFlags) error {
	options, err := f.options(ctx)
	if err != nil {
		return err
	}
	if err := f.form.conflict(); err != nil {
		return err
	}
	if f.allNetns && f.html != "" {
		return misuse("give --netns NAME", "--html with --all-netns: a page shows one")
	}
	if err := writable("the page", "--html", f.html); err != nil {
		return err
	}
	if f.allNetns {
		return a.checkAll(ctx, f, options)
	}
	f.source.twice = true
	s, err := a.snapshot(ctx, f.source)
	if err != nil {
		return err
	}
	if err := f.processSeen(s); err != nil {
		return err
	}
	r, err := computed(ctx, func() diagnose.Report { return diagnose.Check(s, options) })
	if err != nil {
		return err
	}
	if f.html != "" {
		var page bytes.Buffer
		if err := render.CheckHTML(&page, r); err != nil {
			return err
		}
		if err := writePage(f.html, page.Bytes()); err != nil {
			return err
		}
	}
	a.status = statusOf(r.Verdict)
	if err := show(a, f.form, f.verbose, r, forms[diagnose.Report]{
		text: render.Text, json: render.JSON, markdown: render.Markdown,
	}); err != nil {
		return err
	}
	a.explainUnknown(f.form, r)
	return nil
}

// options are what a diagnosis is narrowed and measured by.
func (f *checkFlags) options(ctx context.Context) (diagnose.Options, error) {
	o := diagnose.Options{Limits: f.limits, PID: f.pid}
	for _, id := range f.limits {
		if limit.Find(limit.ID(id)) == nil {
			return o, misuse(didYouMean(limit.SuggestLimit(id),
				"maxconn explain lists the limits"), "there is no limit %s",
				quoted(id))
		}
	}
	g := goals{ctx: ctx, local: f.from == ""}
	for _, text := range f.outbound {
		o.Workload.Outbound = append(o.Workload.Outbound, g.outbound(text))
	}
	for _, text := range f.inbound {
		o.Workload.Inbound = append(o.Workload.Inbound, g.inbound(text))
	}
	return o, g.once(o.Workload)
}

// processSeen says that --pid asks for a process that a file does not hold. Of this host's
// processes the kernel has already answered for them.
func (f *checkFlags) processSeen(s host.Snapshot) error {
	if f.from == "" || f.pid == 0 {
		return nil
	}
	if _, ok := s.Read().Row(host.ProcessKind, strconv.FormatInt(f.pid, 10)); !ok {
		return misuse("a snapshot holds only processes with TCP sockets",
			"--pid: the snapshot has no process %d", f.pid)
	}
	return nil
}

// explainUnknown says on the standard error why there is no verdict; the text has said it in its
// first sentence.
func (a *app) explainUnknown(f form, r diagnose.Report) {
	if r.Verdict != diagnose.Unknown {
		return
	}
	hint := "maxconn check --verbose lists what was not seen"
	switch {
	case len(diagnose.WhyUnknown(r.Workload)) > 0:
		hint = "maxconn --verbose lists the listeners and what was not seen"
	case r.Host.User != "" && r.Host.User != "root":
		hint = "root sees more: sudo maxconn check"
	}
	a.untold(f, render.Blocking(r), hint)
}

// untold complains that there is no verdict where the result itself is no text that says so, and
// gives the hint in any case.
func (a *app) untold(f form, why, hint string) {
	if f.json || f.markdown {
		a.complain(fmt.Errorf("could not tell: %s", why), hint)
		return
	}
	a.hint(hint)
}

// statusOf is the exit status of a verdict.
func statusOf(v diagnose.Verdict) int {
	switch v {
	case diagnose.Holds:
		return statusHolds
	case diagnose.Binds:
		return statusBinds
	}
	return statusUnknown
}
