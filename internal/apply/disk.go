package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Step stands around each thing that outlives the program: a file made, written, synced,
// renamed or removed, and a kernel value written. Tests fail or end the program there.
type Step struct {
	// its error is that of the step, which is not done then
	Before func(op, subject string) error
	After  func(op, subject string)
}

func (s Step) do(op, subject string, step func() error) error {
	if s.Before != nil {
		if err := s.Before(op, subject); err != nil {
			return err
		}
	}
	if err := step(); err != nil {
		return err
	}
	if s.After != nil {
		s.After(op, subject)
	}
	return nil
}

// disk writes files so that they are there, whole, after a power cut.
type disk struct{ step Step }

// part is the name of a file that is not whole yet. Only the holder of the lock writes, so
// one name is enough, and what a dead program left there is written over.
func part(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".maxconn-part")
}

// put makes or replaces a file: written under another name, synced, renamed, and the
// directory synced.
func (d disk) put(path string, mode fs.FileMode, content []byte) error {
	temporary := part(path)
	err := d.fill(temporary, mode, content)
	if err == nil {
		err = d.step.do("rename", path, func() error { return os.Rename(temporary, path) })
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, bare(err)),
			d.discard(temporary))
	}
	return d.syncDir(filepath.Dir(path))
}

func (d disk) fill(path string, mode fs.FileMode, content []byte) error {
	var f *os.File
	err := d.step.do("create", path, func() (err error) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		return err
	})
	if err != nil {
		return err
	}
	defer f.Close()
	return d.flush(f, path, func() error {
		_, err := f.Write(content)
		if err == nil {
			err = f.Chmod(mode) // whatever the umask is
		}
		return err
	})
}

// flush writes and syncs.
func (d disk) flush(f *os.File, path string, write func() error) error {
	if err := d.step.do("write", path, write); err != nil {
		return err
	}
	return d.step.do("sync", path, f.Sync)
}

func (d disk) discard(path string) error {
	// A mount that is read-only refuses before it looks (fs/namei.c do_unlinkat).
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, bare(err))
	}
	return nil
}

// add writes a line at the end of what is valid of a file, over anything that a dead
// program left behind it, and syncs. After an error the file is as before, as far as the
// disk allows.
func (d disk) add(path string, valid int64, line []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, bare(err))
	}
	defer f.Close()
	err = d.flush(f, path, func() error {
		if err := f.Truncate(valid); err != nil {
			return err
		}
		_, err := f.WriteAt(line, valid)
		return err
	})
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, bare(err)), f.Truncate(valid))
	}
	return nil
}

// remove deletes a file for good. One that is not there is no error.
func (d disk) remove(path string) error {
	err := d.step.do("remove", path, func() error { return d.discard(path) })
	if err != nil {
		return fmt.Errorf("remove %s: %w", path, bare(err))
	}
	return d.syncDir(filepath.Dir(path))
}

func (d disk) syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, bare(err))
	}
	defer f.Close()
	if err := d.step.do("sync", dir, f.Sync); err != nil {
		return fmt.Errorf("sync %s: %w", dir, bare(err))
	}
	return nil
}

// bare drops the path that the message names already.
func bare(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}
