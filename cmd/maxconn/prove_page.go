//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// writable says before a long run whether its page can be written.
func writable(name string) error {
	if name == "" {
		return nil
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil // a device or a pipe: nothing may be written to it yet
	}
	part := name + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return pageError(err)
	}
	f.Close()
	err = os.Remove(part)
	if info, stat := os.Stat(name); err == nil && stat == nil && info.IsDir() {
		err = &os.PathError{Op: "write", Path: name, Err: syscall.EISDIR}
	}
	return pageError(err)
}

// pageError is that of a page that cannot be written.
func pageError(err error) error {
	var path *os.PathError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &path) && errors.Is(err, fs.ErrNotExist):
		return misuse("--html takes a file in a directory that exists", "write the page: %w", err)
	case errors.As(err, &path) && errors.Is(err, fs.ErrExist):
		return &failure{statusFailed, fmt.Errorf("write the page: %w", err), "another run writes it, or was killed while it did: remove " + path.Path}
	}
	return &failure{statusFailed, fmt.Errorf("write the page: %w", err), ""}
}
