//go:build linux

// Package trust says of files and directories whether anybody but root and this user could have put
// them there or changed them. A path is only as good as the directories that lead to it: one who
// may write to one of them chooses what is found below, so each is looked at, as sshd does
// (StrictModes, sshd_config(5)).
package trust

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Error is a file that somebody else could have written.
type Error struct {
	Path string
	Why  string
}

// Error is one line.
func (e *Error) Error() string { return e.Path + " " + e.Why }

// mostLinks is how many symbolic links a path may have (include/linux/namei.h MAXSYMLINKS).
const mostLinks = 40

// Directory checks a directory that only its owner may write to, and all that leads there. Where
// it, or what leads there, is not there yet the error is fs.ErrNotExist, and what is there has been
// checked.
func Directory(path string) error {
	info, err := walk(path, leads)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	return private(path, info)
}

// File checks an open file: regular, of root or this user, written by nobody else, and with no
// second name.
func File(f *os.File) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return &Error{f.Name(), "is not a regular file"}
	case stat(info).Nlink != 1:
		return &Error{f.Name(), "has a second name elsewhere"}
	}
	return private(f.Name(), info)
}

// Program checks a program that root is to run: root's, in directories that are root's, none of
// them to be written by others, without a symbolic link.
func Program(path string) error {
	info, err := walk(path, func(at string, info fs.FileInfo) error {
		if info.Mode()&fs.ModeSymlink != 0 {
			return &Error{at, "is a symbolic link"}
		}
		return rootOnly(at, info)
	})
	if err == nil && !info.Mode().IsRegular() {
		err = &Error{path, "is not a regular file"}
	}
	return err
}

// walk looks at each directory and link on the way and at the end, which it returns.
func walk(path string, check func(string, fs.FileInfo) error) (info fs.FileInfo, err error) {
	if !filepath.IsAbs(path) {
		return nil, &Error{path, "is not an absolute path"}
	}
	rest := strings.Split(filepath.Clean(path), "/")[1:]
	at := "/"
	for links := 0; ; {
		if info, err = os.Lstat(at); err != nil {
			return nil, err
		}
		if err := check(at, info); err != nil {
			return nil, err
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			if links++; links > mostLinks {
				return nil, &fs.PathError{Op: "open", Path: path,
					Err: syscall.ELOOP}
			}
			to, err := os.Readlink(at)
			if err != nil {
				return nil, err
			}
			if at = filepath.Dir(at); filepath.IsAbs(to) {
				at = "/"
			}
			rest = append(strings.Split(to, "/"), rest...)
		}
		for len(rest) > 0 && (rest[0] == "" || rest[0] == ".") {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			if info.Mode()&fs.ModeSymlink != 0 {
				// the link led to the directory that it is in, or to the
				// root
				continue
			}
			return info, nil
		}
		at = filepath.Join(
			at,
			rest[0],
		) // ".." of a directory that was checked is above it, and was checked too
		rest = rest[1:]
	}
}

// leads says whether a directory or link on the way is safe: root's or this user's. Others may
// write to a directory only where the sticky bit keeps them from what is not theirs.
func leads(path string, info fs.FileInfo) error {
	s, mode := stat(info), info.Mode()
	switch {
	case !ours(s.Uid) && !(s.Uid == overflowUID && mapped()):
		return &Error{path, "belongs to user " + strconv.Itoa(int(s.Uid))}
	case mode&fs.ModeSymlink != 0 || mode&fs.ModeSticky != 0:
		return nil
	case mode&0o002 != 0, mode&0o020 != 0 && !ownGroup(path, s.Gid):
		return &Error{path, "can be written by others"}
	}
	return nil
}

// ownGroup says of a directory that its group may write to whether that is no others: root's own
// group, and the one that many systems make for each user, which has that user's number. With an
// access control list the bits of the group are a mask of what the list gives to anybody (acl(5),
// fs/posix_acl.c posix_acl_update_mode).
func ownGroup(path string, gid uint32) bool {
	return (gid == 0 || int(gid) == os.Geteuid()) && !hasList(path)
}

// hasList says whether a file has an access control list, or may have one.
func hasList(path string) bool {
	_, err := unix.Getxattr(path, "system.posix_acl_access", nil)
	return !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP)
}

// Shared says whether others than its owner may write to a directory that is open.
func Shared(dir int) (bool, error) {
	var s unix.Stat_t
	if err := unix.Fstat(dir, &s); err != nil {
		return false, err
	}
	byGroup := s.Mode&unix.S_IWGRP != 0 &&
		!ownGroup("/proc/self/fd/"+strconv.Itoa(dir), s.Gid)
	return s.Mode&unix.S_IWOTH != 0 || byGroup, nil
}

// private says whether only its owner, root or this user, may write to something.
func private(path string, info fs.FileInfo) error {
	switch s := stat(info); {
	case !ours(s.Uid):
		return &Error{path, "belongs to user " + strconv.Itoa(int(s.Uid))}
	case info.Mode()&0o022 != 0:
		return &Error{path, "can be written by others"}
	}
	return nil
}

func rootOnly(path string, info fs.FileInfo) error {
	switch s := stat(info); {
	case s.Uid != 0:
		return &Error{path, "belongs to user " + strconv.Itoa(int(s.Uid))}
	case info.Mode()&0o002 != 0,
		info.Mode()&0o020 != 0 && (s.Gid != 0 || !ownGroup(path, s.Gid)):
		return &Error{path, "can be written by others"}
	}
	return nil
}

func ours(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// overflowUID is how users look who have no number in this user namespace (kernel/sys.c
// DEFAULT_OVERFLOWUID).
const overflowUID = 65534

// mapped says whether this is a user namespace in which not all users have a number: there root of
// the host looks like nobody.
func mapped() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	fields := strings.Fields(string(text))
	return err == nil && len(fields) >= 3 && fields[2] != "4294967295"
}

func stat(info fs.FileInfo) *syscall.Stat_t {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s
	}
	return &syscall.Stat_t{Uid: overflowUID, Nlink: 0}
}

// Open opens a file of a directory that was checked, without following a link or waiting for a
// FIFO, and checks it.
func Open(path string, flags int, mode fs.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flags|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, mode)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return nil, &Error{path, "is a symbolic link"}
	case errors.Is(err, syscall.EISDIR):
		return nil, &Error{path, "is not a regular file"}
	case err != nil:
		return nil, err
	}
	if err := File(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// ReadFile reads a file of at most that many bytes of a directory that was checked.
func ReadFile(path string, most int64) ([]byte, error) {
	f, err := Open(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > most {
		return nil, &Error{path, fmt.Sprintf("is larger than %d MiB", most>>20)}
	}
	text := make([]byte, info.Size())
	n, err := f.ReadAt(text, 0)
	if errors.Is(err, io.EOF) { // it was cut meanwhile
		err = nil
	}
	return text[:n], err
}
