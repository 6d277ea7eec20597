//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/maxconn/maxconn/internal/load"
	"github.com/maxconn/maxconn/internal/load/result"
	"github.com/maxconn/maxconn/internal/render"
)

func (a *app) loadVerb() *cobra.Command {
	f := &loadFlags{}
	c := &cobra.Command{
		Use:   "load",
		Short: "open and hold connections, as many and as fast as the kernel allows",
		Long: `load opens TCP connections and says what was reached, what each cost, and which limit
stopped it. Any server may be the target; load serve is one, and --self is both ends
in one command, in a network namespace of its own that goes away with it.

With --connections that many are held at one time; with --rate, or neither, they are
opened and closed all the time. Where one address has too few ports, give more with
--source; over loopback all of 127.0.0.0/8 are used without being asked for. The
limit of open files binds for each thread, not for the whole program (--one-table
keeps to it).

Only loopback, addresses of this host and --self are loaded, from addresses of this
host, unless you declare that the target is yours; all addresses of a name count. --raw
needs that declaration always, because its frames go to any host that answers on the device,
and --i-own-the-sources for sources that this host does not have: they are used only
where no other host answers for them. Ctrl-C closes all connections and prints what was
reached.

Exit status: 0 the goal was met, 1 it was not, 64 bad usage, 70 failed, 130
interrupted: what was reached until then is shown.`,
		Example: `  maxconn load --self
  maxconn load --self --connections 1M --hold 60s
  maxconn load serve :7000
  maxconn load connect 127.0.0.1:7000 --connections 100k --ramp 20k/s --hold 10s
  maxconn load connect 127.0.0.1:6379 --rate 5k/s --for 30s --send 'PING\r\n' --expect 7
  maxconn load connect 10.0.0.9:443 --source 10.0.0.1-10.0.0.50 --connections 1M --i-own-the-target`,
		Args: verbOrNothing,
		RunE: func(c *cobra.Command, _ []string) error { return a.loadSelf(c, f) },
	}
	f.register(c)
	c.Flags().BoolVar(&f.self, "self", false,
		"load this host with itself: both ends in a network namespace of their own")
	c.AddCommand(a.loadConnect(), a.loadServe(), a.loadPair(), a.loadWorker())
	return c
}

// verbOrNothing is for a verb that has verbs of its own.
func verbOrNothing(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return misuse(c.CommandPath()+" --help lists the verbs", "%s has no verb %s",
		c.CommandPath(), quoted(args[0]))
}

func (a *app) loadConnect() *cobra.Command {
	f := &loadFlags{}
	c := &cobra.Command{
		Use:   "connect HOST:PORT[,PORT...]",
		Short: "open connections to a server",
		Long: `connect opens connections to any TCP server. Several ports of the same host multiply
the connections that one source address can have.`,
		Example: `  maxconn load connect 127.0.0.1:7000 --connections 20k --hold 10s
  maxconn load connect 127.0.0.1:7000-7003 --connections 200k
  maxconn load connect [::1]:80 --rate 10k/s --for 10s --close fin`,
		Args:              oneTarget,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			return a.runConnect(c.Context(), f, args[0])
		},
	}
	f.register(c)
	f.inside.register(c)
	return c
}

func oneTarget(c *cobra.Command, args []string) error {
	if len(args) == 1 {
		return nil
	}
	return misuse("for example "+c.CommandPath()+" 127.0.0.1:7000", "%s takes one HOST:PORT",
		c.CommandPath())
}

func (a *app) runConnect(ctx context.Context, f *loadFlags, text string) error {
	s, err := f.spec(ctx)
	if err != nil {
		return err
	}
	to, err := resolve(ctx, text)
	if err != nil {
		return misuse("write HOST:PORT, HOST:PORT,PORT or HOST:FIRST-LAST", "%s: %w",
			quoted(text), err)
	}
	s.Targets = to.targets()
	s.Sources = load.OfFamily(s.Sources, to.addrs[0].Is4())
	if len(f.sources) > 0 && len(s.Sources) == 0 {
		return misuse("give addresses of the family of the target",
			"--source: no address to reach %s from", to.addrs[0])
	}
	raw, err := f.rawOf(s)
	if err != nil {
		return err
	}
	if err := f.permit(to.addrs, s.Sources, &raw); err != nil {
		return err
	}
	ctx, end, err := f.inside.begin(ctx, a, &s)
	if err != nil {
		return err
	}
	defer end()
	if f.raw {
		return a.runRaw(ctx, f, s, raw)
	}
	return a.runLoad(ctx, f, s, load.Connect, false)
}

