//go:build linux

// Command maxconn-proofs tries all claims of maxconn prove on Debian's kernels in virtual machines.
// It is for those who maintain maxconn.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/internal/prove"
	"github.com/maxconn/maxconn/internal/render"
)

func main() {
	vm.Main()  // the init of a virtual machine
	lab.Main() // a process in a namespace of a trial
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C or SIGTERM ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses, as those of maxconn prove.
const (
	statusHolds       = 0
	statusDiffers     = 1
	statusUnknown     = 2
	statusUsage       = 64
	statusFailed      = 70
	statusInterrupted = 130
)

// app is one run of the program.
type app struct {
	stdout, stderr io.Writer
	status         int
	width          int // of a line of progress, 0 where nobody looks
}

// failure is an error for the user: what was tried on what, and what to do about it.
type failure struct {
	status int
	err    error
	hint   string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func misuse(hint, format string, args ...any) error {
	return &failure{statusUsage, fmt.Errorf(format, args...), hint}
}

// run is the whole program without a process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	a := &app{stdout: stdout, stderr: stderr}
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		a.width = progressWidth
	}
	c := a.command()
	c.SetArgs(args)
	c.SetOut(stdout)
	c.SetErr(stderr)
	err := c.ExecuteContext(ctx)
	var f *failure
	switch {
	case err == nil:
		return a.status
	case errors.Is(err, context.Canceled):
		return statusInterrupted
	case !errors.As(err, &f):
		f = &failure{statusFailed, err, ""}
	}
	fmt.Fprintf(stderr, "maxconn-proofs: error: %s\n", render.Clean(f.Error()))
	if f.hint != "" {
		fmt.Fprintf(stderr, "maxconn-proofs: hint: %s\n", render.Clean(f.hint))
	}
	return f.status
}

// flags are what was asked for.
type flags struct {
	kernels                 []string
	json, markdown, verbose bool
}

func (a *app) command() *cobra.Command {
	f := &flags{}
	c := &cobra.Command{
		Use:   "maxconn-proofs [claim|limit...]",
		Short: "try all claims of maxconn prove on Debian's kernels in virtual machines",
		Long: `maxconn-proofs boots Debian's kernels in virtual machines and tries there what maxconn
claims about the kernel, also what changes settings of a whole host. With names it tries only
those claims, or the claims about those limits (maxconn prove --list).

It needs qemu-system-x86 and no privileges. Kernels are fetched once, with the mirror that apt
uses, and believed only with a signature of Debian (packages gpgv, debian-archive-keyring). A
report that --json has saved is shown by maxconn prove --from.

Exit status: 0 all hold, 1 some differ, 2 some could not run, 64 bad usage, 70 failed.`,
		Example: `  maxconn-proofs
  maxconn-proofs --kernels 6.12 accept-queue
  maxconn-proofs --kernels 5.10,6.1,6.12,newest --json > run.json`,
		SilenceErrors: true, SilenceUsage: true,
		RunE: func(c *cobra.Command, args []string) error {
			return a.prove(c.Context(), f, args)
		},
	}
	c.Flags().StringSliceVar(&f.kernels, "kernels", []string{"all"},
		"run on these `kernels`: "+kernelSeries()+" or all")
	c.Flags().BoolVar(&f.json, "json", false, "write JSON")
	c.Flags().BoolVar(&f.markdown, "md", false, "write Markdown: docs/proofs.md")
	c.Flags().BoolVarP(&f.verbose, "verbose", "v", false,
		"show formula, evidence and control run")
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return misuse("maxconn-proofs --help lists the flags", "%w", err)
	})
	c.CompletionOptions.DisableDefaultCmd = true
	c.SetHelpCommand(&cobra.Command{Hidden: true})
	c.AddCommand(a.here())
	c.Args = cobra.ArbitraryArgs
	return c
}

func (a *app) prove(ctx context.Context, f *flags, args []string) error {
	if f.json && f.markdown {
		return misuse("one result has one form", "--json and --md: give one of them")
	}
	series, err := seriesOf(f.kernels)
	if err != nil {
		return err
	}
	if _, err := named(args); err != nil {
		return err
	}
	reports, err := a.onKernels(ctx, series, args)
	a.say("")
	if err != nil {
		return err
	}
	for _, r := range reports {
		a.note(r)
	}
	switch {
	case f.json:
		err = render.ProofsJSON(a.stdout, reports)
	case f.markdown:
		err = render.ProofsDoc(a.stdout, reports)
	default:
		err = render.ProofsText(a.stdout, reports,
			render.Style{Width: 100, Verbose: f.verbose})
	}
	if err != nil {
		return fmt.Errorf("write to the standard output: %w", err)
	}
	return nil
}

// named are the claims asked for, all without a name.
func named(args []string) ([]*prove.Claim, error) {
	if len(args) == 0 {
		return prove.Claims(), nil
	}
	claims, unknown := prove.Named(args)
	if unknown != "" {
		return nil, misuse("maxconn prove --list shows all claims",
			"there is no claim and no limit %s", strconv.Quote(unknown))
	}
	return claims, nil
}

// note keeps the exit status that says more: differing before not run before holding.
func (a *app) note(r prove.Report) {
	switch {
	case r.Count(prove.Differs) > 0:
		a.status = statusDiffers
	case r.Count(prove.CouldNotRun) > 0 && a.status == statusHolds:
		a.status = statusUnknown
	}
}

// progressWidth is what the line of progress covers.
const progressWidth = 99

// say puts words in the place of those before, "" nothing.
func (a *app) say(words string) {
	if a.width > 0 {
		line := words[:min(len(words), a.width)]
		fmt.Fprintf(a.stderr, "\r%s%s\r%s", line, strings.Repeat(" ", a.width-len(line)),
			line)
	}
}

// hereVerb is what the program is told to do in a machine.
const hereVerb = "here"

// here tries claims on the running kernel of a machine that may be spoiled.
func (a *app) here() *cobra.Command {
	return &cobra.Command{
		Use: hereVerb + " [claim...]",
		Short: "try claims on this kernel and write JSON: only in a machine that may " +
			"be spoiled",
		Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			return a.onThisKernel(c.Context(), args)
		},
	}
}

func (a *app) onThisKernel(ctx context.Context, args []string) error {
	if !vm.Inside() {
		return misuse("maxconn prove tries claims on this kernel",
			"%s is for virtual machines: it spoils the host that it runs on", hereVerb)
	}
	claims, err := named(args)
	if err != nil {
		return err
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return err
	}
	r, err := prove.Run(ctx, prove.Options{
		Claims: claims, Kernel: strings.TrimSpace(string(release)), Expendable: true,
		// The program that started the machine shows it.
		Progress: func(e prove.Event) {
			fmt.Fprintf(a.stderr, "%d of %d\n", e.Done, e.All)
		},
	})
	if err != nil {
		return err
	}
	a.note(*r)
	return render.ProofJSON(a.stdout, *r)
}
