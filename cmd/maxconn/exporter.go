//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/prometheus/exporter-toolkit/web"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/infile"
	"github.com/maxconn/maxconn/internal/live"
	"github.com/maxconn/maxconn/internal/live/loop"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/maxconn/maxconn/internal/ui/exporter"
	"github.com/maxconn/maxconn/internal/ui/page"
)

// exporterFlags are what was asked of exporter.
type exporterFlags struct {
	source
	listen       []string
	config       string
	systemd      bool
	insecure     bool
	allNetns     bool
	destinations string
	series       string
	guarded      bool // the web configuration has TLS or users
}

func (a *app) exporter() *cobra.Command {
	f := &exporterFlags{destinations: string(live.FullDestinations), series: "5000"}
	c := &cobra.Command{
		Use:   "exporter",
		Short: "show use and ceilings to Prometheus",
		Long: `exporter shows to Prometheus, at /metrics, what limits this host's
connections: use and ceiling of each limit, refusals, accept queues with their highest
length since the last scrape, and the findings of check. It looks at listeners several
times a second and at all else as often as it may for less than 1 % of one processor, at
least once a minute; a scrape starts nothing.

At / is a page for people: verdict, findings, capacity, plots; /report.json is what
check --json prints.

It listens on this host only. Any other address needs TLS or users, by a web
configuration file as all exporters of Prometheus take it, or --insecure.

It changes nothing and needs no privileges; root sees the processes of others and may
enter other network namespaces.

Exit status: 0 ended by a signal, 64 bad usage, 70 failed.`,
		Example: `  maxconn exporter
  maxconn exporter --all-netns
  maxconn exporter --listen 0.0.0.0:28232 --web-config web.yml`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.runExporter(c.Context(), f)
		},
	}
	f.source.flags(c, "look at the network namespace of the process with this `id`")
	c.Flags().BoolVar(&f.allNetns, "all-netns", false,
		"look at each network namespace that can be seen, those that come later included")
	c.Flags().Var(wordList{to: &f.listen}, "listen",
		"answer on this `address`:port (repeatable; default "+exporter.DefaultListen+")")
	c.Flags().Var(word{&f.config}, "web-config",
		"read TLS and users from this `file`, in the format of exporter-toolkit")
	c.Flags().BoolVar(&f.systemd, "systemd-socket", false,
		"answer on the sockets that systemd hands over, in place of --listen")
	c.Flags().BoolVar(&f.insecure, "insecure", false,
		"let anybody read on an address that others can reach")
	c.Flags().Var(word{&f.destinations}, "destinations",
		"tell destinations with address and port (`full`), by port (ports), or not (off)")
	c.Flags().Var(word{&f.series}, "max-series",
		"show at most this `many` series, the fullest first")
	completeWith(c, "listen", nil)
	completeWith(c, "destinations", func() []cobra.Completion {
		return []cobra.Completion{"full", "ports", "off"}
	})
	return c
}

// exporterMemory is the heap at which the collector works harder, in bytes: the whole process
// stays below 64 MB.
const exporterMemory = 40 << 20

func (a *app) runExporter(ctx context.Context, f *exporterFlags) error {
	subject, series, err := f.subjects(ctx)
	if err != nil {
		return err
	}
	listeners, err := f.listeners()
	if err != nil {
		return err
	}
	defer func() {
		for _, l := range listeners {
			l.Close()
		}
	}()
	debug.SetGCPercent(50)
	debug.SetMemoryLimit(exporterMemory)
	state := live.New(live.Options{Series: series,
		Destinations: live.Destinations(f.destinations)})
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	o := exporter.Options{Version: version(), Config: f.config, Now: time.Now,
		Log: slog.New(slog.DiscardHandler), Pages: page.Add(time.Now)}
	surveys := make(chan error, 1)
	looped := make(chan struct{})
	go func() {
		defer close(looped)
		loop.New(loop.Options{Subject: subject, All: f.allNetns}, state).
			Run(ctx, func(err error) { surveys <- err })
	}()
	go a.inForce(ctx, f, state)
	served := make(chan error, 1)
	go func() {
		served <- exporter.Serve(ctx, listeners, exporter.Handler(state, o), o)
	}()
	err = a.attend(listeners, f.config, surveys, served, state)
	stop()
	<-looped
	return err
}

// looksAtJournal is how often the settings are compared that apply has written.
const looksAtJournal = time.Minute

// inForce compares what apply has written with what is there now, until ctx ends.
func (a *app) inForce(ctx context.Context, f *exporterFlags, state *live.State) {
	if f.netns != "" || f.pid != 0 {
		return // the journal is of this host
	}
	for {
		var all []live.Setting
		v, err := a.appliedHere()
		for _, c := range v.Checks {
			all = append(all, live.Setting{Name: withoutPID(c.Setting),
				Holds: c.Holds})
		}
		why := ""
		if err != nil {
			why = err.Error()
		}
		state.Applied(all, why)
		select {
		case <-ctx.Done():
			return
		case <-time.After(looksAtJournal):
		}
	}
}

func (a *app) appliedHere() (apply.Verified, error) {
	e, err := a.engine(journalFlags{})
	if err != nil {
		return apply.Verified{}, err
	}
	return e.Verify(false)
}

