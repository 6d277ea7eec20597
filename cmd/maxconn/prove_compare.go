//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/prove"
	"github.com/maxconn/maxconn/internal/render"
)

// comparing says whether a workload is to be driven before and after a plan.
func (f *proveFlags) comparing() bool {
	return f.plan != "" || len(f.inbound)+len(f.outbound) > 0 || f.goals != ""
}

// proveCompare drives the wanted workload with today's settings and with the plan's.
func (a *app) proveCompare(ctx context.Context, f *proveFlags, args []string) error {
	if len(args) > 0 || f.all || f.list || f.html != "" {
		return misuse("maxconn prove --plan plan.json compares, maxconn prove CLAIM tries "+
			"a claim", "claims, --all, --list and --html go without a workload")
	}
	s, err := a.snapshot(ctx, source{})
	if err != nil {
		return err
	}
	w, changes, err := a.compared(ctx, f, s)
	if err != nil {
		return err
	}
	p := a.progress()
	defer p.done()
	c, err := prove.Compare(ctx, prove.CompareOptions{Kernel: runningKernel(), Workload: w,
		Today: s, Changes: changes, Progress: func(done, all int, _ string) {
			p.say(fmt.Sprintf("%d of %d measured (a rate takes 100 s)", done, all))
		}})
	p.done()
	if err != nil {
		return err
	}
	a.status = comparedStatus(*c)
	return show(a, f.form, f.verbose, *c, forms[prove.Comparison]{
		text: render.ComparisonText, json: render.ComparisonJSON,
		markdown: render.ComparisonMarkdown,
	})
}

// compared is the workload and the plan's settings: those of a plan file, or of a plan made now.
func (a *app) compared(ctx context.Context, f *proveFlags, s host.Snapshot) (w limit.Workload,
	changes []host.Setting, err error) {
	w, err = interruptible(ctx, func() (limit.Workload, error) {
		return f.workload(ctx, a, true)
	})
	if err != nil {
		return w, nil, err
	}
	asked := len(w.Inbound)+len(w.Outbound) > 0
	var p plan.Plan
	if f.plan != "" {
		if p, err = a.readPlan(f.plan); err != nil {
			return w, nil, err
		}
		if !asked {
			w = p.Workload.Asked()
		}
	} else if p, err = plan.Make(s, w, plan.Options{}); err != nil {
		return w, nil, misuse("maxconn plan --help", "%w", err)
	}
	if len(w.Inbound)+len(w.Outbound) == 0 {
		return w, nil,
			misuse("say what is wanted: --inbound :443=10k, --outbound "+
				"10.0.0.9:5432=500/s",
				"the plan was made without a workload, so there is nothing "+
					"to drive")
	}
	return w, p.Settings(), nil
}

// comparedStatus: 0 the workload fits with the plan, 1 it does not, 2 something was not measured.
func comparedStatus(c prove.Comparison) int {
	status := statusHolds
	for _, d := range c.Comparison {
		switch {
		case d.After.Why != "":
			return statusUnknown
		case !d.After.Met:
			status = statusBinds
		}
	}
	return status
}
