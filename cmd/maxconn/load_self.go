//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/role"
	"github.com/maxconn/maxconn/internal/load"
	"github.com/maxconn/maxconn/internal/load/result"
)

// loadSelf runs load pair in a network namespace of its own: nobody else's ports, queues or
// TIME_WAIT are touched, and whatever is left is gone with the namespace.
func (a *app) loadSelf(c *cobra.Command, f *loadFlags) error {
	if !f.self {
		return misuse(
			"maxconn load --self, maxconn load connect HOST:PORT, or maxconn load "+
				"serve :PORT", "no target: use --self, load connect or load serve")
	}
	if len(f.sources) > 0 || f.device != "" || f.gateway != "" {
		return misuse("omit them, or load connect",
			"--self has a network of its own: --source, --device and --gateway "+
				"would not be used")
	}
	s, err := f.spec(c.Context())
	if err != nil {
		return err
	}
	if err := s.Check(true); err != nil {
		return &failure{statusUsage, err, "maxconn load --help shows examples"}
	}
	l, err := lab.Start(context.WithoutCancel(c.Context()))
	if err != nil {
		f := &failure{statusFailed, err, ""}
		if errors.Is(err, lab.ErrUnavailable) {
			f.hint = "run as root, allow user namespaces, or load serve and load " +
				"connect on loopback"
		}
		return f
	}
	defer l.Close()
	if err := prepareLab(l); err != nil {
		return err
	}
	if f.raw {
		return a.selfRaw(c, f, s, l)
	}
	r, status, err := a.pairIn(c.Context(), l,
		append([]string{"load", "pair", "--json"}, passed(c)...))
	if err != nil || r == nil {
		a.status = status
		return err
	}
	return a.loaded(f, r)
}

// prepareLab gives the namespace all the ports, and queues that are not the subject.
func prepareLab(l *lab.Lab) error {
	for _, s := range [][2]string{{"net.ipv4.ip_local_port_range", "1024 65535"},
		{"net.core.somaxconn", "65535"}} {
		if err := l.Set(s[0], s[1]); err != nil {
			return err
		}
	}
	return nil
}

// passed are the flags that the inner program is to have, too.
func passed(c *cobra.Command) (args []string) {
	c.Flags().Visit(func(f *pflag.Flag) {
		if slices.Contains([]string{"self", "json", "csv", "html", "device", "source",
			"gateway"}, f.Name) {
			return
		}
		args = append(args, "--"+f.Name+"="+f.Value.String())
	})
	return args
}

// pairIn runs the program itself in the lab and reads its report. Its report is nil where
// it has said on the standard error what was wrong.
func (a *app) pairIn(ctx context.Context, l *lab.Lab, argv []string) (*result.Report, int, error) {
	live := a.live()
	samples, err := live.from()
	if err != nil {
		return nil, statusFailed, err
	}
	defer samples.Close()
	asking, stop := io.Pipe() // the inner program ends orderly when its standard input does
	defer stop.Close()
	defer context.AfterFunc(ctx, func() { stop.Close() })()
	// It has a minute to close what it holds; then the lab ends it.
	bounded, cancel := boundedAfter(ctx, time.Minute)
	defer cancel()
	argv = append([]string{"/proc/self/exe"}, argv...)
	before, _ := load.GroupRoom()
	out, err := l.Run(bounded, asking, append(argv, "--while-input=true",
		"--samples="+samples.name)...)
	samples.Close() // no line is shown after it
	live.done()
	if err != nil {
		return nil, statusFailed, err
	}
	for line := range strings.Lines(string(out.Stderr)) {
		printf(a.stderr, "%s\n", strings.TrimSuffix(line, "\n"))
	}
	r, err := reported(out)
	if after, ok := load.GroupRoom(); ok && err != nil && after.Kills > before.Kills {
		return nil, statusFailed, &failure{statusFailed, fmt.Errorf("%w: cgroup %s may "+
			"have %d MiB of memory, and the kernel killed for it (memory.events "+
			"oom_kill)", err, after.Path, after.Limit>>20),
			"take fewer --connections, or give the cgroup more memory"}
	}
	if err != nil && out.Code != 0 && len(out.Stderr) > 0 {
		return nil, out.Code, nil
	}
	if err != nil {
		return nil, statusFailed, err
	}
	return r, out.Code, nil
}