// runLoad runs one end and writes what it reached.
func (a *app) runLoad(ctx context.Context, f *loadFlags, s load.Spec,
	run func(context.Context, load.Spec) (*result.Report, error), both bool) error {
	if err := a.foresee(ctx, f, &s, both); err != nil {
		return err
	}
	live := a.live()
	if s.Progress == nil {
		s.Progress = live.show
	}
	r, err := run(ctx, s)
	live.done()
	if err != nil {
		return &failure{statusUsage, err, "maxconn load --help shows examples"}
	}
	return a.loaded(f, r)
}

// loaded writes a report in the form that is wanted.
func (a *app) loaded(f *loadFlags, r *result.Report) error {
	switch {
	case r.Stopped == "interrupted":
		a.status = statusInterrupted
	case !r.GoalMet:
		a.status = statusBinds
	}
	err := f.files(r)
	return errors.Join(err, a.write(func(w io.Writer) error {
		if f.json {
			return render.LoadJSON(w, r)
		}
		return render.LoadText(w, r, a.style(false))
	}))
}

// places refuses files that cannot be written, before the load rather than after it.
func (f *loadFlags) places() error {
	for flag, name := range map[string]string{"--csv": f.csv, "--html": f.html} {
		if name == "" {
			continue
		}
		dir := filepath.Dir(name)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return misuse("give a file in a directory that exists",
				"%s: there is no directory %s", flag, quoted(dir))
		}
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			return misuse("give the name of a file", "%s: %s is a directory", flag,
				quoted(name))
		}
		if err := writable("the output", flag, name); err != nil {
			return err
		}
	}
	return nil
}

// files writes the series and the page, where they are wanted.
func (f *loadFlags) files(r *result.Report) error {
	for name, write := range map[string]func(io.Writer,
		*result.Report) error{f.csv: render.LoadCSV, f.html: render.LoadHTML} {
		if name == "" {
			continue
		}
		var text strings.Builder
		if err := write(&text, r); err != nil {
			return err
		}
		if err := writeFile(name, []byte(text.String())); err != nil {
			return err
		}
	}
	return nil
}

// liveLine is the line that shows how a run goes, on a terminal only.
type liveLine struct {
	w     io.Writer
	width int
}

func (a *app) live() *liveLine {
	fd, ok := terminal(a.stderr)
	if !ok {
		return &liveLine{}
	}
	l := &liveLine{a.stderr, usualWidth}
	if width, _, err := term.GetSize(fd); err == nil && width > 0 {
		l.width = width - 1 // a line that fills the last column may wrap
	}
	return l
}

func (l *liveLine) show(s result.Sample) {
	if l.w != nil {
		line := "maxconn: " + render.LoadLine(s)
		printf(l.w, "\r%-*s", l.width, line[:min(len(line), l.width)])
	}
}

func (l *liveLine) done() {
	if l.w != nil {
		printf(l.w, "\r%*s\r", l.width, "")
	}
}

// rate reads 20k, 20k/s.
func rate(text string) (float64, error) {
	n, err := parseCount(strings.TrimSuffix(text, "/s"))
	return float64(n), err
}

// bytesOf reads text with the escapes of Go and C: GET / HTTP/1.0\r\n\r\n. What a shell has
// made a byte of already is that byte.
func bytesOf(text string) (out []byte, err error) {
	for text != "" {
		if text[0] != '\\' {
			out, text = append(out, text[0]), text[1:]
			continue
		}
		if len(text) > 1 && strings.ContainsRune(`"'`, rune(text[1])) {
			out, text = append(out, text[1]), text[2:]
			continue
		}
		r, multibyte, rest, err := strconv.UnquoteChar(text, 0)
		if err != nil {
			return nil, err
		}
		if multibyte {
			out = utf8.AppendRune(out, r)
		} else {
			out = append(out, byte(r))
		}
		text = rest
	}
	return out, nil
}

// ready says on the standard error where a server listens.
func (a *app) ready(at []netip.AddrPort) {
	for _, p := range at {
		printf(a.stderr, "maxconn: listening on %s\n", p)
	}
}