var pidWords = regexp.MustCompile(` ?\(pid \d+\)|\bpid \d+`)

// withoutPID makes a label of the name of a setting.
func withoutPID(setting string) string { return pidWords.ReplaceAllString(setting, "") }

// attend says where the exporter answers, and waits for its end.
func (a *app) attend(listeners []net.Listener, config string, surveys, served <-chan error,
	state *live.State) error {
	scheme := "http"
	if config != "" {
		scheme = "http(s)"
	}
	for _, l := range listeners {
		printf(a.stderr, "maxconn: exporter: %s://%s/metrics\n", scheme, l.Addr())
	}
	for {
		select {
		case err := <-served:
			return webError(err)
		case err := <-surveys:
			if err != nil && !errors.Is(err, context.Canceled) {
				return namespaceError(err)
			}
			surveys = nil
			p := state.Pace()
			printf(a.stderr, "maxconn: exporter: a survey takes %s of one "+
				"processor, the next one comes in %s\n",
				p.CPU.Round(100*time.Microsecond),
				p.Survey.Round(100*time.Millisecond))
		}
	}
}

// webError adds what to do about a web configuration that cannot be used.
func webError(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return &failure{statusFailed, fmt.Errorf("answer requests: %w", err), ""}
}

// subjects checks the flags, and says what to look at and how many series to show.
func (f *exporterFlags) subjects(ctx context.Context) (o observe.Options, series int, err error) {
	switch live.Destinations(f.destinations) {
	case live.FullDestinations, live.PortsOnly, live.NoDestinations:
	default:
		return o, 0, misuse("it is full, ports or off",
			"--destinations: %s is none of them", quoted(f.destinations))
	}
	series, err = strconv.Atoi(f.series)
	switch {
	case err != nil || series < 200 || series > 1_000_000:
		return o, 0, misuse("give a number from 200 to 1000000; 5000 is usual",
			"--max-series: %s is none", quoted(f.series))
	case f.systemd && len(f.listen) > 0:
		return o, 0, misuse("systemd has bound the sockets",
			"--listen and --systemd-socket: give one of them")
	case f.allNetns && (f.netns != "" || f.pid != 0):
		return o, 0, misuse("--all-netns looks at each network namespace",
			"--all-netns with --netns or --pid: give one of them")
	}
	if err := f.conflict(); err != nil {
		return o, 0, err
	}
	if err := f.webConfig(ctx); err != nil {
		return o, 0, err
	}
	o, err = f.subject()
	if o.Name != "" {
		o.Name = "observed" // a label holds no pid
		_, err := strconv.Atoi(f.netns)
		if f.pid == 0 && err != nil && !strings.Contains(f.netns, "/") {
			o.Name = f.netns
		}
	}
	return o, series, err
}

// largestWebConfig is more than certificates in a web configuration take, in bytes.
const largestWebConfig = 1 << 20

// webConfig says what is wrong with the web configuration file, and notes whether it asks who comes
// or hides what is sent.
func (f *exporterFlags) webConfig(ctx context.Context) error {
	if f.config == "" {
		return nil
	}
	const hint = "the format: https://prometheus.io/docs/prometheus/latest/configuration/https/"
	text, _, err := infile.Text(ctx, f.config, largestWebConfig)
	if err != nil {
		return inputError(f.config, err, hint)
	}
	if err := web.Validate(f.config); err != nil {
		return misuse(hint, "--web-config %s: %w", f.config, err)
	}
	var has struct {
		TLS   map[string]any    `yaml:"tls_server_config"`
		Users map[string]string `yaml:"basic_auth_users"`
	}
	if err := yaml.Unmarshal(text, &has); err != nil {
		return misuse(hint, "--web-config %s: %w", f.config, err)
	}
	f.guarded = len(has.TLS) > 0 || len(has.Users) > 0
	return nil
}

// listeners opens the addresses, or takes those of systemd.
func (f *exporterFlags) listeners() (all []net.Listener, err error) {
	if f.systemd {
		all, err = activation.Listeners()
		if err == nil && len(all) == 0 {
			return nil, misuse("a unit of type socket starts it: see systemd.socket(5)",
				"--systemd-socket: no socket was handed over")
		}
	} else {
		all, err = f.bound()
	}
	if err != nil {
		return nil, err
	}
	for _, l := range all {
		if !exporter.OnLoopback(l.Addr()) && !f.insecure && !f.guarded {
			return nil, misuse("--web-config with TLS or users, or --insecure",
				"listen on %s: others can reach it, and anybody could read it",
				l.Addr())
		}
	}
	return all, nil
}

func (f *exporterFlags) bound() (all []net.Listener, err error) {
	addresses := f.listen
	if len(addresses) == 0 {
		addresses = []string{exporter.DefaultListen}
	}
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err == nil {
			all = append(all, l)
			continue
		}
		for _, l := range all {
			l.Close()
		}
		e := &failure{statusUsage, fmt.Errorf("--listen: %w", err),
			"--listen takes an address of this host and a port: 127.0.0.1:28232"}
		if errors.Is(err, syscall.EADDRINUSE) {
			e.status, e.hint = statusFailed,
				"another exporter may run already; --listen takes another port"
		}
		return nil, e
	}
	return all, nil
}
