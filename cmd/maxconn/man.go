package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/maxconn/maxconn/internal/linux/outfile"
)

//go:generate go run . man --dir ../../docs/man
//go:generate go run . docs -o ../../docs/limits.md
//go:generate go run . docs --packaging ../../packaging

func (a *app) man() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "man [verb]",
		Short: "write the manual page",
		Long: "man writes the manual page of maxconn, or of one of its " +
			"verbs, for man to show.",
		Example: "  maxconn man | man -l -\n  maxconn man check > " +
			"maxconn-check.1",
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			if dir != "" {
				return writeManual(c.Root(), dir)
			}
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return verbOnly(c.Root(), args)
			}
			page, err := manPage(about)
			if err != nil {
				return err
			}
			return a.write(func(w io.Writer) error {
				_, err := w.Write(page)
				return err
			})
		},
	}
	c.Flags().Var(word{&dir}, "dir", "write all pages into this `directory`")
	_ = c.Flags().MarkHidden("dir") // fails only for a flag that does not exist
	return c
}

// manPage is the page of one verb. Its date is fixed, so that the output changes only with
// the text.
func manPage(c *cobra.Command) ([]byte, error) {
	date := time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)
	c.Root().DisableAutoGenTag = true
	var page bytes.Buffer
	err := doc.GenMan(c, &doc.GenManHeader{Section: "1", Source: "maxconn", Manual: "maxconn",
		Date: &date}, &page)
	return page.Bytes(), err
}

// writeManual writes a file a verb.
func writeManual(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for _, c := range append([]*cobra.Command{root}, root.Commands()...) {
		if c.Hidden || c.IsAdditionalHelpTopicCommand() {
			continue
		}
		page, err := manPage(c)
		if err != nil {
			return fmt.Errorf("manual page of %s: %w", c.CommandPath(), err)
		}
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		file := filepath.Join(dir, name)
		if err := outfile.Write(file, page, outfile.Public); err != nil {
			return outputError("the manual", "--dir", err)
		}
	}
	return nil
}
