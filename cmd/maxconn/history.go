//go:build linux

package main

import (
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/render"
)

func (a *app) history() *cobra.Command {
	f := &journalFlags{}
	c := &cobra.Command{
		Use:   "history",
		Short: "list every run of apply",
		Long: "history lists every run of apply, the oldest first, with what became " +
			"of it and why it was rolled back.",
		Example: "  maxconn history",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			e, err := a.engine(*f)
			if err != nil {
				return err
			}
			h, err := e.History()
			if err != nil {
				return applyError(err)
			}
			if f.json {
				return a.writeJSON(h)
			}
			return a.lines(func(w io.Writer) error { return showHistory(w, h) })
		},
	}
	f.flags(c)
	return c
}

func showHistory(w io.Writer, h apply.History) error {
	var b strings.Builder
	if len(h.Runs) == 0 && len(h.Unreadable) == 0 {
		b.WriteString("nothing was ever applied\n")
	}
	for _, r := range h.Runs {
		printf(&b, "%d  %s  %s", r.Run, r.Started.Local().Format(time.DateTime), r.State)
		if r.Why != "" && r.Why != "rollback" {
			printf(&b, " (%s)", render.Clean(r.Why))
		}
		printf(&b, ": %s\n", render.Clean(strings.Join(r.Settings, ", ")))
		if r.Fix != nil {
			for _, item := range r.Fix.Evidence {
				printf(&b, "   %s (%s)\n", item.String(), item.Verdict)
			}
		}
	}
	for _, u := range h.Unreadable {
		printf(&b, "%s\n", u)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
