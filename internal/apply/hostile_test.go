package apply

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// stranger is a user who is neither root nor this one.
const stranger = 12345

// verbsOf are all that reads a journal.
func (b *bench) verbsOf(t *testing.T) map[string]error {
	return map[string]error{
		"rollback": second(b.Rollback(0, false)), "rollback 1": second(b.Rollback(1, true)),
		"confirm": second(b.Confirm(0)),
		"apply":   second(b.Apply(t.Context(), thePlan(), Options{})),
		"status":  second(b.Status()), "history": second(b.History()),
		"verify": second(b.Verify(false)),
	}
}

// advises says whether an error is one of those for which the verbs have a hint.
func advises(err error) bool {
	refusal, ok := errors.AsType[*Refusal](err)
	_, unreadable := errors.AsType[*Unreadable](err)
	return unreadable || ok && refusal.Hint != ""
}

// A state directory, a lock or a journal that somebody else could have written is not used by any
// verb: nothing is changed, and the error is one line with a hint.
func TestStateOfSomebodyElse(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root gives files to others")
	}
	journal := func(b *bench) string { return b.store().journal(1) }
	lock := func(b *bench) string { return filepath.Join(b.Dir, "lock") }
	give := func(path func(*bench) string) func(*bench) error {
		return func(b *bench) error { return os.Lchown(path(b), stranger, stranger) }
	}
	open := func(path func(*bench) string, mode os.FileMode) func(*bench) error {
		return func(b *bench) error { return os.Chmod(path(b), mode) }
	}
	link := func(path func(*bench) string) func(*bench) error {
		return func(b *bench) error {
			return errors.Join(
				os.Rename(path(b), path(b)+"-real"),
				os.Symlink(path(b)+"-real", path(b)),
			)
		}
	}
	dir := func(b *bench) string { return b.Dir }
	above := func(b *bench) string { return filepath.Dir(b.Dir) }
	for name, c := range map[string]struct {
		spoil func(*bench) error
		// the verbs that are refused; "" all. Others have nothing to do with that
		// file
		only string
	}{
		"the directory is a stranger's": {give(dir), ""},
		"all may write the directory":   {open(dir, 0o777), ""},
		"a group may":                   {open(dir, 0o770), ""},
		"its parent is a stranger's":    {give(above), ""},
		"all may write its parent":      {open(above, 0o777), ""},
		"the runs are a stranger's": {give(func(b *bench) string {
			return b.store().runs()
		}), ""},
		"all may write the runs": {
			open(func(b *bench) string { return b.store().runs() }, 0o777),
			"",
		},
		"the journal is a stranger's": {give(journal),
			"rollback, rollback 1, confirm, apply, verify"},
		"all may write the journal": {
			open(journal, 0o666),
			"rollback, rollback 1, confirm, apply, verify",
		},
		"the journal is a link": {link(journal),
			"rollback, rollback 1, confirm, apply, verify"},
		"the lock is a stranger's": {give(lock), "rollback, rollback 1, confirm, apply"},
		"the lock is a link":       {link(lock), "rollback, rollback 1, confirm, apply"},
		"the lock has two names": {
			func(b *bench) error { return os.Link(lock(b), lock(b)+"-too") },
			"rollback, rollback 1, confirm, apply",
		},
		"the lock is a directory": {func(b *bench) error {
			return errors.Join(os.Remove(lock(b)), os.Mkdir(lock(b), 0o700))
		}, "rollback, rollback 1, confirm, apply"},
		"the lock is a FIFO": {func(b *bench) error {
			return errors.Join(os.Remove(lock(b)), syscall.Mkfifo(lock(b), 0o600))
		}, "rollback, rollback 1, confirm, apply"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.makeOld(t)
			if _, err := b.Apply(t.Context(), thePlan(),
				Options{Persist: true}); err != nil {
				t.Fatal(err)
			}
			written, etc := len(b.kernel.written), tree(t, b.etc)
			if err := c.spoil(b); err != nil {
				t.Fatal(err)
			}
			for verb, err := range b.verbsOf(t) {
				want := c.only == "" ||
					strings.Contains(", "+c.only+",", ", "+verb+",")
				if (err != nil) != want ||
					err != nil && strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: %v, want an error: %v", verb, err, want)
				}
				if want && !advises(err) {
					t.Errorf("%s: %v: it does not say what to do", verb, err)
				}
			}
			if diff := cmp.Diff(etc, tree(t, b.etc)); diff != "" ||
				len(b.kernel.written) != written {
				t.Errorf("something was changed: %q, %s",
					b.kernel.written[written:], diff)
			}
		})
	}
}

