//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/prove"
	"github.com/maxconn/maxconn/internal/prove/proof"
	"github.com/maxconn/maxconn/internal/render"
)

// proveFlags are what was asked of prove.
type proveFlags struct {
	form
	wanted
	all, list, verbose bool
	html, plan         string
	from               []string
}

func (a *app) prove() *cobra.Command {
	f := &proveFlags{}
	c := &cobra.Command{
		Use:   "prove [claim|limit...]",
		Short: "show by experiment what is true on this kernel",
		Long: `prove tries what maxconn claims about the kernel, on the running kernel: in network
namespaces of its own, with real sockets. Each claim has a figure that the formula of its limit
predicts; the trial measures it, looks whether the evidence that check relies on is there, and
repeats the run without the cause, when the effect must be absent.

Without an argument it runs the claims that take no more than a few seconds; --all adds the
slow ones (TIME_WAIT is 60 s), a name runs one claim, or all claims about one limit. Nothing
outside of the namespaces is changed, and they end with the program, however it ends. Root is
not needed where the kernel allows user namespaces.

--plan, --inbound and --outbound drive a wanted workload in a lab with today's settings of this
host and again with those of the plan, and put both side by side. prove advice does so
for the popular recipe.

Claims that only a machine of its own can show are listed and not run: maxconn-proofs, which
maintainers build from the source, runs all on Debian's kernels in virtual machines. --from
runs nothing and shows reports that --json of either program has saved.

Exit status: 0 all hold, 1 some differ, 2 some could not run, 64 bad usage, 70 failed.`,
		Example: `  maxconn prove
  maxconn prove accept-queue
  maxconn prove time-wait-length --verbose
  maxconn prove --all --html report.html
  maxconn prove advice
  maxconn prove --inbound :443=20k --outbound 10.0.0.9:5432=900/s
  maxconn prove --from run.json --html report.html`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.runProve(c.Context(), f, args)
		},
		ValidArgsFunction: completeClaims,
	}
	f.form.flags(c)
	f.wanted.flags(c)
	c.Flags().Var(word{&f.plan}, "plan",
		"drive the workload of this plan `file` with today's settings and with the plan's")
	c.Flags().BoolVar(&f.all, "all", false, "run the slow claims as well (3 minutes)")
	c.Flags().BoolVar(&f.list, "list", false, "list the claims and run nothing")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false,
		"show formula, evidence and control run of each claim")
	c.Flags().Var(word{&f.html}, "html",
		"write the report with plots to this `file`, one page that stands alone")
	c.Flags().Var(wordList{&f.from, true}, "from",
		"run nothing: show the reports in these `files`, saved with --json (repeatable)")
	c.AddCommand(a.proveAdvice())
	return c
}

func completeClaims(_ *cobra.Command, args []string, _ string) (names []cobra.Completion,
	_ cobra.ShellCompDirective) {
	for _, c := range prove.Claims() {
		names = append(names, cobra.CompletionWithDesc(c.ID, c.Says))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) runProve(ctx context.Context, f *proveFlags, args []string) error {
	if err := f.conflict(); err != nil {
		return err
	}
	if len(f.from) > 0 {
		return a.proveSaved(ctx, f, args)
	}
	if f.comparing() {
		return a.proveCompare(ctx, f, args)
	}
	claims, err := f.claims(args)
	if err != nil {
		return err
	}
	if f.list {
		var list []proof.Listed
		for _, c := range claims {
			list = append(list, c.Listed())
		}
		return a.write(func(w io.Writer) error {
			if f.json {
				return render.ClaimsJSON(w, list)
			}
			return render.Claims(w, list, a.style(f.verbose))
		})
	}
	if err := writable("the page", "--html", f.html); err != nil {
		return err
	}
	r, err := a.proofs(ctx, f, claims)
	if err != nil {
		printf(a.stderr, "maxconn: interrupted: %d of %d claims were tried to the end\n",
			len(r.Proofs), len(claims))
	}
	if err != nil && len(r.Proofs) == 0 {
		return err
	}
	if failed := a.report(context.WithoutCancel(ctx), f, *r); failed != nil {
		return failed
	}
	a.status = proofStatus(*r)
	return err
}

// claims are those asked for. Without a name those that only a machine of its own can show are left
// out.
func (f *proveFlags) claims(args []string) (chosen []*prove.Claim, err error) {
	chosen, unknown := prove.Named(args)
	if unknown != "" {
		return nil, misuse("maxconn prove --list shows all claims"+nearClaim(unknown),
			"there is no claim and no limit %s", quoted(unknown))
	}
	if len(args) > 0 {
		return chosen, nil
	}
	for _, c := range prove.Claims() {
		if f.list || c.Machine == "" && (f.all || !c.Slow()) {
			chosen = append(chosen, c)
		}
	}
	return chosen, nil
}

// nearClaim continues a hint with claims whose names share the most with a word.
func nearClaim(word string) string {
	var near []string
	for _, c := range prove.Claims() {
		if strings.Contains(c.ID, word) || strings.Contains(word, c.ID) {
			near = append(near, c.ID)
		}
	}
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

// proofs runs the claims on this kernel. Interrupted, it gives what had ended by then and
// the error.
func (a *app) proofs(ctx context.Context, f *proveFlags, claims []*prove.Claim) (*prove.Report,
	error) {
	p := a.progress()
	defer p.done()
	return prove.Run(ctx, prove.Options{
		Claims: claims, Kernel: runningKernel(),
		Progress: func(e prove.Event) { p.say(proofProgress(e)) },
	})
}

// proofProgress is how far a run is.
func proofProgress(e prove.Event) string {
	return fmt.Sprintf("%d of %d claims tried, about %d s left", e.Done, e.All,
		int(e.Left.Seconds()))
}

// runningKernel is the release of the running kernel, "" where /proc does not say.
func runningKernel() string {
	text, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return strings.TrimSpace(string(text))
}

// proofStatus is the exit status for a report.
func proofStatus(r prove.Report) int {
	switch {
	case r.Count(prove.Differs) > 0:
		return statusBinds
	case r.Count(prove.CouldNotRun) > 0:
		return statusUnknown
	}
	return statusHolds
}

// report writes the result in the form that was asked for, and the page beside it.
func (a *app) report(ctx context.Context, f *proveFlags, r prove.Report) error {
	if f.html != "" {
		page, err := interruptible(ctx, func() (page bytes.Buffer, err error) {
			err = render.ProofHTML(&page, r)
			return page, err
		})
		if err != nil {
			return err
		}
		if err := writePage(f.html, page.Bytes()); err != nil {
			return err
		}
	}
	return show(a, f.form, f.verbose, r, forms[prove.Report]{
		text: render.ProofText, json: render.ProofJSON, markdown: render.ProofMarkdown,
	})
}
