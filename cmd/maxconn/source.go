package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/host"
)

// source says where a snapshot comes from: a file, or the running kernel.
type source struct {
	from   string
	netns  string
	pid    int64
	window string
	twice  bool // look at the counters again after a second (observe.Again)
	// ports are local ports of which every holder is wanted.
	ports []uint16
}

// flags adds those that choose a subject on this host; pid says what --pid does.
func (s *source) flags(c *cobra.Command, pid string) {
	c.Flags().Var(word{&s.netns}, "netns",
		"look at this network namespace: its `name`, a path, or a process ID")
	c.Flags().Var(processID{&s.pid}, "pid", pid)
	// fails only for a flag that does not exist
	_ = c.RegisterFlagCompletionFunc("netns", completeNamespaces)
	_ = c.RegisterFlagCompletionFunc("pid", cobra.NoFileCompletions)
}

// fileFlag adds --from.
func (s *source) fileFlag(c *cobra.Command) {
	c.Flags().Var(word{&s.from}, "from",
		"read a snapshot from this `file`, which maxconn observe wrote; - is the "+
			"standard input")
}

func (s *source) windowFlag(c *cobra.Command) {
	c.Flags().Var(word{&s.window}, "for",
		"take two samples this `time` apart, such as 10s: shows rates and what moved")
	_ = c.RegisterFlagCompletionFunc("for", cobra.NoFileCompletions)
}

// snapshot reads the file or observes.
func (a *app) snapshot(ctx context.Context, s source) (host.Snapshot, error) {
	window, err := s.length()
	if err != nil {
		return host.Snapshot{}, err
	}
	if err := s.conflict(); err != nil {
		return host.Snapshot{}, err
	}
	if s.from != "" {
		return interruptible(ctx, func() (host.Snapshot, error) {
			return a.read(ctx, s.from)
		})
	}
	return a.observed(ctx, s, window)
}

// conflict is what is wrong with a combination of flags.
func (s source) conflict() error {
	switch {
	case s.from != "" && s.window != "":
		return misuse("take the two samples where the snapshot comes from: maxconn "+
			"observe --for "+s.window, "--for and --from: a file does not move")
	case s.from != "" && s.netns != "":
		return misuse("observe the namespace on its host: maxconn observe --netns "+s.netns,
			"--netns and --from: a file holds one namespace")
	case s.netns != "" && s.pid != 0:
		return misuse("--pid alone looks at the namespace of the process",
			"--netns and --pid: give one of them")
	}
	return nil
}

// length is the window, 0 for one sample.
func (s source) length() (time.Duration, error) {
	if s.window == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s.window)
	if err != nil || d <= 0 {
		return 0, misuse("write a number with its unit: --for 10s, --for 2m",
			"--for: %s is not a length of time", quoted(s.window))
	}
	return d, nil
}

// snapshotHint is for what is no snapshot.
const snapshotHint = "--from takes a file that maxconn observe wrote, or - for the standard input"

// read parses a snapshot file.
func (a *app) read(ctx context.Context, name string) (host.Snapshot, error) {
	text, shown, err := a.input(ctx, name, largestSnapshot)
	if err != nil {
		return host.Snapshot{}, inputError(shown, err, snapshotHint)
	}
	snapshot, err := host.Parse(text)
	if bad, ok := errors.AsType[*host.SyntaxError](err); ok {
		at := shown
		if bad.Line > 0 {
			at += ":" + strconv.Itoa(bad.Line)
		}
		return host.Snapshot{},
			misuse("a snapshot is what maxconn observe writes: maxconn observe -o "+
				"box.txt", "read %s: %s", at, bad.Why)
	}
	return snapshot, err
}

// didYouMean is a hint from names that are spelled alike, or another hint.
func didYouMean(names []string, otherwise string) string {
	if len(names) == 0 {
		return otherwise
	}
	return "did you mean " + strings.Join(names, " or ") + "?"
}
