package persist

import (
	"errors"
	"io/fs"
	"slices"
)

// witness is a root directory that keeps account of what this user may not read there.
type witness struct {
	root   fs.FS
	denied []string
}

func (w *witness) note(name string, err error) {
	if name = "/" + name; errors.Is(err, fs.ErrPermission) && !slices.Contains(w.denied, name) {
		w.denied = append(w.denied, name)
	}
}

// Open is of fs.FS.
func (w *witness) Open(name string) (fs.File, error) {
	f, err := w.root.Open(name)
	w.note(name, err)
	return f, err
}

// ReadDir is of fs.ReadDirFS.
func (w *witness) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(w.root, name)
	w.note(name, err)
	return entries, err
}

// Lstat is of fs.ReadLinkFS.
func (w *witness) Lstat(name string) (fs.FileInfo, error) {
	info, err := fs.Lstat(w.root, name)
	w.note(name, err)
	return info, err
}

// ReadLink is of fs.ReadLinkFS.
func (w *witness) ReadLink(name string) (string, error) {
	target, err := fs.ReadLink(w.root, name)
	w.note(name, err)
	return target, err
}