// reported is the report that a load in a lab wrote. One that says of itself that its goal
// was missed, and not what of it, is no report of this program.
func reported(out lab.Output) (*result.Report, error) {
	var r result.Report
	err := json.Unmarshal(out.Stdout, &r)
	switch {
	case err != nil:
	case r.Schema != result.Schema:
		err = fmt.Errorf("its schema is %s", quoted(r.Schema))
	case r.GoalMet != (len(r.Missed) == 0):
		err = fmt.Errorf("it says goal_met %v and missed %q", r.GoalMet, r.Missed)
	default:
		return &r, nil
	}
	if out.Code > signalled {
		return nil, fmt.Errorf("the load in the lab was killed by signal %d",
			out.Code-signalled)
	}
	return nil, fmt.Errorf("the load in the lab ended with status %d and without a report: %w",
		out.Code, err)
}

// signalled is what a lab adds to the number of the signal that ended a program.
const signalled = 128

// boundedAfter is a context that ends some time after ctx does.
func boundedAfter(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	bounded, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })
	return bounded, func() { stop(); cancel() }
}

// fifo is where the inner program writes its samples, a line of JSON each; "" and nothing
// where nobody looks.
type fifo struct {
	name  string
	file  *os.File
	shown sync.WaitGroup
}

// from shows the samples that are written to the pipe.
func (l *liveLine) from() (*fifo, error) {
	if l.w == nil {
		return &fifo{name: os.DevNull}, nil
	}
	dir, err := os.MkdirTemp("", "maxconn-load-")
	if err != nil {
		return nil, err
	}
	f := &fifo{name: filepath.Join(dir, "samples")}
	if err := syscall.Mkfifo(f.name, 0o600); err != nil {
		f.Close()
		return nil, fmt.Errorf("make a pipe %s: %w", f.name, err)
	}
	if f.file, err = os.OpenFile(f.name, os.O_RDWR, 0); err != nil {
		f.Close()
		return nil, err
	}
	f.shown.Go(func() {
		d := json.NewDecoder(f.file)
		for {
			var s result.Sample
			if d.Decode(&s) != nil {
				return
			}
			l.show(s)
		}
	})
	return f, nil
}

// Close removes the pipe, and waits for who reads it. It may be called twice.
func (f *fifo) Close() {
	if f.file != nil {
		f.file.Close()
		f.shown.Wait()
	}
	if f.name != os.DevNull {
		os.RemoveAll(filepath.Dir(f.name))
	}
}

// loadPair is both ends in this network namespace: what --self runs inside.
func (a *app) loadPair() *cobra.Command {
	f := &loadFlags{}
	c := &cobra.Command{
		Use: "pair",
		Short: "open connections from this process to itself, in the network " +
			"namespace that it is in",
		Hidden: true,
		Args:   noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.runPair(c.Context(), f)
		},
	}
	f.register(c)
	f.inside.register(c)
	return c
}

// inside are flags of a load that another maxconn runs in a lab.
type inside struct {
	samples string
	input   bool
}

func (i *inside) register(c *cobra.Command) {
	c.Flags().Var(word{&i.samples}, "samples", "write the samples to this `file`")
	c.Flags().BoolVar(&i.input, "while-input", false, "end when the standard input does")
	// fail only for flags that do not exist
	_ = errors.Join(c.Flags().MarkHidden("samples"), c.Flags().MarkHidden("while-input"))
}

