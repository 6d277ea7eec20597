// Package infile reads the files that a user names, whole and bounded: a file that is a
// pipe, a device or without end is refused at once instead of waited for or read until
// memory is used up.
package infile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// TooLarge is an input of more than the bound, in bytes.
type TooLarge struct{ Most int64 }

func (t TooLarge) Error() string { return fmt.Sprintf("more than %d MiB", t.Most>>20) }

// errNotRegular is for what has no end or may never begin: it is reported without being read.
var errNotRegular = errors.New("not a regular file")

// Text is all of a file of at most that many bytes, and its mode. It must be a regular
// file, or the name of an open descriptor (/dev/stdin, /dev/fd/63), as shells make them of
// <(command). Reading ends with ctx. Errors other than that end are *fs.PathError.
func Text(ctx context.Context, name string, most int64) ([]byte, fs.FileMode, error) {
	f, err := open(name)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	return regular(ctx, f, name, most)
}

// In is Text for a file of a tree that cannot be left. The name is one without links (see
// sysctld.Resolve).
func In(ctx context.Context, root *os.Root, name string, most int64) ([]byte, fs.FileMode, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, &fs.PathError{Op: "read", Path: name, Err: errNotRegular}
	}
	f, err := root.OpenFile(name, patient, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	return regular(ctx, f, name, most)
}

// open looks before it opens, because opening a device can have effects of its own; regular
// looks again.
func open(name string) (*os.File, error) {
	if fd, ok := descriptor(path.Clean(name)); ok {
		return duplicate(fd, name)
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: bare(err)}
	case info.IsDir():
		return nil, &fs.PathError{Op: "read", Path: name, Err: syscall.EISDIR}
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "read", Path: name, Err: errNotRegular}
	}
	return os.OpenFile(name, patient, 0)
}

// regular reads an open file that has a name of its own.
func regular(ctx context.Context, f *os.File, name string, most int64) ([]byte, fs.FileMode,
	error) {
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	_, isStream := descriptor(path.Clean(name))
	if !isStream && !info.Mode().IsRegular() {
		return nil, 0, &fs.PathError{Op: "read", Path: name, Err: errNotRegular}
	}
	// What one can wait for is no file of a disk, whatever its mode says: /proc/kmsg,
	// trace_pipe.
	if !isStream && f.SetReadDeadline(time.Time{}) == nil {
		return nil, 0, &fs.PathError{Op: "read", Path: name, Err: errNotRegular}
	}
	text, err := Stream(ctx, f, most)
	if err != nil && ctx.Err() == nil {
		err = &fs.PathError{Op: "read", Path: name, Err: bare(err)}
	}
	return text, info.Mode(), err
}

// Stream is all of an input of at most that many bytes, until its end or that of ctx.
func Stream(ctx context.Context, r io.Reader, most int64) ([]byte, error) {
	type outcome struct {
		text []byte
		err  error
	}
	done := make(chan outcome, 1)
	go func() { // a read that waits goes on; the program ends soon after
		text, err := io.ReadAll(io.LimitReader(r, most+1))
		done <- outcome{text, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case o := <-done:
		if int64(len(o.text)) > most {
			return nil, TooLarge{most}
		}
		return o.text, o.err
	}
}

// bare is the reason without a path.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// descriptor is the number of an open file by one of its names.
func descriptor(name string) (fd int, ok bool) {
	if name == "/dev/stdin" {
		return 0, true
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if digits, ok := strings.CutPrefix(name, dir); ok {
			n, err := strconv.ParseUint(digits, 10, 31)
			return int(n), err == nil
		}
	}
	return 0, false
}
