package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
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
}

// flags adds those that choose a subject on this host; pid says what --pid does.
func (s *source) flags(c *cobra.Command, pid string) {
	c.Flags().Var(word{&s.netns}, "netns", "look at this network namespace: its `name`, a path, or a process ID")
	c.Flags().Var(processID{&s.pid}, "pid", pid)
	_ = c.RegisterFlagCompletionFunc("netns", completeNamespaces) // fails only for a flag that does not exist
	_ = c.RegisterFlagCompletionFunc("pid", cobra.NoFileCompletions)
}

// fileFlag adds --from.
func (s *source) fileFlag(c *cobra.Command) {
	c.Flags().Var(word{&s.from}, "from", "read a snapshot from this `file`, which maxconn observe wrote; - is the standard input")
}

func (s *source) windowFlag(c *cobra.Command) {
	c.Flags().Var(word{&s.window}, "for", "take two samples this `time` apart, such as 10s: shows rates and what moved")
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
		return interruptible(ctx, func() (host.Snapshot, error) { return a.read(s.from) })
	}
	return a.observed(ctx, s, window)
}

// conflict is what is wrong with a combination of flags.
func (s source) conflict() error {
	switch {
	case s.from != "" && s.window != "":
		return misuse("take the two samples where the snapshot comes from: maxconn observe --for "+s.window, "--for and --from: a file does not move")
	case s.from != "" && s.netns != "":
		return misuse("observe the namespace on its host: maxconn observe --netns "+s.netns, "--netns and --from: a file holds one namespace")
	case s.netns != "" && s.pid != 0:
		return misuse("--pid alone looks at the namespace of the process", "--netns and --pid: give one of them")
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
		return 0, misuse("write a number with its unit: --for 10s, --for 2m", "--for: %s is not a length of time", quoted(s.window))
	}
	return d, nil
}

// largestSnapshot is far above any that observe writes; its tables are bounded.
const largestSnapshot = 64 << 20

// read parses a snapshot file.
func (a *app) read(name string) (host.Snapshot, error) {
	text, shown, err := a.load(name)
	if err != nil {
		return host.Snapshot{}, err
	}
	snapshot, err := host.Parse(text)
	var bad *host.SyntaxError
	if errors.As(err, &bad) {
		at := shown
		if bad.Line > 0 {
			at += ":" + strconv.Itoa(bad.Line)
		}
		return host.Snapshot{}, misuse("a snapshot is what maxconn observe writes: maxconn observe -o box.txt", "read %s: %s", at, bad.Why)
	}
	return snapshot, err
}

// load reads a whole file or the standard input, and gives the name to show in errors.
func (a *app) load(name string) (text []byte, shown string, err error) {
	in, shown := a.stdin, "standard input"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, "", fileError(name, err)
		}
		defer f.Close()
		in, shown = f, name
	}
	text, err = io.ReadAll(io.LimitReader(in, largestSnapshot+1))
	switch {
	case err != nil:
		return nil, "", fileError(shown, err)
	case len(text) > largestSnapshot:
		return nil, "", misuse("a snapshot is what maxconn observe writes", "read %s: more than %d MiB, not a snapshot", shown, largestSnapshot>>20)
	}
	return text, shown, nil
}

func fileError(name string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	f := &failure{statusUsage, fmt.Errorf("read %s: %w", name, err), "--from takes a file that maxconn observe wrote, or - for the standard input"}
	if errors.Is(err, fs.ErrPermission) {
		f.hint = "run as a user who may read it"
	}
	return f
}

// interruptible does not wait for work that goes on when ctx ends; the process ends soon after.
func interruptible[T any](ctx context.Context, work func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := work()
		done <- outcome{v, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// didYouMean is a hint from names that are spelled alike, or another hint.
func didYouMean(names []string, otherwise string) string {
	if len(names) == 0 {
		return otherwise
	}
	return "did you mean " + strings.Join(names, " or ") + "?"
}