// begin gives the spec and the context what the flags ask for; the result ends it.
func (i *inside) begin(ctx context.Context, a *app, s *load.Spec) (context.Context, func(), error) {
	end := func() {}
	if i.samples != "" {
		out, err := os.OpenFile(i.samples, os.O_WRONLY, 0)
		if err != nil {
			return ctx, end, err
		}
		end = func() { out.Close() }
		e := json.NewEncoder(out)
		// a display that is gone is no reason to end
		s.Progress = func(one result.Sample) { _ = e.Encode(one) }
	}
	if i.input {
		bounded, cancel := a.whileInput(ctx)
		closing := end
		return bounded, func() { cancel(); closing() }, nil
	}
	return ctx, end, nil
}

func (a *app) runPair(ctx context.Context, f *loadFlags) error {
	if role.Secure() {
		return &failure{
			statusFailed,
			role.ErrSecure,
			"maxconn load --self as root, or without capabilities in a user namespace",
		}
	}
	s, err := f.spec(ctx)
	if err != nil {
		return err
	}
	ctx, end, err := f.inside.begin(ctx, a, &s)
	if err != nil {
		return err
	}
	defer end()
	return a.runLoad(ctx, f, s, load.Pair, true)
}

// whileInput is a context that ends with the standard input.
func (a *app) whileInput(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, a.stdin) // however it ends, it ends
		cancel()
	}()
	return ctx, cancel
}

// foresee says before anything is opened which limit will stop the run, at which number;
// with --fit it asks for no more than that. What everybody on the host shares is not tried:
// too little memory, or too few files in fs.file-max, harms others.
func (a *app) foresee(ctx context.Context, f *loadFlags, s *load.Spec, both bool) error {
	if s.Mode == result.Churn {
		return nil
	}
	forecast, err := load.Foresee(ctx, *s, both)
	if err != nil {
		return &failure{statusUsage, err, "maxconn load --help shows examples"}
	}
	return a.within(f, s, forecast)
}

// within holds a run to a forecast, or says that it is more.
func (a *app) within(f *loadFlags, s *load.Spec, forecast load.Forecast) error {
	low, ok := forecast.Tightest(s.Connections)
	switch {
	case !f.fit && tooMuch(forecast, s.Connections) != "":
		return misuse(
			"--fit opens as many as fit, and as root more than fs.file-max, while "+
				"others can open nothing; --keep-free leaves less memory free",
			"%d connections need %s", s.Connections, tooMuch(forecast, s.Connections))
	case !ok:
		return nil
	case f.fit && low.Connections == 0:
		return &failure{statusBinds, fmt.Errorf("not one connection fits: %s (%s)",
			low.Limit, low.Why), ""}
	case f.fit:
		printf(a.stderr, "maxconn: %d connections fit: %s (%s)\n", low.Connections,
			low.Limit, low.Why)
		s.Connections = low.Connections
		for _, c := range forecast.Ceilings {
			if c.Spared && c.Connections < s.Connections {
				printf(a.stderr,
					"maxconn: that is more than %s leaves: until the end, "+
						"programs without CAP_SYS_ADMIN may be unable "+
						"to open files\n", c.Number)
			}
		}
	default:
		printf(a.stderr, "maxconn: %s will stop this at %d connections: %s\n", low.Limit,
			low.Connections, low.Why)
	}
	return nil
}

// tooMuch says what of the host's is not enough for that many connections, "" for nothing.
func tooMuch(forecast load.Forecast, wanted int64) string {
	var said []string
	for _, c := range forecast.Ceilings {
		if c.Common != "" && c.Connections < wanted {
			said = append(said, fmt.Sprintf("%s (%s)", c.Common, c.Why))
		}
	}
	return strings.Join(said, "; and ")
}

// loadWorker is a worker process of a load.
func (a *app) loadWorker() *cobra.Command {
	return &cobra.Command{
		Use:    "worker",
		Short:  "do what the standard input says; load starts it",
		Hidden: true,
		Args:   noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return load.Work(c.Context(), a.stdin, a.stdout)
		},
	}
}
