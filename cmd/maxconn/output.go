package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/linux/outfile"
	"github.com/maxconn/maxconn/internal/render"
)

// writeFile replaces a file by a whole one, or leaves it as it was. A new one is readable
// for its owner alone: it tells of this host.
func writeFile(name string, text []byte) error {
	return outputError("the output", "-o", outfile.Write(name, text, outfile.Private))
}

// writePage is writeFile for the page of --html.
func writePage(name string, text []byte) error {
	return outputError("the page", "--html", outfile.Write(name, text, outfile.Private))
}

// writable says before a long run whether what it makes can be written; no name, nothing to write.
func writable(what, flag, name string) error {
	if name == "" {
		return nil
	}
	return outputError(what, flag, outfile.Writable(name))
}

// outputError adds a status and a hint to the error of a file that could not be written.
func outputError(what, flag string, err error) error {
	if err == nil {
		return nil
	}
	f := &failure{statusFailed, fmt.Errorf("write %s: %w", what, err), ""}
	refused, ok := errors.AsType[*outfile.Refused](err)
	switch {
	case ok:
		f.hint = refused.Hint
	case errors.Is(err, fs.ErrNotExist):
		f.status, f.hint = statusUsage, flag+" takes a file in a directory that exists"
	case errors.Is(err, fs.ErrPermission):
		f.hint = flag + " takes a file that you may write"
	}
	return f
}

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
