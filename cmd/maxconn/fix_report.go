//go:build linux

package main

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/render"
)

// explainFix shows a past run: by its number, or as --json has saved it.
func (a *app) explainFix(ctx context.Context, f *fixFlags) error {
	if f.yes || f.dry || f.persist || len(f.limits) > 0 || f.pid != 0 || f.window != "" {
		return misuse("maxconn fix --from 3", "--from only shows: it goes with --json, "+
			"--verbose, --state-dir and --netns")
	}
	if id, err := strconv.Atoi(f.from); err == nil && id > 0 {
		e, err := a.engine(f.journalFlags)
		if err != nil {
			return err
		}
		r, err := e.FixReport(id)
		if err != nil {
			return applyError(err)
		}
		return a.showFix(f, r)
	}
	const hint = "--from takes the number of a run, or a file that maxconn fix --json wrote"
	text, name, err := a.input(ctx, f.from, largestPlan)
	if err != nil {
		return inputError(name, err, hint)
	}
	if err := bounded(text, "{", mostObjects); err != nil {
		return misuse(hint, "read %s: %w", name, err)
	}
	r, err := fix.Parse(text)
	if err != nil {
		return misuse(hint, "read %s: %w", name, err)
	}
	return a.showFix(f, r)
}

// showFix writes a report, with the status that it has.
func (a *app) showFix(f *fixFlags, r fix.Report) error {
	a.status = fixStatus(r)
	if err := show(a, form{json: f.json}, f.verbose, r, forms[fix.Report]{
		text: render.FixText, json: render.FixJSON}); err != nil {
		return err
	}
	switch {
	case r.State == string(apply.Persisting):
		return &failure{statusFailed, errors.New("it is cured and kept, and the files " +
			"for the next boot could not be written"),
			f.verb("confirm") + " tries again"}
	case r.Outcome == fix.Waiting && r.Again != nil:
		a.hint("looked at again at " + r.Again.Local().Format(time.TimeOnly) +
			", and kept if it is cured: " + f.verb("history") + " shows it, " +
			f.verb("confirm") + " keeps it now")
	case r.Outcome == fix.Waiting && r.Until != nil:
		a.hint("rolled back at " + r.Until.Local().Format(time.TimeOnly) +
			" unless confirmed: " + f.verb("confirm"))
	case r.Outcome == fix.NoSetting && os.Geteuid() != 0:
		a.hint("root of the host sees all processes, and may change them")
	case r.Outcome == fix.Unknown:
		a.hint("maxconn check --verbose lists what was not seen")
	case r.Outcome == fix.RolledBack && r.Asking() != "":
		a.hint("where more are wanted, say how many: " + f.verb("fix "+r.Asking()))
	case r.Outcome == fix.RolledBack && len(r.Evidence) > 1:
		a.hint("--limit fixes one of them by itself")
	case r.Outcome == fix.InPart:
		a.hint(f.verb("status") + " says what is left")
	case r.Outcome == fix.Broken:
		a.hint(f.verb("status") + " says what is left; " +
			f.verb("rollback "+strconv.Itoa(r.Run)) + " rolls it back")
	}
	return nil
}

// fixStatus is the exit status of a report.
func fixStatus(r fix.Report) int {
	switch r.Outcome {
	case fix.Kept, fix.ByHand, fix.Nothing, fix.Proposed:
		return statusHolds
	case fix.RolledBack, fix.NoSetting:
		return statusBinds
	case fix.Broken, fix.InPart:
		return statusFailed
	}
	return statusUnknown
}
