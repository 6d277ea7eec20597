//go:build linux

package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/refusal"
	"github.com/maxconn/maxconn/internal/render"
	"github.com/maxconn/maxconn/internal/trace"
)

// traceFlags are what was asked of trace.
type traceFlags struct {
	source
	json, files, allNetns bool
	limits                []string
	process               string
}

func (a *app) trace() *cobra.Command {
	f := &traceFlags{}
	c := &cobra.Command{
		Use:   "trace",
		Short: "name who is refused, where, while it happens",
		Long: `trace names programs whose connections are refused, with their destination, and
listeners whose clients are dropped, as it happens: a line a second for each process, place and
kind, and at the end how that agrees with the counters of the kernel.

It has the kernel report connect() that finds no port, that fails otherwise or gets no answer,
accept queues that are full when a handshake ends, SYN-ACKs that are repeated, and segments that
a limit drops. A SYN that meets a full queue is in no event of the kernel: there the counter of
the listener tells. Connections that a peer refuses, that time out or are closed are not called
a lack of ports.

It changes nothing. Events take CAP_BPF and CAP_PERFMON, or root, and Linux 5.8 with its types
(/sys/kernel/btf/vmlinux); without them only counters are seen, and trace says so. --files also
reports calls that find no descriptor: the hook is on the way out of every system call of the
host and makes each slower by some 20 ns.

Ctrl-C ends it with the sum.

Exit status: 0 nothing was refused, 1 something was, 2 not all could be seen and nothing was
refused, 64 bad usage, 70 failed.`,
		Example: `  maxconn trace
  maxconn trace --for 10s --json
  maxconn trace --limit ephemeral-ports --process billing
  maxconn trace --all-netns --files --for 1m`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.runTrace(c.Context(), f)
		},
	}
	f.source.flags(c, "look at the network namespace of the process with this `id`")
	c.Flags().Var(word{&f.window}, "for", "end after this `time`, such as 10s")
	c.Flags().BoolVar(&f.allNetns, "all-netns", false, "look at every network namespace")
	c.Flags().BoolVar(&f.files, "files", false, "also EMFILE and ENFILE of every system call")
	c.Flags().Var(wordList{&f.limits, true}, "limit",
		"only what these `limits` refuse (repeatable; maxconn explain lists them)")
	c.Flags().Var(word{&f.process}, "process", "only this process, by its `name` or number")
	c.Flags().BoolVar(&f.json, "json", false, "write JSON, an object a line")
	// fails only for a flag that does not exist
	_ = c.RegisterFlagCompletionFunc("for", cobra.NoFileCompletions)
	_ = c.RegisterFlagCompletionFunc("process", cobra.NoFileCompletions)
	_ = c.RegisterFlagCompletionFunc("limit", func(*cobra.Command, []string, string) (
		[]cobra.Completion, cobra.ShellCompDirective) {
		return limitNames(), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func (a *app) runTrace(ctx context.Context, f *traceFlags) error {
	o, err := f.options()
	if err != nil {
		return err
	}
	window, err := f.length()
	if err != nil {
		return err
	}
	t := trace.Start(o)
	defer t.Close()
	for _, why := range t.Missing() {
		printf(a.stderr, "maxconn: not seen: %s\n", why)
	}
	if window > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, window)
		defer cancel()
	}
	sum, err := t.Run(ctx, func(l refusal.Line) error {
		return a.write(func(w io.Writer) error {
			if f.json {
				return render.RefusalJSON(w, l)
			}
			return render.RefusalText(w, l, a.style(false))
		})
	})
	if err != nil {
		return err
	}
	switch {
	case sum.Refusing():
		a.status = statusBinds
	case len(sum.Missing) > 0:
		a.status = statusUnknown
	}
	return a.write(func(w io.Writer) error {
		if f.json {
			return render.RefusalsJSON(w, sum)
		}
		return render.RefusalsText(w, sum, a.style(false))
	})
}

// options are what the flags say.
func (f *traceFlags) options() (o trace.Options, err error) {
	o = trace.Options{Files: f.files, All: f.allNetns,
		Filter: refusal.Filter{Limits: f.limits, Process: f.process}}
	for _, id := range f.limits {
		if limit.Find(limit.ID(id)) == nil {
			return o, misuse("maxconn explain lists the limits",
				"--limit: %s is not a limit", quoted(id))
		}
	}
	switch {
	case f.allNetns && (f.netns != "" || f.pid != 0):
		return o, misuse("--all-netns looks at each network namespace of this host",
			"--all-netns with --netns or --pid: give one of them")
	case f.allNetns:
		o.Spaces, err = allSpaces()
		return o, err
	}
	if err := f.conflict(); err != nil {
		return o, err
	}
	at, err := f.subject()
	if err != nil {
		return o, err
	}
	path := at.Namespace
	if path == "" {
		path = "/proc/self/ns/net"
	}
	id, err := netns.Identify(path)
	if err != nil {
		return o, namespaceError(err)
	}
	o.Spaces = []trace.Space{{Path: at.Namespace, Name: at.Name, Inode: uint32(id.Inode)}}
	return o, nil
}

// allSpaces are those that can be seen; the own one has no path, so that nobody needs a privilege
// for it.
func allSpaces() (all []trace.Space, err error) {
	list, err := namespaces()
	if err != nil {
		return nil, err
	}
	for _, ns := range list.Namespaces {
		s := trace.Space{Path: ns.Path, Name: labelOf(ns), Inode: uint32(ns.ID.Inode)}
		if ns.Own {
			s.Path = ""
		}
		all = append(all, s)
	}
	return all, nil
}
