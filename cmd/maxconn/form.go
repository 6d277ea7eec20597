package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/render"
)

// form is how a result is to be written: as text where none is set.
type form struct{ json, markdown, sarif bool }

func (f *form) flags(c *cobra.Command) {
	c.Flags().BoolVar(&f.json, "json", false, "write JSON")
	c.Flags().BoolVar(&f.markdown, "md", false, "write Markdown, to paste into a ticket")
}

func (f *form) conflict() error {
	switch {
	case f.json && f.markdown:
		return misuse("one result has one form", "--json and --md: give one of them")
	case f.json && f.sarif:
		return misuse("one result has one form", "--json and --sarif: give one of them")
	}
	return nil
}

// forms are the ways to write one kind of result.
type forms[R any] struct {
	text     func(io.Writer, R, render.Style) error
	json     func(io.Writer, R) error
	markdown func(io.Writer, R) error
	sarif    func(io.Writer, R) error
}

// show writes a result in the form that was asked for.
func show[R any](a *app, f form, verbose bool, r R, in forms[R]) error {
	return a.write(func(w io.Writer) error {
		switch {
		case f.json:
			return in.json(w, r)
		case f.markdown:
			return in.markdown(w, r)
		case f.sarif:
			return in.sarif(w, r)
		}
		return in.text(w, r, a.style(verbose))
	})
}
