//go:build linux

package outfile

import (
	"cmp"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/trust"
)

// Write replaces the file by one with this text, which takes over the old one's mode and,
// where that is allowed, its owner; fresh is the mode of a file that was not there. Names
// of open descriptors (/dev/stdout, /dev/fd/3) and /dev/null are written to as they are.
// Errors are *Refused or *fs.PathError.
func Write(name string, text []byte, fresh fs.FileMode) error {
	if f, ok, err := stream(name); ok {
		if err == nil {
			_, err = f.Write(text)
		}
		return closed(f, err)
	}
	p, err := find(name)
	if err != nil {
		return err
	}
	defer p.close()
	return p.replace(text, fresh)
}

// Create makes an empty file by the rules of Write, or empties the one that is there, and opens it
// for what grows.
func Create(name string) (*os.File, error) {
	p, err := find(name)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.replace(nil, Private); err != nil {
		return nil, err
	}
	fd, err := unix.Openat(p.dir, p.entry, unix.O_WRONLY|unix.O_APPEND|unix.O_NOFOLLOW|
		unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, p.fail("open", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Writable says whether Write would be able to, without leaving anything: for what takes
// long before it has a result.
func Writable(name string) error {
	if f, ok, err := stream(name); ok {
		return closed(f, err)
	}
	p, err := find(name)
	if err != nil {
		return err
	}
	defer p.close()
	f, part, err := p.part(Private)
	if err != nil {
		return err
	}
	return p.fail("remove", errors.Join(f.Close(), unix.Unlinkat(p.dir, part, 0)))
}

// place is an entry of a directory that is held open.
type place struct {
	name  string // as the user wrote it
	dir   int
	entry string
	old   *unix.Stat_t // nil where there is nothing of this name
}

// find opens the directory of a file and looks at what has its name.
func find(name string) (*place, error) {
	dir, entry := split(name)
	fd, err := walk(name, dir)
	if err != nil {
		return nil, err
	}
	p := &place{name: name, dir: fd, entry: entry}
	var s unix.Stat_t
	switch err := unix.Fstatat(fd, entry, &s, unix.AT_SYMLINK_NOFOLLOW); err {
	case nil:
		p.old = &s
		err = p.admit()
		if err != nil {
			p.close()
			return nil, err
		}
	case unix.ENOENT:
	default:
		p.close()
		return nil, p.fail("open", err)
	}
	return p, nil
}

// split is a path's directory, as it is written, and its last part.
func split(name string) (dir, entry string) {
	i := strings.LastIndexByte(name, '/')
	dir, entry = name[:i+1], name[i+1:]
	if dir == "" {
		dir = "."
	}
	if entry == "" || entry == ".." {
		return name, "." // a directory, which admit says
	}
	return dir, entry
}

func (p *place) close() { _ = unix.Close(p.dir) } // it was opened for its name only

func (p *place) fail(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: p.name, Err: err}
}

// admit says what is wrong with replacing what is there.
func (p *place) admit() error {
	switch p.old.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return p.admitFile()
	case unix.S_IFDIR:
		return p.fail("write", unix.EISDIR)
	case unix.S_IFLNK:
		return &Refused{p.name, "is a symbolic link",
			"give the name of the file that it leads to"}
	case unix.S_IFIFO:
		return &Refused{p.name, "is a pipe",
			"write to the standard output and let the shell redirect it"}
	}
	return &Refused{p.name, "is a device or a socket", "give the name of a file"}
}

// admitFile refuses files that others have put into a directory that more than its owner may write
// to, as the kernel does (fs.protected_regular, fs/namei.c may_create_in_sticky), and there also
// second names of a file of one's own.
func (p *place) admitFile() error {
	shared, err := trust.Shared(p.dir)
	if err != nil {
		return p.fail("stat", err)
	}
	mine := p.old.Uid == 0 || int(p.old.Uid) == os.Geteuid()
	switch {
	case !shared:
		return nil
	case !mine:
		return &Refused{p.name,
			"belongs to another user, in a directory that others may write to",
			"give a name that is not taken, or a directory of your own"}
	case p.old.Nlink > 1:
		return &Refused{p.name,
			"is one of several names of a file, in a directory that others may " +
				"write to",
			"give a name that is not taken, or a directory of your own"}
	}
	return nil
}

// replace writes a file beside the old one, gives it the old one's owner and mode, and puts
// it in its place.
func (p *place) replace(text []byte, fresh fs.FileMode) error {
	if p.old != nil {
		fresh = Private
	}
	f, part, err := p.part(fresh)
	if err != nil {
		return err
	}
	if p.old != nil {
		err = p.dress(f)
	}
	if err == nil {
		_, err = f.Write(text)
	}
	err = cmp.Or(err, f.Sync(), f.Close())
	if err == nil {
		err = unix.Renameat(p.dir, part, p.dir, p.entry)
	}
	if err != nil {
		_ = unix.Unlinkat(p.dir, part, 0) // the error that matters is the first
	}
	return p.fail("write", bare(err))
}

// part makes a new file of a name that nobody can have planted.
func (p *place) part(mode fs.FileMode) (*os.File, string, error) {
	part := ".maxconn-" + rand.Text()
	flags := unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(p.dir, part, flags, uint32(mode))
	if err != nil {
		return nil, "", p.fail("open", err)
	}
	return os.NewFile(uintptr(fd), p.name), part, nil
}

// dress gives the new file its mode and, as far as this user may, its owner and group.
// Where the group cannot be kept, the group that the file has now may not do what the old
// one might.
func (p *place) dress(f *os.File) error {
	mode := fs.FileMode(p.old.Mode).Perm()
	if os.Geteuid() == 0 {
		if err := f.Chown(int(p.old.Uid), int(p.old.Gid)); err != nil {
			return err
		}
	} else if f.Chown(-1, int(p.old.Gid)) != nil {
		mode &^= 0o070
	}
	return f.Chmod(mode)
}

// closed closes what stream has opened.
func closed(f *os.File, err error) error {
	if f == nil {
		return err
	}
	return cmp.Or(err, f.Close())
}

// bare is the reason alone: the name that the user gave says more than that of the file beside it.
func bare(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}
