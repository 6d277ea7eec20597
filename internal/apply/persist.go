package apply

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
)

// persist writes the files of the next boot, each after the journal knows what was there.
func (e *Engine) persist(l *log) error {
	files, err := e.nextFiles(l.run.Plan)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := e.persistOne(l, f); err != nil {
			return err
		}
	}
	return l.add(entry{Do: doPersisted})
}

func (e *Engine) nextFiles(p plan.Plan) ([]persist.File, error) {
	if e.Files == nil {
		return nil, errors.New("files for the next boot cannot be written here")
	}
	files, err := e.Files(p)
	if err != nil {
		return nil, fmt.Errorf("files for the next boot: %w", err)
	}
	return files, nil
}

// persistOne writes one file, unless an interrupted attempt of this run has done so.
func (e *Engine) persistOne(l *log, f persist.File) error {
	note, err := before(f)
	if err != nil {
		return err
	}
	if done := slices.IndexFunc(l.run.Files, func(n fileNote) bool {
		return n.Path == f.Path
	}); done >= 0 {
		if now := l.run.Files[done]; note.Existed && bytes.Equal(note.Old, now.New) &&
			bytes.Equal(now.New, f.Content) {
			return nil
		}
		old := l.run.Files[done] // what was there before the run, not before this attempt
		note.Existed, note.Old, note.OldMode, note.Made = old.Existed, old.Old, old.OldMode,
			old.Made
	}
	if err := l.add(entry{Do: doFile, File: &note}); err != nil {
		return err
	}
	d := l.store.disk
	for _, dir := range note.Made {
		err := d.step.do("mkdir", dir, func() error { return os.Mkdir(dir, 0o755) })
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make %s: %w", dir, bare(err))
		}
		if err := d.syncDir(filepath.Dir(dir)); err != nil {
			return err
		}
	}
	return d.put(f.Path, f.Mode, f.Content)
}

// written are the files that a run wrote, each once.
func (r *Run) written() (out []persist.File) {
	for _, n := range r.Files {
		had := func(f persist.File) bool { return f.Path == n.Path }
		if !slices.ContainsFunc(out, had) {
			out = append(out, persist.File{Path: n.Path, Mode: n.Mode, Content: n.New,
				Keeps: n.Keeps})
		}
	}
	return out
}

// present are the files that a run wrote, as they are now: a later run may have added to them.
func (r *Run) present() (out []persist.File) {
	for _, f := range r.written() {
		if text, err := readPlain(f.Path); err == nil {
			f.Content = text
			out = append(out, f)
		}
	}
	return out
}

// before notes what is at the place of a file.
func before(f persist.File) (fileNote, error) {
	n := fileNote{Path: f.Path, Mode: f.Mode.Perm(), New: f.Content, Keeps: f.Keeps}
	if !filepath.IsAbs(f.Path) || filepath.Clean(f.Path) != f.Path {
		return n, fmt.Errorf("%q is not the path of a file for the next boot", f.Path)
	}
	for dir := filepath.Dir(f.Path); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		n.Made = append([]string{dir}, n.Made...)
	}
	info, err := os.Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return n, nil
	case err != nil:
		return n, fmt.Errorf("look at %s: %w", f.Path, bare(err))
	case !info.Mode().IsRegular():
		return n, fmt.Errorf("%s is not a regular file: it is left alone", f.Path)
	}
	n.Existed, n.OldMode = true, info.Mode().Perm()&mostMode
	n.Old, err = readPlain(f.Path)
	return n, err
}

// mostMode is all that a file for the next boot may let anybody do: others never write.
const mostMode = fs.FileMode(0o755)

// largestFile bounds a file for the next boot, in bytes.
const largestFile = 1 << 20

// readPlain reads a regular file that is no link.
func readPlain(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > largestFile:
		return nil, fmt.Errorf(
			"%s is not a file of at most %d KiB: it is left alone",
			path,
			largestFile>>10,
		)
	}
	return io.ReadAll(io.LimitReader(f, largestFile))
}

// restore puts back what was there before a file was written, unless somebody else has
// changed it since.
func (d disk) restore(n fileNote) Item {
	item := Item{Setting: n.Path, Outcome: Restored}
	fail := func(err error) Item {
		item.Outcome, item.Text = Failed, err.Error()
		return item
	}
	if err := d.discard(part(n.Path)); err != nil {
		return fail(err)
	}
	have, err := readPlain(n.Path)
	absent := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !absent:
		return fail(err)
	case absent && !n.Existed, !absent && n.Existed && bytes.Equal(have, n.Old):
		item.Outcome = Already
	case absent || !bytes.Equal(have, n.New):
		item.Outcome, item.Text = Changed, "somebody else changed it since"
		return item
	case n.Existed:
		err = d.put(n.Path, n.OldMode, n.Old)
	default:
		err = d.remove(n.Path)
	}
	if err != nil && !absent {
		return fail(err)
	}
	for _, dir := range slices.Backward(n.Made) {
		_ = os.Remove(dir) // stays where something else is in it
	}
	return item
}
