package main

import (
	"bytes"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/render"
)

// completion is the verb; what stands behind the words of maxconn follows.
func (a *app) completion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion shell",
		Short: "write the completion script of a shell",
		Long: `completion writes the script by which a shell (bash, zsh, fish, powershell) completes
verbs, flags, limits, settings and errnos of maxconn. The first example is for this
session alone, the others for every new one; bash needs the package bash-completion.`,
		Example: `  source <(maxconn completion bash)
  maxconn completion bash > /etc/bash_completion.d/maxconn
  maxconn completion zsh > "${fpath[1]}/_maxconn"
  maxconn completion fish > ~/.config/fish/completions/maxconn.fish`,
		ValidArgsFunction: cobra.FixedCompletions([]cobra.Completion{"bash", "zsh", "fish",
			"powershell"}, cobra.ShellCompDirectiveNoFileComp),
		RunE: func(c *cobra.Command, args []string) error {
			script, err := completionScript(c.Root(), args)
			if err != nil {
				return err
			}
			return a.write(func(w io.Writer) error {
				_, err := w.Write(script)
				return err
			})
		},
	}
}

func completionScript(root *cobra.Command, args []string) ([]byte, error) {
	var script bytes.Buffer
	shells := map[string]func() error{
		"bash":       func() error { return root.GenBashCompletionV2(&script, true) },
		"zsh":        func() error { return root.GenZshCompletion(&script) },
		"fish":       func() error { return root.GenFishCompletion(&script, true) },
		"powershell": func() error { return root.GenPowerShellCompletionWithDesc(&script) },
	}
	const hint = "maxconn completion bash, zsh, fish or powershell"
	if len(args) == 0 {
		return nil, misuse(hint, "missing shell name")
	}
	write, ok := shells[args[0]]
	if !ok || len(args) > 1 {
		return nil, misuse(hint, "%s is not a shell that can be completed",
			quoted(strings.Join(args, " ")))
	}
	err := write()
	return script.Bytes(), err
}

// completeWith offers words for a flag, and never files.
func completeWith(c *cobra.Command, flag string, words func() []cobra.Completion) {
	_ = c.RegisterFlagCompletionFunc(flag,
		func(*cobra.Command, []string, string) ([]cobra.Completion,
			cobra.ShellCompDirective) {
			if words == nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return words(), cobra.ShellCompDirectiveNoFileComp
		})
}

func limitNames() (names []cobra.Completion) {
	for _, l := range limit.Catalogue() {
		names = append(names, cobra.CompletionWithDesc(string(l.ID), l.Title))
	}
	return names
}

// completeWords offers what explain knows: limits, then settings and errnos.
func completeWords(_ *cobra.Command, args []string, _ string) ([]cobra.Completion,
	cobra.ShellCompDirective) {
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
