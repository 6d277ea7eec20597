//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/linux/netns"
)

func (a *app) confirm() *cobra.Command {
	f := &journalFlags{}
	c := &cobra.Command{
		Use:   "confirm [RUN]",
		Short: "keep what apply --confirm-within has changed",
		Long: `confirm keeps the changes of the last run of apply, or of the run with this
number, which would otherwise be rolled back when the window ends.

Exit status: 0 kept, 1 kept, and somebody else has changed a value since, 64 bad
usage, 70 too late, or nothing waits.`,
		Example:           "  maxconn confirm",
		Args:              oneRun,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(_ *cobra.Command, args []string) error {
			e, err := a.engine(*f)
			if err != nil {
				return err
			}
			report, err := e.Confirm(runID(args))
			if err != nil {
				return applyError(err)
			}
			what := "kept"
			if len(report.Lost) > 0 {
				a.status, what = statusBinds, "kept, but not all of it is there"
			}
			return a.writeReport(e, *f, report, what, 0)
		},
	}
	f.flags(c)
	return c
}

// oneRun is for verbs that take the number of a run, or none.
func oneRun(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return misuse("maxconn history lists the runs", "%s takes one run, have %d",
			c.CommandPath(), len(args))
	}
	if len(args) == 1 {
		if n, err := strconv.Atoi(args[0]); err != nil || n <= 0 {
			return misuse("maxconn history lists the runs",
				"%s is not the number of a run", quoted(args[0]))
		}
	}
	return nil
}

// runID is the run that oneRun accepted; 0 is the last.
func runID(args []string) int {
	if len(args) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(args[0])
	return n
}

// awaitVerb is the verb of the process that rolls a run back when nobody confirms. It is
// not for people.
const awaitVerb = "await-confirmation"

// Its exit statuses besides 0, kept, and 70, failed.
const (
	statusLeft     = 1
	statusReverted = 3
)

func (a *app) await() *cobra.Command {
	f := &journalFlags{}
	c := &cobra.Command{
		Use:    awaitVerb + " RUN",
		Short:  "roll a run back unless it is confirmed in time",
		Hidden: true,
		Args:   oneRun,
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := f.directory(a.env)
			if err != nil {
				return err
			}
			e, err := apply.Inherited(dir, netns.Path(f.netns))
			if err != nil {
				return &failure{
					statusFailed,
					err,
					"maxconn apply --confirm-within starts it; maxconn " +
						"rollback rolls a run back",
				}
			}
			equipped(e, netns.Path(f.netns))
			ctx, stop := signal.NotifyContext(context.WithoutCancel(c.Context()),
				syscall.SIGTERM)
			defer stop()
			if err := apply.Detached(); err != nil {
				return err
			}
			came, err := e.Watch(ctx, runID(args))
			a.status = map[apply.Watched]int{apply.WatchedReverted: statusReverted,
				apply.WatchedLeft: statusLeft}[came]
			return err
		},
	}
	f.flags(c)
	return c
}

// applyError adds a status and a hint to an error of package apply.
func applyError(err error) error {
	var own *failure
	var refused *apply.Refusal
	var undone *apply.UndoneError
	var lost *apply.Unreadable
	switch {
	case err == nil || errors.As(err, &own):
		return err
	case errors.As(err, &refused):
		return &failure{statusFailed, err, refused.Hint}
	case errors.As(err, &undone):
		f := &failure{statusFailed, oneLine{err}, ""}
		if undone.Undo.Left > 0 {
			f.hint = fmt.Sprintf(
				"maxconn status shows it; maxconn rollback %d tries again",
				undone.Undo.Run)
		}
		return f
	case errors.As(err, &lost):
		return &failure{statusFailed, err,
			"nobody can tell what it changed: look at it, compare the settings by " +
				"hand, and move the file away"}
	case errors.Is(err, fs.ErrPermission):
		hint := "run as the user who applied it, or as root"
		if os.Geteuid() == 0 { // of a user namespace
			hint = "--state-dir keeps the journal in a directory that you may write"
		}
		return &failure{statusFailed, err, hint}
	}
	return namespaceError(err)
}

// oneLine keeps the text of an error and not its causes: an interrupted apply that was
// undone is a failure, not an interrupt without words.
type oneLine struct{ error }
