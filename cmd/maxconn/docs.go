package main

import (
	"bytes"
	"io"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/outfile"
	"github.com/maxconn/maxconn/internal/render"
)

// docs writes docs/limits.md; it is for those who build maxconn.
func (a *app) docs() *cobra.Command {
	output := "-"
	c := &cobra.Command{
		Use:    "docs",
		Short:  "write the catalogue of limits as Markdown",
		Hidden: true,
		Args:   noArguments,
		RunE: func(*cobra.Command, []string) error {
			var text bytes.Buffer
			if err := render.LimitsDoc(&text, limit.Catalogue()); err != nil {
				return err
			}
			if output != "-" {
				return outputError("the catalogue", "-o",
					outfile.Write(output, text.Bytes(), outfile.Public))
			}
			return a.write(func(w io.Writer) error {
				_, err := w.Write(text.Bytes())
				return err
			})
		},
	}
	c.Flags().VarP(word{&output}, "output", "o",
		"write to this `file`; - is the standard output")
	return c
}
