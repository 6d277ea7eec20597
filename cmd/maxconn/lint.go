package main

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/lint"
	"github.com/maxconn/maxconn/internal/render"
)

// lintFlags are what was asked of lint.
type lintFlags struct {
	source
	form
	all          bool
	parsed       bool
	kernel, root string
	failOn       []string
}

func (a *app) lint() *cobra.Command {
	f := &lintFlags{}
	c := &cobra.Command{
		Use:   "lint [file...]",
		Short: "say what each line of a tuning file does on this kernel",
		Long: `lint reads sysctl.d files, limits.conf, unit files, scripts, Dockerfiles, compose files,
Kubernetes, Ansible, Salt, Puppet, Chef, Terraform, Nix, cloud-init, Markdown, HTML and pasted
advice, and the configuration of nginx, HAProxy, Redis, MySQL, PostgreSQL, Apache, Envoy and
gunicorn. It says of each line that sets something what it does on this kernel and where that
stands: effective, no-effect, harmful, gone, below-default, out-of-bounds, overridden by
another line, duplicate, unknown-value where a template or a shell makes it, or unknown-key
with the nearest real name. It changes nothing.

What is set for a container or a pod is judged as such. Of what a program asks of the kernel
lint says what the kernel gives, and which of the two binds first.

Without a file it reads what this host reads at boot: the sysctl.d directories, sysctl.conf,
limits.conf and limits.d, rc.local. Files of sysctl.d are judged together, by their names, as
systemd-sysctl and sysctl --system order them; a directory stands for all
files below it that lint knows by their name, and - is the standard input.

Verdicts are for the running kernel and this host, for those of a snapshot (--from), or for a
kernel of which nothing else is known (--kernel 4.9). Settings that have nothing to do
with connections are skipped (--all shows them).

What a file includes (nginx, MySQL, Redis, PostgreSQL, Apache, TuneD, sysctl -p FILE) is read where
it is among the files, or below the directories, that were given, and else named as not read. A
file in which no setting is recognised is not judged, and not clean; nor is one with a line that
names a setting and a number in a form that lint does not know. --explain-parse shows what was read
from where.

Exit status: 0 no line has a fault, 1 some line has (see --fail-on), 2 none has, but a file of the
system could not be read, 3 none has, but not all was judged: in some file no setting was
recognised, or it refers to what was not read, 64 bad usage, 70 failed. With --fail-on none it is
never 1 or 3.`,
		Example: `  maxconn lint
  maxconn lint /etc/sysctl.d/99-tuning.conf
  maxconn lint --kernel 6.1 --sarif roles/*/files/sysctl.d > lint.sarif
  maxconn lint --from box.txt --fail-on harmful,gone tuning.conf
  wget -qO- example.org/tuning.txt | maxconn lint -`,
		RunE: func(c *cobra.Command, args []string) error {
			return a.runLint(c.Context(), f, args)
		},
	}
	c.Flags().BoolVar(&f.json, "json", false, "write JSON")
	c.Flags().BoolVar(&f.sarif, "sarif", false,
		"write SARIF 2.1.0, for code review: faults only")
	c.Flags().BoolVar(&f.all, "all", false,
		"show settings that have nothing to do with connections as well")
	c.Flags().BoolVar(&f.parsed, "explain-parse", false,
		"show what was read from where, and no verdicts")
	c.Flags().Var(word{&f.kernel}, "kernel",
		"judge for this kernel `release` or distribution, such as 4.9 or el8, with "+
			"nothing else known")
	c.Flags().Var(word{&f.root}, "root",
		"without a file: read the files of the system below this `directory`")
	c.Flags().Var(wordList{&f.failOn, true}, "fail-on",
		"exit with 1 only for these `verdicts`; none: never (every fault, where this "+
			"is not given)")
	f.source.flags(c, "judge for the network namespace of the process with this `id`")
	f.fileFlag(c)
	completeWith(c, "kernel", kernelNames)
	completeWith(c, "fail-on", verdictNames)
	return c
}

// checkKernel is what is wrong with the value of --kernel, beside the flags that say where facts
// come from.
func checkKernel(kernel string, from source) error {
	switch _, err := host.ReleaseNamed(kernel); {
	case kernel == "":
		return nil
	case from.from != "" || from.netns != "" || from.pid != 0:
		return misuse("--kernel is for a kernel of which nothing else is known",
			"--kernel with --from, --netns or --pid: give one of them")
	case err != nil:
		return misuse("write a release such as 4.9 or 6.1.0-13-amd64, or one of "+
			strings.Join(host.DistributionNames(), ", "),
			"--kernel: %s is not a kernel release", quoted(kernel))
	}
	return nil
}

