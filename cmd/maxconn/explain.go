package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/render"
)

// explainFlags are what was asked of explain.
type explainFlags struct {
	source
	form
	kernel string
}

func (a *app) explain() *cobra.Command {
	f := &explainFlags{}
	c := &cobra.Command{
		Use: "explain [limit | sysctl | error or log line]",
		Short: "explain a limit, a setting, a name or an error message, with this host's " +
			"figures",
		Long: `explain LIMIT shows the formula of a limit with this host's figures put in step by
step, what is commonly believed and what is true, the settings that act on it and
those that do not, and where in the kernel that stands.

explain SYSCTL says what a setting does and does not do, and its value here; the
last part of its name is enough, and a line of a sysctl.d file will do.

explain 'TEXT' takes an error, a log line, or the name of an errno and says what it
means, which limit it comes from, if any, and what to look at. Where the text says that
a port is taken, it names the socket that has it.

explain NAME also knows the counters, facts, TCP states, verdicts and units that
maxconn prints.

Without a word it lists all that can be explained.`,
		Example: `  maxconn explain
  maxconn explain time-wait
  maxconn explain tcp_fin_timeout
  maxconn explain 'possible SYN flooding on port 443. Sending cookies.'
  maxconn explain EADDRNOTAVAIL`,
		RunE: func(c *cobra.Command, args []string) error {
			query := strings.Join(args, " ")
			if len(args) > 0 && strings.TrimSpace(query) == "" {
				return misuse("maxconn explain alone lists what it knows; a shell "+
					"variable that is not set is empty",
					"the text to explain is empty")
			}
			return a.runExplain(c.Context(), f, query)
		},
		ValidArgsFunction: completeWords,
	}
	f.form.flags(c)
	f.source.flags(c, "look at the network namespace of the process with this `id`")
	f.fileFlag(c)
	c.Flags().Var(word{&f.kernel}, "kernel",
		"explain for this kernel `release` or distribution, such as 4.9 or el8, with "+
			"nothing else known")
	completeWith(c, "kernel", kernelNames)
	return c
}

func (a *app) runExplain(ctx context.Context, f *explainFlags, query string) error {
	if err := f.form.conflict(); err != nil {
		return err
	}
	if err := checkKernel(f.kernel, f.source); err != nil {
		return err
	}
	if strings.TrimSpace(query) == "" {
		return show(a, f.form, false, render.ListCatalogue(limit.Catalogue()),
			forms[render.Catalogue]{
				text: render.CatalogueText, json: render.CatalogueJSON,
				markdown: render.CatalogueMarkdown,
			})
	}
	if _, ok := render.Explain(query, host.Snapshot{}); !ok {
		return misuse(didYouMean(limit.Suggest(query),
			"maxconn explain lists what it knows"), "unknown limit, setting or "+
			"error: %s", quoted(query))
	}
	f.source.ports = render.WantedPorts(query)
	s, missing, err := host.Snapshot{}, "", error(nil)
	if kernel, _ := host.ReleaseNamed(f.kernel); kernel.Known() {
		s.Set(host.System("kernel"), kernel.String())
	} else if s, missing, err = a.figures(ctx, f.source); err != nil {
		return err
	}
	e, err := computed(ctx, func() render.Explanation {
		e, _ := render.Explain(query, s)
		return e
	})
	if err != nil {
		return err
	}
	e.NoFigures = missing
	return show(a, f.form, false, e, forms[render.Explanation]{
		text: render.ExplanationText, json: render.ExplanationJSON,
		markdown: render.ExplanationMarkdown,
	})
}

// figures is a snapshot, or the reason why there is none: explain works without. What the
// user asked for and cannot be had is an error all the same.
func (a *app) figures(ctx context.Context, from source) (s host.Snapshot, missing string,
	err error) {
	s, err = a.snapshot(ctx, from)
	var f *failure
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return s, "", err
	case errors.As(err, &f) && f.status == statusUsage:
		return s, "", err
	}
	return host.Snapshot{}, err.Error(), nil
}
