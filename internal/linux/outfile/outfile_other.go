//go:build !linux

package outfile

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
)

// On other systems the files are those of somebody who reads a snapshot at a desk: a file
// is replaced by a whole one, and links are the system's to judge.

// Write replaces the file by one with this text. fresh is its mode.
func Write(name string, text []byte, fresh fs.FileMode) error {
	if name == os.DevNull {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".maxconn-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = cmp.Or(err, f.Chmod(fresh), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the error that matters is the first
	}
	return err
}

// Create makes an empty file and opens it for what grows.
func Create(name string) (*os.File, error) { return os.Create(name) }

// Writable says whether Write would be able to.
func Writable(name string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".maxconn-*")
	if err != nil {
		return err
	}
	return cmp.Or(f.Close(), os.Remove(f.Name()))
}

// Dir opens a directory to write several files into.
func Dir(name string) (*os.Root, error) { return os.OpenRoot(name) }
