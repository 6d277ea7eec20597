//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/trust"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/render"
)

func (a *app) statusVerb() *cobra.Command {
	f := &journalFlags{}
	c := &cobra.Command{
		Use:   "status",
		Short: "say what apply has changed and what became of it",
		Long: `status compares what apply has written, and was not rolled back, with what is there
now: as applied, as before, or changed by somebody else since. It changes nothing.

Exit status: 0 all is settled, 1 a run waits for a confirmation, was interrupted,
or somebody else changed something, 64 bad usage, 70 failed.`,
		Example: "  maxconn status",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			e, err := a.engine(*f)
			if err != nil {
				return err
			}
			s, err := e.Status()
			if err != nil {
				return applyError(err)
			}
			if !s.Settled() {
				a.status = statusLeft
			}
			if f.json {
				return a.writeJSON(s)
			}
			return a.lines(func(w io.Writer) error { return showStatus(w, s, *f) })
		},
	}
	f.flags(c)
	return c
}

func showStatus(w io.Writer, s apply.Status, f journalFlags) error {
	var b strings.Builder
	if len(s.Runs) == 0 && len(s.Unreadable) == 0 {
		b.WriteString("nothing is applied" + byWhom() + "\n")
	}
	for _, r := range s.Runs {
		printf(&b, "run %d, %s: %s\n", r.Run, r.Started.Local().Format(time.DateTime),
			whatOf(r, f))
		if r.State == apply.Rebooted || r.State == apply.Over {
			continue
		}
		for _, c := range r.Changes {
			printf(&b, "  %s: %s\n", render.Clean(c.Setting), nowOf(c))
		}
		for _, f := range r.Files {
			printf(&b, "  %s: %s\n", render.Clean(f.Path), f.Now)
		}
	}
	for _, u := range s.Unreadable {
		printf(&b, "%s\n", u)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// byWhom says that another user's journal is another one.
func byWhom() string {
	if os.Geteuid() == 0 {
		return ""
	}
	return " by this user; what root applied, root sees"
}

// whatOf says what a run has come to, and what to do about it.
func whatOf(r apply.RunStatus, f journalFlags) string {
	undo, keep := f.verb("rollback "+strconv.Itoa(r.Run)), f.verb("confirm")
	switch r.State {
	case apply.Pending:
		if !r.Guarded {
			return fmt.Sprintf(
				"waits %d s more for %s; nothing would roll it back then: %s",
				r.SecondsLeft, keep, undo)
		}
		return fmt.Sprintf("rolled back in %d s unless confirmed: %s", r.SecondsLeft, keep)
	case apply.Overdue:
		return "nobody confirmed in time, and it was not rolled back: " + undo
	case apply.Interrupted:
		text := "interrupted"
		if r.Why != "" {
			text += ", " + render.Clean(r.Why)
		}
		return text + ": " + undo
	case apply.Persisting:
		return "in effect, but not for the next boot: " + keep + " writes the files"
	case apply.Over:
		return "it ended with its network namespace, nothing of it is left"
	case apply.Rebooted:
		return "it ended with its boot, nothing of it is left"
	}
	return string(r.State)
}

func nowOf(c apply.ChangeStatus) string {
	switch c.Now {
	case apply.NowNew:
		return fmt.Sprintf("%s, was %s", value(c.Value), value(c.From))
	case apply.NowOld:
		return value(c.Value) + ", as before"
	case apply.NowLater:
		return fmt.Sprintf("%s, by a later run; it was %s, and %s was applied",
			value(c.Value), value(c.From), value(c.Wanted))
	case apply.NowOther:
		applied := c.Wanted
		if c.Became != "" {
			applied = c.Became
		}
		return fmt.Sprintf(
			"%s, changed by somebody else since: it was %s, and %s was applied",
			value(c.Value), value(c.From), value(applied))
	case apply.NowGone:
		return because("gone", c.Why)
	}
	return "cannot be seen: " + render.Clean(c.Why)
}

// because adds a reason where there is one.
func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + render.Clean(why)
}

// journalFlags are those of all verbs that work on the journal.
type journalFlags struct {
	dir, netns string
	json       bool
}

// verb is a command line that finds the same journal; that knows its namespace.
func (f journalFlags) verb(words string) string {
	words = "maxconn " + words
	if f.dir != "" {
		dir, err := filepath.Abs(f.dir)
		if err != nil {
			dir = f.dir
		}
		words += " --state-dir " + encode.CommandWord(dir)
	}
	return words
}

func (f *journalFlags) flags(c *cobra.Command) {
	c.Flags().Var(word{&f.dir}, "state-dir",
		"keep the journal in this `directory` instead of /var/lib/maxconn, or "+
			"$XDG_STATE_HOME/maxconn for users other than root")
	c.Flags().Var(word{&f.netns}, "netns",
		"work in this network namespace: its `name`, a path, or a process ID")
	c.Flags().BoolVar(&f.json, "json", false, "write JSON")
	// fails only for a flag that does not exist
	_ = c.RegisterFlagCompletionFunc("netns", completeNamespaces)
}

// engine opens the journal and the kernel, seen from the wanted namespace. That is looked up here
// and held until the program ends.
func (a *app) engine(f journalFlags) (*apply.Engine, error) {
	dir, err := f.directory(a.env)
	if err != nil {
		return nil, err
	}
	path, err := f.namespace()
	if err != nil {
		return nil, err
	}
	e, err := apply.Open(dir, path)
	if err != nil {
		return nil, namespaceError(err)
	}
	return equipped(e, path), nil
}

// directory is the absolute path of the state directory.
func (f journalFlags) directory(env func(string) string) (string, error) {
	dir := f.dir
	if dir == "" {
		dir = apply.DefaultDir(os.Geteuid(), env)
	}
	if dir == "" {
		return "", misuse(
			"say where: --state-dir DIRECTORY",
			"the journal has no place: neither HOME nor XDG_STATE_HOME is set",
		)
	}
	return filepath.Abs(dir)
}

// equipped gives an engine what it writes for the next boot, and the process that awaits a
// confirmation. name is how the namespace was found; nothing looks there again.
func equipped(e *apply.Engine, name netns.Path) *apply.Engine {
	e.Files = func(p plan.Plan) ([]persist.File, error) { return filesFor(p, e.Namespace()) }
	e.NextBoot, e.Owns = atNextBoot, persist.Owns
	files := sync.OnceValue(func() func(key, value string) string {
		return persist.SetBy(os.DirFS("/"))
	})
	e.SetBy = func(key, value string) string { return files()(key, value) }
	e.Guard = func(id int) (int, error) {
		args := []string{awaitVerb, "--state-dir", e.Dir, strconv.Itoa(id)}
		if name != "" {
			args = append(args, "--netns", string(name))
		}
		return e.Detach("/proc/self/exe", args)
	}
	return e
}

// namespace is the absolute path of --netns, "" for the own one.
func (f journalFlags) namespace() (netns.Path, error) {
	if f.netns == "" {
		return "", nil
	}
	path, err := netns.System().Resolve(f.netns)
	if err != nil {
		return "", namespaceError(err)
	}
	absolute, err := filepath.Abs(string(path))
	return netns.Path(absolute), err
}

// nextBoot is what files for the next boot are made from.
func nextBoot(ns netns.Path) (persist.Options, error) {
	program, err := os.Executable()
	if err != nil {
		return persist.Options{}, err
	}
	s, err := observe.Observe(context.Background(), observe.Options{Namespace: ns})
	o := persist.Options{Snapshot: s, Program: program, Root: os.DirFS("/")}
	if unsafe := trust.Program(program); unsafe != nil {
		o.Untrusted = unsafe.Error()
	}
	return o, err
}

// filesFor renders the files that make a plan's values those of the next boot.
func filesFor(p plan.Plan, ns netns.Path) ([]persist.File, error) {
	options, err := nextBoot(ns)
	if err != nil {
		return nil, err
	}
	files, err := persist.Files(p, options)
	if err == nil && len(files) == 0 {
		err = errors.New("nothing of this plan can be kept over a boot")
	}
	return files, err
}

// unkept are the changes that the files of a run do not keep: those that none can, and
// those that another file or program overrules.
func unkept(e *apply.Engine, r apply.Report) (out []apply.Comparison, err error) {
	if len(r.Files) == 0 {
		return nil, nil
	}
	options, err := nextBoot(e.Namespace())
	if err != nil {
		return nil, err
	}
	left, err := persist.Left(r.Plan, options)
	for _, u := range left {
		out = append(out, apply.Comparison{Setting: u.Setting, Why: u.Why})
	}
	for _, c := range atNextBoot(r.Plan, r.Written) {
		if !c.Holds {
			out = append(out, c)
		}
	}
	return out, err
}

// atNextBoot says of the sysctls of a plan which values win at the next boot, as the files are now.
func atNextBoot(p plan.Plan, files []persist.File) (out []apply.Comparison) {
	for _, c := range persist.Claims(os.DirFS("/"), p, files) {
		value, _, known := c.Winner.Last()
		if !known {
			value = "the kernel's default"
		}
		out = append(out, apply.Comparison{
			Setting: c.Key + " at the next boot",
			Wanted:  c.Want,
			Value:   value,
			Holds:   c.Outlook == persist.Holds,
			Why:     c.Why,
		})
	}
	return out
}

func (a *app) writeJSON(result any) error {
	text, err := encode.JSON(result)
	if err != nil {
		return err
	}
	return a.write(func(w io.Writer) error { _, err := w.Write(text); return err })
}
