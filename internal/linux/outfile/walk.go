//go:build linux

package outfile

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// mostLinks is the kernel's MAXSYMLINKS (include/linux/namei.h).
const mostLinks = 40

// walker goes along a path, one directory after the other.
type walker struct {
	name  string // the whole, for errors
	at    int    // the directory reached, AT_FDCWD at the beginning of a relative path
	links int
}

// walk opens a directory by its path, for what is done in it by name; name is what errors
// call it. It follows links of root and of this user: the kernel's may_follow_link would
// also follow others' in a directory of their own.
func walk(name, dir string) (fd int, err error) {
	w := &walker{name: name, at: unix.AT_FDCWD}
	if err := w.along(dir); err != nil {
		w.leave()
		return -1, err
	}
	if w.at == unix.AT_FDCWD { // a path that leads nowhere else
		return w.open(".")
	}
	return w.at, nil
}

// along takes each part of a path in turn; what links say is put in front of the rest.
func (w *walker) along(rest string) error {
	for {
		if strings.HasPrefix(rest, "/") {
			if err := w.enter("/"); err != nil {
				return err
			}
		}
		rest = strings.TrimLeft(rest, "/")
		if rest == "" {
			return nil
		}
		var part string
		part, rest, _ = strings.Cut(rest, "/")
		rest = strings.TrimLeft(rest, "/")
		target, err := w.step(part)
		if err != nil {
			return err
		}
		if target != "" {
			rest = target + "/" + rest
		}
	}
}

// step goes into a directory, or gives what a link in its place says.
func (w *walker) step(part string) (target string, err error) {
	var s unix.Stat_t
	if err := unix.Fstatat(w.at, part, &s, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return "", w.fail(err)
	}
	if s.Mode&unix.S_IFMT != unix.S_IFLNK {
		return "", w.enter(part)
	}
	if w.links++; w.links > mostLinks {
		return "", w.fail(unix.ELOOP)
	}
	if err := w.mayFollow(part, s); err != nil {
		return "", err
	}
	buffer := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(w.at, part, buffer)
	if err != nil {
		return "", w.fail(err)
	}
	if n == 0 || n == len(buffer) {
		return "", w.fail(unix.ENAMETOOLONG)
	}
	return string(buffer[:n]), nil
}

// mayFollow refuses links that others can have planted, and others can change.
func (w *walker) mayFollow(part string, link unix.Stat_t) error {
	if link.Uid == 0 || int(link.Uid) == os.Geteuid() {
		return nil
	}
	return &Refused{w.name, "leads through a symbolic link of another user (" + part + ")",
		"give the path of the directory itself"}
}

// enter makes a directory the one that was reached.
func (w *walker) enter(part string) error {
	fd, err := w.open(part)
	if err != nil {
		return err
	}
	w.leave()
	w.at = fd
	return nil
}

func (w *walker) open(part string) (int, error) {
	fd, err := unix.Openat(w.at, part, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|
		unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, w.fail(err)
	}
	return fd, nil
}

func (w *walker) leave() {
	if w.at >= 0 {
		_ = unix.Close(w.at) // it was opened for its name only
	}
}

func (w *walker) fail(err error) error { return &fs.PathError{Op: "open", Path: w.name, Err: err} }

// Dir opens a directory to write several files below it, reached by the same rules; a link
// in place of the directory itself is one of its path.
func Dir(name string) (*os.Root, error) {
	fd, err := walk(name, name)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	var walked unix.Stat_t
	found, err := root.Stat(".")
	if err = errors.Join(err, unix.Fstat(fd, &walked)); err == nil && !same(found, walked) {
		err = &Refused{name, "was replaced while it was opened",
			"give the path of a directory of your own"}
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// stream is an open descriptor that the name stands for, or /dev/null; ok says whether it is one.
func stream(name string) (f *os.File, ok bool, err error) {
	clean := path.Clean(name)
	if clean == os.DevNull {
		f, err = os.OpenFile(clean, os.O_WRONLY, 0)
		return f, true, err
	}
	fd, ok := descriptor(clean)
	if !ok {
		return nil, false, nil
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, true, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(own), name), true, nil
}

// descriptor is the number of an open file by one of its names.
func descriptor(name string) (fd int, ok bool) {
	switch name {
	case "/dev/stdout":
		return 1, true
	case "/dev/stderr":
		return 2, true
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if digits, ok := strings.CutPrefix(name, dir); ok {
			n, err := strconv.ParseUint(digits, 10, 31)
			return int(n), err == nil
		}
	}
	return 0, false
}

// same says whether both are of one file.
func same(a fs.FileInfo, b unix.Stat_t) bool {
	s, ok := a.Sys().(*syscall.Stat_t)
	return ok && s.Dev == b.Dev && s.Ino == b.Ino
}
