//go:build linux

package main

import (
	"cmp"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/render"
)

func (a *app) rollback() *cobra.Command {
	f := &journalFlags{}
	force := false
	c := &cobra.Command{
		Use:   "rollback [RUN]",
		Short: "roll back what apply changed",
		Long: `rollback restores the values that were there before the last run of apply, or
before the run with this number, also when apply was killed half-way. What
somebody else has changed since is left as it is and named. Where an old value
is below what is in use now, nothing is done, unless --force. After a reboot it
removes the files that have set the values again, and rolls those values back.

Without a number it is always the last run that is meant, also when that one is
rolled back already: an earlier one needs its number, and is named where it is
still in effect.

Exit status: 0 everything is as before, 1 something stayed, 64 bad usage, 70
refused or failed.`,
		Example:           "  maxconn rollback\n  maxconn rollback 3",
		Args:              oneRun,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := a.engine(*f)
			if err != nil {
				return err
			}
			taken, err := e.Rollback(runID(args), force)
			if err != nil {
				return applyError(err)
			}
			if taken.Left > 0 {
				a.status = statusLeft
			}
			if f.json {
				return a.writeJSON(taken)
			}
			return a.lines(func(w io.Writer) error { return showTaken(w, taken, *f) })
		},
	}
	f.flags(c)
	c.Flags().BoolVar(&force, "force", false, "go below what is in use, too")
	return c
}

func showTaken(w io.Writer, t apply.Taken, f journalFlags) error {
	var b strings.Builder
	switch {
	case t.Run == 0:
		b.WriteString("nothing is applied\n")
	case len(t.Items) == 0:
		printf(&b, "run %d: nothing to roll back\n", t.Run)
	default:
		printf(&b, "run %d: %s\n", t.Run, t.State)
	}
	for _, i := range t.Items {
		printf(&b, "  %s: %s\n", render.Clean(i.Setting), outcome(i))
	}
	for _, id := range t.InEffect {
		printf(&b, "Run %d is in effect still: %s\n", id,
			f.verb("rollback "+strconv.Itoa(id)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// outcome says what became of one thing.
func outcome(i apply.Item) string {
	switch i.Outcome {
	case apply.Restored:
		if i.To == "" {
			return "as before"
		}
		return "back to " + value(i.To)
	case apply.Already:
		return "was as before"
	case apply.Gone:
		return because("nothing to restore", cmp.Or(i.Text, "it is gone"))
	case apply.Changed:
		return "left: " + render.Clean(i.Text)
	}
	return "failed: " + render.Clean(i.Text)
}
