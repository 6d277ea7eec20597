//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/load"
	"github.com/maxconn/maxconn/internal/render"
)

// serveFlags are what was asked of load serve.
type serveFlags struct {
	length, threads, backlog, answer, keep string
	echo, first, reset, oneTable, json     bool
	input, share                           bool
	readyTo                                string
}

func (a *app) loadServe() *cobra.Command {
	f := &serveFlags{}
	c := &cobra.Command{
		Use:   "serve ADDRESS:PORT[,PORT...]",
		Short: "accept connections and hold them until their clients close",
		Long: `serve accepts TCP connections, holds them, and answers what it reads if asked to.
It has a listening socket for each CPU on each port. :7000 is every address of this
host, IPv4 and IPv6.`,
		Example: `  maxconn load serve :7000
  maxconn load serve 127.0.0.1:7000-7003 --for 60s
  maxconn load serve 127.0.0.1:8080 --answer 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
  maxconn load serve 127.0.0.1:6379 --answer '+PONG\r\n'`,
		Args:              oneTarget,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(c *cobra.Command, args []string) error {
			return a.runServe(c.Context(), f, args[0])
		},
	}
	v := func(to *string, name, usage string) {
		c.Flags().Var(word{to}, name, usage)
		completeWith(c, name, nil)
	}
	v(&f.length, "for", "end after this `time`; with Ctrl-C where it is not given")
	v(&f.threads, "threads", "accept in so `many` threads; one a CPU where it is not given")
	v(&f.backlog, "backlog",
		"the `argument` of listen(); 65535 where it is not given, and the kernel cuts "+
			"it to net.core.somaxconn")
	v(&f.answer, "answer", "send these `bytes` for each read; \\r\\n and \\x00 are understood")
	c.Flags().BoolVar(&f.echo, "echo", false, "send back what was read")
	c.Flags().BoolVar(&f.first, "close-first", false,
		"close after the answer, or at once where there is none")
	c.Flags().BoolVar(&f.reset, "reset", false, "close with RST")
	c.Flags().BoolVar(&f.share, "share", false,
		"listen beside another program on the same port: the kernel gives each a part "+
			"of the connections")
	c.Flags().BoolVar(&f.oneTable, "one-table", false,
		"keep to this process's limit of open files")
	v(&f.keep, "keep-free", "stop accepting when free memory drops below this many `MiB`")
	v(&f.readyTo, "ready-to", "write a line to this `file` when all sockets listen")
	c.Flags().BoolVar(&f.input, "while-input", false, "end when the standard input does")
	// fail only for flags that do not exist
	_ = errors.Join(c.Flags().MarkHidden("ready-to"), c.Flags().MarkHidden("while-input"))
	c.Flags().BoolVar(&f.json, "json", false, "write JSON at the end")
	return c
}

func (a *app) runServe(ctx context.Context, f *serveFlags, text string) error {
	p := &parsed{}
	s := load.ServeSpec{
		Duration: p.time("--for", f.length), Threads: p.number("--threads", f.threads),
		Backlog: p.number("--backlog", f.backlog), Answer: p.bytes("--answer", f.answer),
		Echo: f.echo, CloseFirst: f.first, Reset: f.reset, OneTable: f.oneTable,
		KeepFree: int64(p.number("--keep-free", f.keep)) << 20, Ready: a.ready,
		Share:    f.share,
		Diagnose: true,
	}
	if p.err != nil {
		return p.err
	}
	if f.echo && f.answer != "" {
		return misuse("one read has one answer", "--echo and --answer: give one of them")
	}
	var err error
	if s.Listen, err = listenOn(ctx, text); err != nil {
		return misuse("write ADDRESS:PORT or :PORT", "%s: %w", quoted(text), err)
	}
	if f.readyTo != "" {
		// who waits for it gives up in time
		s.Ready = func([]netip.AddrPort) {
			_ = os.WriteFile(f.readyTo, []byte("ready\n"), 0o600)
		}
	}
	if f.input {
		var cancel context.CancelFunc
		ctx, cancel = a.whileInput(ctx)
		defer cancel()
	}
	live := a.live()
	s.Progress = live.show
	r, err := load.Serve(ctx, s)
	live.done()
	if errors.Is(err, load.ErrShared) {
		return &failure{statusFailed, err, "end that program, choose another port, or " +
			"give each a part of the connections with --share"}
	}
	if err != nil {
		return err
	}
	return a.write(func(w io.Writer) error {
		if f.json {
			return render.LoadJSON(w, r)
		}
		return render.LoadText(w, r, a.style(false))
	})
}

// listenOn reads :7000 as both families.
func listenOn(ctx context.Context, text string) ([]netip.AddrPort, error) {
	if !strings.HasPrefix(text, ":") {
		return targets(ctx, text)
	}
	four, err := targets(ctx, "0.0.0.0"+text)
	if err != nil || !load.HasIPv6() {
		return four, err
	}
	six, err := targets(ctx, "[::]"+text)
	return append(four, six...), err
}
