package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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
		RunE: func(c *cobra.Command, _ []string) error { return a.runObserve(c.Context(), f) },
	}
	f.source.flags(c, "look at the network namespace of the process with this `id`")
	f.windowFlag(c)
	c.Flags().BoolVar(&f.redact, "redact", false, "hide addresses and names, consistently")
	f.output = "-"
	c.Flags().VarP(word{&f.output}, "output", "o", "write to this `file`; - is the standard output")
	return c
}

func (a *app) runObserve(ctx context.Context, f *observeFlags) error {
	s, err := a.snapshot(ctx, f.source)
	if err != nil {
		return err
	}
	if f.redact {
		s = host.Redact(s)
	}
	text := s.Text()
	if f.output == "-" {
		return a.write(func(w io.Writer) error { _, err := w.Write(text); return err })
	}
	return writeFile(f.output, text)
}

// writeFile replaces a file by a whole one, or leaves it as it was. What is not a regular file (a pipe, /dev/null)
// is written in place, never replaced.
func writeFile(name string, text []byte) error {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return outputError(os.WriteFile(name, text, 0o666))
	}
	part := name + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return outputError(err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(part, name)
	}
	if err != nil {
		os.Remove(part)
	}
	return outputError(err)
}

func outputError(err error) error {
	if err == nil {
		return nil
	}
	f := &failure{statusFailed, fmt.Errorf("write the output: %w", err), ""}
	switch {
	case errors.Is(err, fs.ErrExist):
		f.hint = "another maxconn is writing it, or was killed while it did: remove the .part file"
	case errors.Is(err, fs.ErrNotExist):
		f.status, f.hint = statusUsage, "-o takes a file in a directory that exists"
	case errors.Is(err, fs.ErrPermission):
		f.hint = "-o takes a file that you may write"
	}
	return f
}