// A journal that no maxconn has written is not believed, no matter who owns it: it would
// put any text into any file, or any value into any setting.
func TestForgedJournal(t *testing.T) {
	for name, forge := range map[string]func(b *bench, begin, file *entry){
		"a file of somebody else": func(b *bench, _, f *entry) {
			f.File.Path = filepath.Join(filepath.Dir(b.etc), "shadow")
		},
		"a file that is written by all": func(_ *bench, _, f *entry) {
			f.File.Mode = 0o666
		},
		"a file that was written by all": func(_ *bench, _, f *entry) {
			f.File.OldMode = 0o666
		},
		"a set-user-ID program": func(_ *bench, _, f *entry) {
			f.File.OldMode = 0o755 | os.ModeSetuid
		},
		"a relative path": func(_ *bench, _, f *entry) {
			f.File.Path = "../shadow"
		},
		"a path that turns back": func(b *bench, _, f *entry) {
			f.File.Path = b.etc + "/../shadow"
		},
		"a directory elsewhere": func(b *bench, _, f *entry) {
			f.File.Made = []string{b.Dir}
		},
		"the root directory": func(_ *bench, _, f *entry) {
			f.File.Made = []string{"/"}
		},
		"a file of megabytes": func(_ *bench, _, f *entry) {
			f.File.Old = make([]byte, largestFile+1)
		},
		"a setting of something else": func(_ *bench, e, _ *entry) {
			e.Begin.Plan.Changes[0].Target = sysctl("kernel.core_pattern")
		},
		"a path as a setting": func(_ *bench, e, _ *entry) {
			e.Begin.Plan.Changes[0].Target = sysctl("net./../../etc")
		},
		"another network setting": func(_ *bench, e, _ *entry) {
			e.Begin.Plan.Changes[0].Target = sysctl("net.ipv4.ip_forward")
		},
		"an old value that is none": func(_ *bench, e, _ *entry) {
			e.Begin.Plan.Changes[0].From = "|/tmp/x"
		},
		"an old value above the new": func(_ *bench, e, _ *entry) {
			e.Begin.Plan.Changes[0].From = "2147483647"
		},
		"an endless window": func(_ *bench, e, _ *entry) {
			e.Begin.Within = 1e12
		},
		"a number of another run": func(_ *bench, e, _ *entry) {
			e.Begin.ID = 7
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			top := b.etc
			b.etc = filepath.Join(top, "etc")
			if err := os.Mkdir(b.etc, 0o755); err != nil {
				t.Fatal(err)
			}
			b.Owns = func(path string) bool {
				return strings.HasPrefix(
					path,
					b.etc+"/",
				) && !strings.Contains(path, "..")
			}
			b.makeOld(t)
			if _, err := b.Apply(t.Context(), thePlan(),
				Options{Persist: true}); err != nil {
				t.Fatal(err)
			}
			rewrite(t, b, forge)
			written, etc := len(b.kernel.written), tree(t, top)
			for verb, err := range b.verbsOf(t) {
				if listed := verb == "status" ||
					verb == "history"; (err == nil) != listed ||
					err != nil && strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: %v", verb, err)
				}
			}
			if s, err := b.Status(); err != nil || s.Settled() ||
				len(s.Unreadable) != 1 ||
				len(s.Unreadable[0]) > 400 {
				t.Errorf("status %+v, %v", s, err)
			}
			if diff := cmp.Diff(etc, tree(t, top)); diff != "" ||
				len(b.kernel.written) != written {
				t.Errorf("something was changed: %q, %s",
					b.kernel.written[written:], diff)
			}
		})
	}
}