// kernelNames are the distributions that --kernel takes.
func kernelNames() (names []cobra.Completion) { return host.DistributionNames() }

func verdictNames() (names []cobra.Completion) {
	for _, v := range lint.Verdicts {
		names = append(names, cobra.Completion(v))
	}
	return append(names, "none")
}

func (a *app) runLint(ctx context.Context, f *lintFlags, args []string) error {
	fatal, err := f.check(args)
	if err != nil {
		return err
	}
	files, err := interruptible(ctx, func() ([]lint.File, error) {
		return a.lintFiles(ctx, f, args)
	})
	if err != nil {
		return err
	}
	target, err := a.lintTarget(ctx, f)
	if err != nil {
		return err
	}
	target.Boot = len(args) == 0
	target.Include = included(ctx, args)
	r, err := computed(ctx, func() lint.Report {
		if r := lint.Lint(files, target); f.all {
			return r
		} else {
			return r.Brief()
		}
	})
	if err != nil {
		return err
	}
	switch { // a fault outweighs what is unknown, as in check
	case f.failOn == nil && r.Faults() > 0 || len(fatal) > 0 && r.Faults(fatal...) > 0:
		a.status = statusBinds
	case len(r.Unread) > 0:
		a.status = statusUnknown
	case (f.failOn == nil || len(fatal) > 0) && r.Partial():
		a.status = statusNotJudged
	}
	shown := render.LintText
	if f.parsed {
		shown = render.LintParsed
	}
	return show(a, f.form, f.all, r, forms[lint.Report]{
		text: shown, json: render.LintJSON,
		sarif: func(w io.Writer, r lint.Report) error {
			return render.LintSARIF(w, r, version())
		},
	})
}

// check is what is wrong with a combination of flags; fatal are the verdicts of --fail-on.
func (f *lintFlags) check(args []string) (fatal []lint.Verdict, err error) {
	if err := f.form.conflict(); err != nil {
		return nil, err
	}
	if err := checkKernel(f.kernel, f.source); err != nil {
		return nil, err
	}
	switch {
	case f.root != "" && len(args) > 0:
		return nil, misuse("--root reads the files of a whole system",
			"--root with files: give one of them")
	case f.from == "-" && slices.Contains(args, "-"):
		return nil, misuse("write one of them to a file",
			"--from - and the file -: both are the standard input")
	}
	for _, name := range f.failOn {
		v, ok := verdictOf(name)
		if !ok {
			return nil, misuse("verdicts are "+listOfVerdicts(),
				"--fail-on: there is no verdict %s", quoted(name))
		}
		if v != "" {
			fatal = append(fatal, v)
		}
	}
	return fatal, nil
}

// verdictOf is a verdict by its name, "" for none.
func verdictOf(name string) (lint.Verdict, bool) {
	if name == "none" {
		return "", true
	}
	for _, v := range lint.Verdicts {
		if string(v) == name {
			return v, true
		}
	}
	return "", false
}

func listOfVerdicts() string {
	var names []string
	for _, v := range lint.Verdicts {
		if v.Fault() {
			names = append(names, string(v))
		}
	}
	return strings.Join(names, ", ") + " and none"
}

// lintTarget is the kernel to judge for.
func (a *app) lintTarget(ctx context.Context, f *lintFlags) (lint.Target, error) {
	if f.kernel != "" {
		return lint.Target{Kernel: f.kernel}, nil
	}
	s, err := a.snapshot(ctx, f.source)
	if err != nil {
		return lint.Target{}, err
	}
	t := lint.Target{Snapshot: s}
	if f.from == "" && f.netns == "" && f.pid == 0 {
		t.Has = kernelHas
	}
	return t, nil
}

// kernelHas asks /proc/sys for settings that lint does not know: those of modules and of a
// vendor's kernel.
func kernelHas(name string) bool {
	file, err := knob.File(name)
	if err != nil {
		return false
	}
	info, err := os.Lstat(knob.Dir + file)
	return err == nil && info.Mode().IsRegular()
}
