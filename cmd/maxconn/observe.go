package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/host"
)

// observeFlags are what was asked of observe.
type observeFlags struct {
	source
	redact bool
	output string
}

func (a *app) observe() *cobra.Command {
	f := &observeFlags{}
	c := &cobra.Command{
		Use:   "observe",
		Short: "write down everything that check looks at",
		Long: `observe writes a snapshot of this host as text: a fact a line, sorted, and for every
fact that could not be read the reason. check --from reads it on any machine and
gives the same verdict. --redact hides addresses and names, each by the same
stand-in everywhere.`,
		Example: `  maxconn observe -o box.txt
  maxconn observe --redact --for 10s -o box.txt
  maxconn observe | maxconn check --from -`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.runObserve(c.Context(), f)
		},
	}
	f.source.flags(c, "look at the network namespace of the process with this `id`")
	f.windowFlag(c)
	c.Flags().BoolVar(&f.redact, "redact", false, "hide addresses and names, consistently")
	f.output = "-"
	c.Flags().VarP(word{&f.output}, "output", "o",
		"write to this `file`; - is the standard output")
	return c
}

func (a *app) runObserve(ctx context.Context, f *observeFlags) error {
	f.source.twice = true
	s, err := a.snapshot(ctx, f.source)
	if err != nil {
		return err
	}
	text, err := computed(ctx, func() []byte {
		if f.redact {
			s = host.Redact(s)
		}
		return s.Text()
	})
	if err != nil {
		return err
	}
	if f.output == "-" {
		return a.write(func(w io.Writer) error { _, err := w.Write(text); return err })
	}
	return writeFile(f.output, text)
}