// rewrite changes the first entry of a journal and the first of a file.
func rewrite(t *testing.T, b *bench, forge func(b *bench, begin, file *entry)) {
	t.Helper()
	text, err := os.ReadFile(b.store().journal(1))
	if err != nil {
		t.Fatal(err)
	}
	var entries []entry
	var begin, file *entry
	for line := range strings.Lines(string(text)) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	for i := range entries {
		switch {
		case entries[i].Do == doBegin:
			begin = &entries[i]
		case entries[i].Do == doFile && file == nil:
			file = &entries[i]
		}
	}
	forge(b, begin, file)
	var out []byte
	for _, e := range entries {
		line, err := encode(e)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, line...)
	}
	if err := os.WriteFile(b.store().journal(1), out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A journal of an earlier version, without what was added since, is read and rolled back as before.
func TestJournalOfAnEarlierVersion(t *testing.T) {
	b := newBench(t)
	if err := b.store().prepare(); err != nil {
		t.Fatal(err)
	}
	const begin = `{"do":"begin","time":"2026-01-01T01:00:00Z",` +
		`"begin":{"schema":"maxconn.journal/1",` +
		`"id":1,"place":{"name":"box","kernel":"6.1.0","netns":"net:[1]",` +
		`"boot":"2026-01-01T00:00:00Z","boot_id":"first"},"plan":{"schema":"maxconn.plan/1",` +
		`"host":{"name":"box","kernel":"6.1.0","netns":"net:[1]",` +
		`"boot":"2026-01-01T00:00:00Z"},"workload":{"outbound":null,"inbound":null},"aim":"",` +
		`"changes":[{"target":{"kind":"sysctl","name":"net.core.somaxconn"},` +
		`"setting":"net.core.somaxconn","from":"128","to":"4096","why":"","limit":"",` +
		`"takes_effect":"","owner":""},{"target":{"kind":"listener","name":"0.0.0.0:80",` +
		`"field":"limit","start":5,"pid":77,"inode":9},` +
		`"setting":"accept queue of 0.0.0.0:80 (pid 77)","from":"5","to":"4096","why":"",` +
		`"limit":"","takes_effect":"","owner":""}],"left":null,"holds":false,"verdict":"",` +
		`"unseen":null}}}`
	const journal = begin + `
{"do":"write","time":"2026-01-01T01:00:00Z","change":1}
{"do":"wrote","time":"2026-01-01T01:00:00Z","change":1,"became":"4096"}
{"do":"write","time":"2026-01-01T01:00:00Z","change":2}
{"do":"wrote","time":"2026-01-01T01:00:00Z","change":2,"became":"4096"}
{"do":"applied","time":"2026-01-01T01:00:00Z","until_up":3600}
`
	if err := os.WriteFile(b.store().journal(1), []byte(journal), 0o600); err != nil {
		t.Fatal(err)
	}
	b.kernel.values[cap1], b.kernel.values[queue] = "4096", "4096"
	b.Here.Cookie = 99 // what this version adds
	b.wantState(t, InEffect)
	if taken, err := b.Rollback(0, false); err != nil || taken.Left != 0 ||
		len(taken.Items) != 2 {
		t.Errorf("%+v, %v", taken, err)
	}
	b.wantBefore(t)
}

// A run whose namespace has ended is over, but for what is the host's: the limits of processes and
// settings outside of net.
func TestRunOfANamespaceThatEnded(t *testing.T) {
	for _, all := range []bool{true, false} {
		b := newBench(t)
		p := thePlan()
		if all {
			p.Changes = append(p.Changes[:2:2], p.Changes[4:]...)
		}
		if _, err := b.Apply(t.Context(), p, Options{Within: time.Minute}); err != nil {
			t.Fatal(err)
		}
		written := len(b.kernel.written)
		b.Here.Netns = "net:[2]"
		b.Gone = func(p Place) bool { return p.Netns == "net:[1]" }
		if all {
			b.wantState(t, Over)
		} else {
			b.wantState(t, Pending)
		}
		taken, err := b.Rollback(1, false)
		if err != nil || taken.Left != 0 || len(taken.Items) != len(p.Changes) {
			t.Errorf("%+v, %v", taken, err)
		}
		var want []string
		if !all {
			want = []string{"77=1024", "77=4096"}
		}
		if diff := cmp.Diff(want, append([]string(nil),
			b.kernel.written[written:]...)); diff != "" {
			t.Errorf("written: %s", diff)
		}
		if _, err := b.Apply(t.Context(), thePlan(), Options{}); !errors.As(err,
			new(*Refusal)) {
			t.Errorf("a plan for a namespace that ended: %v", err)
		}
	}
}

// A plan that was made for a namespace that has ended is not for another one with the same number.
func TestPlanOfANamespaceThatEnded(t *testing.T) {
	b, p := newBench(t), thePlan()
	b.Here.Cookie, p.Host.Cookie = 7, 6
	_, err := b.Apply(t.Context(), p, Options{})
	if !errors.As(err, new(*Refusal)) || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("%v", err)
	}
	if len(b.kernel.written) > 0 {
		t.Errorf("wrote %q", b.kernel.written)
	}
	p.Host.Cookie = 7
	if _, err := b.Apply(t.Context(), p, Options{}); err != nil {
		t.Error(err)
	}
}
