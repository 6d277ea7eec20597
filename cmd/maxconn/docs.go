package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/outfile"
	"github.com/maxconn/maxconn/internal/render"
	"github.com/maxconn/maxconn/internal/ui/exporter/rules"
)

// docs writes docs/limits.md; it is for those who build maxconn.
func (a *app) docs() *cobra.Command {
	output, packaging := "-", ""
	c := &cobra.Command{
		Use:    "docs",
		Short:  "write the catalogue of limits as Markdown",
		Hidden: true,
		Args:   noArguments,
		RunE: func(*cobra.Command, []string) error {
			if packaging != "" {
				return writePackaging(packaging)
			}
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
	c.Flags().Var(word{&packaging}, "packaging",
		"write rules and dashboards into this `directory` instead")
	return c
}

// writePackaging writes what Prometheus and Grafana read.
func writePackaging(dir string) error {
	files, err := rules.Files(limit.Catalogue())
	if err != nil {
		return err
	}
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return err
		}
		if err := outfile.Write(name, text, outfile.Public); err != nil {
			return outputError("the rules", "--packaging", err)
		}
	}
	return nil
}
