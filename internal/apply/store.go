package apply

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/trust"
)

// DefaultDir is the state directory: one for root of the host, one for each other user; ""
// where the user has no home. It never depends on the working directory: a rollback from
// elsewhere has to find the journal.
func DefaultDir(uid int, env func(string) string) string {
	if uid == 0 {
		return "/var/lib/maxconn"
	}
	if base := env("XDG_STATE_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "maxconn")
	}
	if home := env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "maxconn")
	}
	return ""
}

// store is the state directory.
type store struct {
	dir  string
	disk disk
	owns func(path string) bool // see Engine.Owns
	boot string                 // the random name of this one
}

func (s store) runs() string          { return filepath.Join(s.dir, "runs") }
func (s store) journal(id int) string { return filepath.Join(s.runs(), strconv.Itoa(id)+".jsonl") }

// trusted refuses a state directory in which somebody else could have written: a journal says which
// old values are to be put back, and into which files. One that is not there is empty.
func (s store) trusted() error {
	for _, dir := range []string{s.dir, s.runs()} {
		err := trust.Directory(dir)
		switch other := s.distrust(err); {
		case other != nil:
			return other
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("look at the state directory %s: %w", s.dir, bare(err))
		}
	}
	return nil
}

// distrust is the refusal to use what package trust does not believe, or nil.
func (s store) distrust(err error) error {
	var other *trust.Error
	if !errors.As(err, &other) {
		return nil
	}
	return &Refusal{
		Why: fmt.Sprintf("the state directory %s is not used: %v", s.dir, other), Err: err,
		Hint: "what is there may be somebody else's work: --state-dir names a directory " +
			"of your own; or run as the user it belongs to",
	}
}

// prepare makes the directories, for their owner only.
func (s store) prepare() error {
	if err := s.trusted(); err != nil {
		return err
	}
	for _, dir := range []string{filepath.Dir(s.dir), s.dir, s.runs()} {
		mode := fs.FileMode(0o700)
		if dir != s.dir && dir != s.runs() {
			mode = 0o755
		}
		if _, err := os.Stat(dir); err == nil {
			continue
		}
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("make the state directory %s: %w", dir, bare(err))
		}
		if err := s.disk.syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return s.trusted()
}

// lockWait is how long a short look of somebody else at the lock is waited out.
const lockWait = 2 * time.Second

// lock takes the one lock. What it returns gives it back; so does the end of the process.
func (s store) lock() (unlock func(), err error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	f, err := trust.Open(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if other := s.distrust(err); other != nil {
		return nil, other
	}
	if err != nil {
		return nil, fmt.Errorf("open the lock in %s: %w", s.dir, bare(err))
	}
	for deadline := time.Now().Add(lockWait); ; time.Sleep(20 * time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer f.Close()
		return nil, &Refusal{
			Why:  "another maxconn is changing this host" + holder(f),
			Hint: "maxconn status says what it does",
			Err:  err,
		}
	}
	if err == nil {
		err = note(f)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", s.dir, bare(err))
	}
	return func() { f.Close() }, nil
}

// note leaves the own pid in the lock for people; nothing depends on it, a full disk does
// not matter.
func note(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0); err != nil &&
		!errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil
}

func holder(f *os.File) string {
	b := make([]byte, 16)
	n, _ := f.ReadAt(b, 0)
	if pid, err := strconv.Atoi(string(b[:n])); err == nil {
		return fmt.Sprintf(" (pid %d)", pid)
	}
	return ""
}

// busy says whether somebody holds the lock.
func (s store) busy() bool {
	f, err := trust.Open(filepath.Join(s.dir, "lock"), os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB),
		syscall.EWOULDBLOCK)
}

// Unreadable is a journal of which not even the beginning can be read.
type Unreadable struct {
	ID   int
	Path string
	Err  error
}

func (u *Unreadable) Error() string {
	return fmt.Sprintf("the journal of run %d cannot be read: %s: %v", u.ID, u.Path, u.Err)
}

// Unwrap gives the cause.
func (u *Unreadable) Unwrap() error { return u.Err }

// load reads all journals, the oldest first, and those that cannot be read.
func (s store) load() (runs []*Run, bad []*Unreadable, err error) {
	if err := s.trusted(); err != nil {
		return nil, nil, err
	}
	ids, err := s.ids()
	if err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		r, err := s.read(id)
		if err != nil {
			bad = append(bad, &Unreadable{id, s.journal(id), bare(err)})
			continue
		}
		runs = append(runs, r)
	}
	return runs, bad, nil
}

// largestJournal bounds what is read as a journal, in bytes: a plan, a few lines for each change,
// and some files.
const largestJournal = 64 << 20

func (s store) read(id int) (*Run, error) {
	if err := s.trusted(); err != nil {
		return nil, err
	}
	text, err := trust.ReadFile(s.journal(id), largestJournal)
	if err != nil {
		return nil, err
	}
	r, err := parseRun(text)
	if err == nil && r.ID != id {
		return nil, fmt.Errorf("it is that of run %d", r.ID)
	}
	for i := 0; err == nil && s.boot != r.Place.BootID && i < len(r.Plan.Changes); i++ {
		r.Plan.Changes[i].Target.Index = 0 // it was that of its boot
	}
	if err == nil {
		err = r.admissible(s.owns)
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (s store) ids() (ids []int, err error) {
	entries, err := os.ReadDir(s.runs())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state directory %s: %w", s.runs(), bare(err))
	}
	for _, e := range entries {
		text, ok := strings.CutSuffix(e.Name(), ".jsonl")
		if id, err := strconv.Atoi(text); ok && err == nil && id > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// log is a journal that is being written; its holder has the lock.
type log struct {
	store store
	run   *Run
	now   func() time.Time
}

// create makes the journal of a new run.
func (s store) create(b Begin, now func() time.Time) (*log, error) {
	ids, err := s.ids()
	if err != nil {
		return nil, err
	}
	b.ID = 1
	if len(ids) > 0 {
		b.ID = ids[len(ids)-1] + 1
	}
	b.Schema = JournalSchema
	l := &log{store: s, run: &Run{}, now: now}
	e := entry{Do: doBegin, Time: now(), Begin: &b}
	if err := l.run.take(e); err != nil {
		return nil, err
	}
	line, err := encode(e)
	if err != nil {
		return nil, err
	}
	l.run.valid = int64(len(line))
	return l, s.disk.put(s.journal(b.ID), 0o600, line)
}

// reopen goes on with the journal of a run that was read. One that is damaged is kept beside.
func (s store) reopen(r *Run, now func() time.Time) (*log, error) {
	if r.Damaged != "" {
		text, err := trust.ReadFile(s.journal(r.ID), largestJournal)
		if err == nil {
			err = s.disk.put(s.journal(r.ID)+".damaged", 0o600, text)
		}
		if err != nil {
			return nil, err
		}
	}
	return &log{store: s, run: r, now: now}, nil
}

// add writes an entry and takes it into the run once it is on the disk.
func (l *log) add(e entry) error {
	e.Time = l.now()
	line, err := encode(e)
	if err != nil {
		return err
	}
	if err := l.store.disk.add(l.store.journal(l.run.ID), l.run.valid, line); err != nil {
		return err
	}
	l.run.valid += int64(len(line))
	return l.run.take(e)
}

func encode(e entry) ([]byte, error) {
	line, err := json.Marshal(e)
	return append(line, '\n'), err
}
