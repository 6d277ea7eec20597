package main

import (
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/render"
)

// root is the command line. Without a verb it checks.
func (a *app) root() *cobra.Command {
	c := a.check()
	c.Use = "maxconn [verb]"
	c.Short = "how many TCP connections this host can make and hold, and what stops it first"
	c.Long = `maxconn says how many TCP connections a Linux host can make and hold, what stops it
first, and what would lift that. Without a verb it checks this host, as the verb
check does. It changes nothing and needs no privileges; root sees more.

Exit status: 0 nothing limits connections, 1 something does, 2 could not tell,
64 bad usage, 70 failed, 130 interrupted.

NO_COLOR turns colour off; COLUMNS is the width where the output is not a terminal.`
	c.Version = version()
	c.SetVersionTemplate("maxconn {{.Version}}\n")
	c.Args = verbOnly
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SuggestionsMinimumDistance = 2
	width := min(a.style(false).Width, usualWidth)
	c.SetUsageTemplate(strings.Replace(usageTemplate, "WIDTH", strconv.Itoa(width), 1))
	c.SetHelpFunc(func(c *cobra.Command, _ []string) { a.unwritten = a.help(c, width) })
	c.SetFlagErrorFunc(flagError)
	check := a.check()
	c.AddCommand(check, a.observe(), a.explain(), a.lint(), a.plan(), a.watchVerb(),
		a.completion(), a.man(), a.docs(), a.versionVerb())
	c.AddCommand(a.linuxVerbs()...)
	c.SetHelpCommand(helpVerb())
	return c
}

// verbOnly is what is wrong with a first word that is no verb.
func verbOnly(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "maxconn --help lists the verbs"
	if near := c.SuggestionsFor(args[0]); len(near) > 0 && strings.TrimSpace(args[0]) != "" {
		hint = "did you mean maxconn " + near[0] + "?"
	} else if limit.Find(limit.ID(args[0])) != nil || knob.Search(args[0]) != nil {
		hint = "did you mean maxconn explain " + args[0] + "?"
	}
	return misuse(hint, "%s is not a verb", quoted(args[0]))
}

// noArguments is for verbs that have flags only.
func noArguments(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return misuse(c.CommandPath()+" --help lists the flags", "%s takes flags only, have %s",
		c.CommandPath(), quoted(strings.Join(args, " ")))
}

// help writes the help of a verb. Paragraphs that are wider than the screen are broken anew.
func (a *app) help(c *cobra.Command, width int) error {
	paragraphs := strings.Split(strings.TrimSpace(cmp.Or(c.Long, c.Short)), "\n\n")
	for i, p := range paragraphs {
		wide := func(line string) bool { return len(line) > width }
		if lines := strings.Split(p, "\n"); slices.ContainsFunc(lines, wide) &&
			!strings.Contains("\n"+p, "\n ") {
			paragraphs[i] = strings.Join(lines, " ")
		}
	}
	return a.write(func(w io.Writer) error {
		about := strings.Join(paragraphs, "\n\n") + "\n\n"
		_, err := io.WriteString(w, render.Fold(about+c.UsageString(), width, 0))
		return err
	})
}

// helpVerb is help VERB, which other than cobra's own fails where there is no such verb.
func helpVerb() *cobra.Command {
	return &cobra.Command{
		Use:   "help [verb]",
		Short: "show help for a verb",
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return verbOnly(c.Root(), args)
			}
			about.InitDefaultHelpFlag()
			about.InitDefaultVersionFlag()
			return about.Help()
		},
	}
}

const usageTemplate = `Usage:
  {{.UseLine}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}

Verbs:{{range .Commands}}{{if (or .IsAvailableCommand (eq .Name "help"))}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}

Flags:
{{.LocalFlags.FlagUsagesWrapped WIDTH | trimTrailingWhitespaces}}{{end}}
`
