package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/outfile"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/ui/watch"
)

// watchFlags are what was asked of watch.
type watchFlags struct {
	source
	allNetns bool
	every    string
	record   string
	speed    string
	json     bool

	interval time.Duration // of every; 0: as often as it may
	times    float64       // of speed; 0: as fast as it can
}

// feed shows what is known until ctx ends.
type feed = func(ctx context.Context, show func(watch.Now)) error

func (a *app) watchVerb() *cobra.Command {
	f := &watchFlags{}
	c := &cobra.Command{
		Use:   "watch",
		Short: "watch limits, refusals and what changes, on a full screen",
		Long: `watch shows on a full screen what check says, again and again: the verdict, each limit
with its use, the share of its ceiling, the last minute, refusals a second and the time
until it binds; below it what began and ended, settings that changed, and network
namespaces that came and went. The key ? lists the keys.

Where the standard output is no terminal, or with --json, it writes a line of JSON for
each survey of a network namespace.

--record keeps each survey in a file, up to 64 MB; --from shows such a file again, on
any system: it is a fault as a film, for a ticket. It names addresses and processes.

It looks as often as it may for less than 1 % of one processor, once a second at the
most; --every says otherwise. It changes nothing and needs no privileges; root sees more.

Exit status: 0 somebody left or the recording ended, 64 bad usage, 70 failed, also
where a recording could not be kept whole.`,
		Example: `  maxconn watch
  maxconn watch --all-netns --every 2s
  maxconn watch --record fault.film
  maxconn watch --from fault.film --speed 10
  maxconn watch --json | jq -c '{at, says}'`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.runWatch(c.Context(), f)
		},
	}
	f.source.flags(c, "look at the network namespace of the process with this `id`")
	c.Flags().BoolVar(&f.allNetns, "all-netns", false,
		"look at each network namespace that can be seen, those that come later included")
	c.Flags().Var(word{&f.every}, "every",
		"survey this `often`, such as 2s, whatever that costs")
	c.Flags().Var(word{&f.record}, "record", "keep each survey in this `file`")
	c.Flags().Var(word{&f.from}, "from",
		"show this `file` again, which --record wrote; - is the standard input")
	c.Flags().Var(word{&f.speed}, "speed",
		"play --from this many `times` as fast as it was, or max (default 1, without a "+
			"terminal max)")
	c.Flags().BoolVar(&f.json, "json", false, "write lines of JSON also to a terminal")
	completeWith(c, "every", nil)
	completeWith(c, "speed", nil)
	return c
}

func (a *app) runWatch(ctx context.Context, f *watchFlags) (err error) {
	screen := a.fullScreen() && !f.json
	if err := f.conflicts(screen); err != nil {
		return err
	}
	m := &watch.Model{Color: a.style(false).Color,
		Hooks: watch.Hooks{Write: keepSnapshot, Owner: func(s host.Snapshot) func(
			sysctl, value string) string {
			return persist.SetBy(hostRoot(s, f.from))
		}}}
	show, done, err := a.watched(ctx, f, m)
	if err != nil {
		return err
	}
	defer func() { err = done(err) }()
	if !screen {
		return a.writeLines(ctx, show)
	}
	in := a.stdin
	if f.from == "-" {
		in = os.Stdin // bubbletea finds the terminal
	}
	return watch.Run(ctx, m, in, a.stdout, show)
}

// fullScreen says whether the standard output is a terminal that can have one.
func (a *app) fullScreen() bool {
	_, ok := terminal(a.stdout)
	return ok && a.env("TERM") != "" && a.env("TERM") != "dumb"
}

// watched is what is shown: this host or a recording. done ends the recording that is made.
func (a *app) watched(ctx context.Context, f *watchFlags, m *watch.Model) (show feed,
	done func(error) error, err error) {
	done = func(err error) error { return err }
	if f.from != "" {
		text, shown, err := a.input(ctx, f.from, watch.LargestRecording)
		if err != nil {
			return nil, nil, inputError(shown, err, recordingHint)
		}
		p := watch.NewPlayer(watch.ReadRecording(text), f.times)
		m.Hooks.Freeze, m.Hooks.Speed = p.Freeze, p.Speed
		return func(ctx context.Context, show func(watch.Now)) error {
			return badRecording(shown, p.Play(ctx, show))
		}, done, nil
	}
	k := &watch.Keeper{File: f.record}
	show, err = a.followed(f, k)
	if err != nil || f.record == "" {
		return show, done, err
	}
	file, err := outfile.Create(f.record)
	if err != nil {
		return nil, nil, outputError("the recording", "--record", err)
	}
	k.Recorder = watch.NewRecorder(file, watch.LargestRecording)
	return show, func(err error) error {
		lines, lost := k.Recorder.Written()
		if lost = errors.Join(lost, file.Close()); lost != nil && err == nil {
			return &failure{statusFailed,
				fmt.Errorf("record to %s: %w", f.record, lost),
				"it holds the first " + strconv.Itoa(lines) + " surveys"}
		}
		return err
	}, nil
}

const recordingHint = "--from takes a file that maxconn watch --record wrote"

// badRecording says where a recording is none.
func badRecording(shown string, err error) error {
	if bad, ok := errors.AsType[*host.SyntaxError](err); ok {
		return misuse(recordingHint, "read %s:%d: %s", shown, bad.Line, bad.Why)
	}
	return err
}

// writeLines writes until ctx ends or nobody reads any more.
func (a *app) writeLines(ctx context.Context, show feed) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lines := watch.NewLines(a.stdout)
	var failed error
	err := show(ctx, func(n watch.Now) {
		if failed == nil {
			if failed = lines.Write(n); failed != nil {
				stop()
			}
		}
	})
	if failed != nil {
		return fmt.Errorf("write to the standard output: %w", failed)
	}
	return err
}

// keepSnapshot writes a snapshot to the directory that the program was started in.
func keepSnapshot(s host.Snapshot, at time.Time) (name string, err error) {
	name = "maxconn-" + at.UTC().Format("20060102T150405Z") + ".txt"
	return name, outfile.Write(name, s.Text(), outfile.Private)
}

func (f *watchFlags) conflicts(screen bool) (err error) {
	if !screen {
		f.times = 0
	} else {
		f.times = 1
	}
	switch {
	case f.from != "" && (f.allNetns || f.pid != 0 || f.every != "" || f.record != ""):
		return misuse("a recording holds what it was made of",
			"--from with --all-netns, --pid, --every or --record: give one of them")
	case f.allNetns && (f.netns != "" || f.pid != 0):
		return misuse("--all-netns looks at each network namespace",
			"--all-netns with --netns or --pid: give one of them")
	case f.speed != "" && f.from == "":
		return misuse("--from FILE --speed 10", "--speed without --from")
	}
	if f.every != "" {
		f.interval, err = time.ParseDuration(f.every)
		if err != nil || f.interval < 100*time.Millisecond || f.interval > time.Hour {
			return misuse("write a number with its unit, from 100ms to 1h: --every 2s",
				"--every: %s is no such length of time", quoted(f.every))
		}
	}
	switch {
	case f.speed == "max":
		f.times = 0
	case f.speed != "":
		f.times, err = strconv.ParseFloat(f.speed, 64)
		if err != nil || !(f.times >= 1./16 && f.times <= 1024) {
			return misuse("give a number from 0.0625 to 1024, or max",
				"--speed: %s is none", quoted(f.speed))
		}
	}
	return f.source.conflict()
}
