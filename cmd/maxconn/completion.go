package main

import (
	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/render"
)

// The verb completion itself is cobra's; here is what stands behind the words of maxconn.

// completeWith offers words for a flag, and never files.
func completeWith(c *cobra.Command, flag string, words func() []cobra.Completion) {
	_ = c.RegisterFlagCompletionFunc(flag, func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if words == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return words(), cobra.ShellCompDirectiveNoFileComp
	})
}

func limitNames() (names []cobra.Completion) {
	for _, l := range limit.Catalogue() {
		names = append(names, cobra.CompletionWithDesc(l.ID, l.Title))
	}
	return names
}

// completeWords offers what explain knows: limits, then settings and errnos.
func completeWords(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	known := render.ListCatalogue(limit.Catalogue())
	words := limitNames()
	for _, k := range append(known.Knobs, known.Errnos...) {
		words = append(words, cobra.Completion(k))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeNamespaces offers the names of network namespaces.
func completeNamespaces(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	list, err := namespaces()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for _, ns := range list.Namespaces {
		for _, n := range ns.Names {
			names = append(names, cobra.Completion(n))
		}
	}
	return names, cobra.ShellCompDirectiveDefault // a path will do too
}
