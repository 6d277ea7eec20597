//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/maxconn/maxconn/internal/prove"
	"github.com/maxconn/maxconn/internal/render"
)

// proveSaved shows reports that a run has written with --json: one as that run would have
// shown it, several side by side.
func (a *app) proveSaved(ctx context.Context, f *proveFlags, args []string) error {
	if len(args) > 0 || f.all || f.list || f.comparing() {
		return misuse("maxconn prove --from run.json --html report.html",
			"--from runs nothing: claims, --all, --list and a workload go without it")
	}
	var reports []prove.Report
	for _, name := range f.from {
		found, err := interruptible(ctx, func() ([]prove.Report, error) {
			return a.savedReports(ctx, name)
		})
		if err != nil {
			return err
		}
		reports = append(reports, found...)
	}
	for _, r := range reports {
		a.status = worse(a.status, proofStatus(r))
	}
	if len(reports) == 1 {
		return a.report(ctx, f, reports[0])
	}
	if f.html != "" {
		return misuse("one page for each: maxconn prove --from one.json --html one.html",
			"--html shows one report, and there are %d", len(reports))
	}
	return a.reportKernels(f, reports)
}

const reportHint = "--from takes a file that maxconn prove --json has written"

// savedReports reads a file of either schema: one report, or those of several kernels.
func (a *app) savedReports(ctx context.Context, name string) ([]prove.Report, error) {
	text, shown, err := a.input(ctx, name, largestReport)
	if err != nil {
		return nil, inputError(shown, err, reportHint)
	}
	var one prove.Report
	if err = bounded(text, "{", mostObjects); err == nil {
		err = json.Unmarshal(text, &one)
	}
	switch {
	case err != nil:
	case len(one.Proofs) > mostClaims:
		err = fmt.Errorf("it has %d claims", len(one.Proofs))
	case one.Schema == prove.Schema && bytes.Contains(text, []byte(`"proofs"`)):
		return []prove.Report{one}, nil
	case one.Schema == render.ProofsSchema:
		var several savedProofs
		err = json.Unmarshal(text, &several)
		if err == nil {
			err = several.sizes()
		}
		if err == nil {
			return several.Reports, nil
		}
	default:
		err = fmt.Errorf("its schema is %q, not %s or %s", one.Schema, prove.Schema,
			render.ProofsSchema)
	}
	return nil, misuse(reportHint, "%s is not a report of proofs: %w", quoted(name), err)
}

// savedProofs are reports that somebody has saved.
type savedProofs struct{ render.Proofs }

// sizes says what is wrong with how much there is.
func (p savedProofs) sizes() error {
	switch n := len(p.Reports); {
	case n == 0:
		return errors.New("it holds no report")
	case n > mostReports:
		return fmt.Errorf("it has %d reports", n)
	}
	for _, r := range p.Reports {
		if len(r.Proofs) > mostClaims {
			return fmt.Errorf("a report has %d claims", len(r.Proofs))
		}
	}
	return nil
}

// worse is the exit status that says more: differing before not run before holding.
func worse(a, b int) int {
	for _, s := range []int{statusBinds, statusUnknown} {
		if a == s || b == s {
			return s
		}
	}
	return statusHolds
}

// reportKernels writes the reports of several kernels, side by side.
func (a *app) reportKernels(f *proveFlags, reports []prove.Report) error {
	return show(a, f.form, f.verbose, reports, forms[[]prove.Report]{
		text: render.ProofsText, json: render.ProofsJSON, markdown: render.ProofsDoc,
	})
}
