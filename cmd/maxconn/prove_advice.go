//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/prove"
	"github.com/maxconn/maxconn/internal/render"
)

func (a *app) proveAdvice() *cobra.Command {
	f := &form{}
	c := &cobra.Command{
		Use:   "advice",
		Short: "measure the popular recipe on this kernel, step by step",
		Long: `advice measures the recipe that is copied from page to page (a wider port range,
tcp_fin_timeout, tcp_tw_reuse, tcp_tw_recycle, somaxconn, tcp_max_syn_backlog,
netdev_max_backlog, txqueuelen, the descriptor limit, write buffering), each step on
top of those before it: connections per second sustained to one destination,
connections held, and what else the step promises. Beside each: the promise, what the
formulas predict, what was measured, the verdict. It takes about 80 seconds, for
TIME_WAIT is 60, and changes nothing outside of its own network namespaces.`,
		Example: `  maxconn prove advice
  maxconn prove advice --md`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.runAdvice(c.Context(), f)
		},
	}
	f.flags(c)
	return c
}

func (a *app) runAdvice(ctx context.Context, f *form) error {
	if err := f.conflict(); err != nil {
		return err
	}
	p := a.progress()
	defer p.done()
	p.say("the recipe runs, about 80 s")
	r, err := prove.Advice(ctx, prove.AdviceOptions{Kernel: runningKernel(),
		Progress: func(done, all int, step string) {
			p.say(fmt.Sprintf("%d of %d steps measured", done, all))
		}})
	p.done()
	if err != nil {
		return err
	}
	for _, step := range r.Advice {
		if step.Verdict == prove.Untried {
			a.status = statusUnknown
		}
	}
	return show(a, *f, false, *r, forms[prove.AdviceReport]{
		text: render.AdviceText, json: render.AdviceJSON, markdown: render.AdviceMarkdown,
	})
}
