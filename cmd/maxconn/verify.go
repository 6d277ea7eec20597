//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/render"
)

// verifyFlags are what was asked of verify.
type verifyFlags struct {
	journalFlags
	boot bool
}

func (a *app) verify() *cobra.Command {
	f := &verifyFlags{}
	c := &cobra.Command{
		Use:   "verify [PLAN|-]",
		Short: "compare the running values with what was applied, or with a plan",
		Long: `verify compares the values that are there with those that apply has written and
that were not rolled back, the files for the next boot with what was written in
them, and those values with what the next boot will make of them; or the running
values with those of a plan. It changes nothing.

Exit status: 0 all hold, 1 some do not, 64 bad usage, 70 failed.`,
		Example: "  maxconn verify\n  maxconn verify plan.json",
		Args: func(_ *cobra.Command, args []string) error {
			if f.boot && len(args) > 0 {
				return misuse("give one of them", "a plan and --boot")
			}
			if len(args) > 1 {
				return misuse("one plan at a time",
					"verify takes one plan, have %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.runVerify(f, args) },
	}
	f.flags(c)
	c.Flags().BoolVar(&f.boot, "boot", false,
		"only what was to last over a boot; for the unit that runs at boot")
	return c
}

func (a *app) runVerify(f *verifyFlags, args []string) error {
	e, err := a.engine(f.journalFlags)
	if err != nil {
		return err
	}
	v, err := a.verified(e, f.boot, args)
	if err != nil {
		return applyError(err)
	}
	if !v.Holds {
		a.status = statusLeft
	}
	if f.json {
		return a.writeJSON(v)
	}
	return a.lines(func(w io.Writer) error { return showVerified(w, v) })
}

func (a *app) verified(e *apply.Engine, boot bool, args []string) (apply.Verified, error) {
	if len(args) == 0 {
		return e.Verify(boot)
	}
	p, err := a.readPlan(args[0])
	if err != nil {
		return apply.Verified{}, err
	}
	return e.VerifyPlan(e.Hold(p))
}

func showVerified(w io.Writer, v apply.Verified) error {
	var b strings.Builder
	for _, c := range v.Checks {
		printf(&b, "%s: ", render.Clean(c.Setting))
		switch {
		case c.Holds && c.Why != "":
			printf(&b, "%s, holds (%s)\n", value(c.Wanted), render.Clean(c.Why))
		case c.Holds:
			printf(&b, "%s, holds\n", value(c.Wanted))
		case c.Why != "" && c.Value == "":
			printf(&b, "%s is wanted, does not hold: %s\n", value(c.Wanted),
				render.Clean(c.Why))
		case c.Why != "":
			printf(&b, "%s is wanted, it is %s: %s\n", value(c.Wanted), value(c.Value),
				render.Clean(c.Why))
		default:
			printf(&b, "%s is wanted, it is %s\n", value(c.Wanted), value(c.Value))
		}
	}
	b.WriteString(sum(v))
	_, err := io.WriteString(w, b.String())
	return err
}

// sum is the last line: what does not hold may stand far above it.
func sum(v apply.Verified) string {
	differ := 0
	for _, c := range v.Checks {
		if !c.Holds {
			differ++
		}
	}
	switch all := len(v.Checks); {
	case all == 0:
		return "nothing to compare\n"
	case differ == 0:
		return fmt.Sprintf("%d compared, all hold\n", all)
	default:
		return fmt.Sprintf("%d compared, not as wanted: %d\n", all, differ)
	}
}
