package main

import "github.com/spf13/cobra"

// form is how a result is to be written: as text where neither is set.
type form struct{ json, markdown bool }

func (f *form) flags(c *cobra.Command) {
	c.Flags().BoolVar(&f.json, "json", false, "write JSON")
	c.Flags().BoolVar(&f.markdown, "md", false, "write Markdown, to paste into a ticket")
}

func (f *form) conflict() error {
	if f.json && f.markdown {
		return misuse("one result has one form", "--json and --md: give one of them")
	}
	return nil
}
