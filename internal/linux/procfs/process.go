package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrGone is the error of everything asked about a process that has ended, or
// that ended while it was read. A zombie has ended: its descriptors and
// namespaces are gone.
var ErrGone = errors.New("process is gone")

// Process is a process held by its directory: once its pid belongs to another
// one, every method returns [ErrGone]. It keeps one descriptor open. Methods
// may be called concurrently, but not with Close.
type Process struct {
	PID  int
	root Root
	path string
	dir  int // O_PATH, so it opens without permission to list the directory
}

// Close lets the process go.
func (p *Process) Close() error { return unix.Close(p.dir) }

// Read returns the bytes of a file below the directory of the process, such as
// "cgroup", "mountinfo" or "net/snmp", the last being of the process's network
// namespace. The error keeps the errno.
func (p *Process) Read(name string) ([]byte, error) {
	b, err := readFile(p.dir, name)
	if err != nil {
		return nil, p.failure("read", name, err)
	}
	return b, nil
}

// Status reads and parses status.
func (p *Process) Status() (Status, error) { return parsed(p, "status", ParseStatus) }

// Stat reads and parses stat.
func (p *Process) Stat() (ProcessStat, error) { return parsed(p, "stat", ParseProcessStat) }

// Limits reads and parses limits.
func (p *Process) Limits() (ResourceLimits, error) { return parsed(p, "limits", ParseLimits) }

// Comm reads the name of the process.
func (p *Process) Comm() (string, error) { return parsed(p, "comm", ParseComm) }

// NetNS identifies a network namespace: two are the same if both numbers are.
type NetNS struct{ Dev, Ino uint64 }

// NetNS returns the network namespace of the process. Without the permission
// that ptrace asks for, it is an error that fs.ErrPermission matches.
func (p *Process) NetNS() (NetNS, error) {
	const name = "ns/net"
	var st unix.Stat_t
	err := unix.Fstatat(p.dir, name, &st, 0)
	if err != nil {
		if thread, _ := p.liveThread(); thread != "" {
			err = unix.Fstatat(p.dir, thread+name, &st, 0)
		}
	}
	if err != nil {
		return NetNS{}, p.failure("stat", name, err)
	}
	return NetNS{Dev: uint64(st.Dev), Ino: st.Ino}, nil
}

// parsed reads and parses one file. What cannot be parsed because the process
// ended half-way is ErrGone.
func parsed[T any](p *Process, name string, parse func([]byte) (T, error)) (T, error) {
	var none T
	b, err := p.Read(name)
	if err != nil {
		return none, err
	}
	v, err := parse(b)
	if err == nil {
		return v, nil
	}
	if p.gone() {
		err = ErrGone
	}
	return none, fmt.Errorf("%s/%s: %w", p.path, name, err)
}

// failure is the error of an operation on a file of the process. The kernel
// says ENOENT both for a process that is gone and for a file that it does not
// have, and EINVAL or EACCES for some files of a zombie.
func (p *Process) failure(op, name string, err error) error {
	if err == unix.ESRCH || p.gone() {
		err = ErrGone
	}
	return &fs.PathError{Op: op, Path: p.path + "/" + name, Err: err}
}

// gone reports whether the process has ended, reaped or not.
func (p *Process) gone() bool {
	if p.reaped() {
		return true
	}
	_, err := p.liveThread()
	return err == ErrGone
}

// reaped reports whether the pid is free or belongs to another process: until
// then, looking it up gives the very inode that is held.
func (p *Process) reaped() bool {
	var held, now unix.Stat_t
	if unix.Fstat(p.dir, &held) != nil {
		return false
	}
	err := unix.Fstatat(unix.AT_FDCWD, p.path, &now, 0)
	return err == unix.ENOENT || err == nil && (held.Dev != now.Dev || held.Ino != now.Ino)
}

// liveThread returns "" while the first thread lives. That thread may exit
// before the others (pthread_exit in main); it is then a zombie without
// descriptors, and liveThread returns the directory of a thread that has them,
// such as "task/12/". ErrGone means that none is left. What cannot be read, as
// in a copy of /proc without stat files, counts as living; but where there is no
// descriptor left to read it with, that is the error, for it says nothing of the
// process.
func (p *Process) liveThread() (string, error) {
	live, err := p.live("")
	switch {
	case outOfFiles(err):
		return "", err
	case err != nil && p.reaped():
		return "", ErrGone
	case live || err != nil:
		return "", nil
	}
	task, err := openDir(p.dir, "task")
	if outOfFiles(err) {
		return "", err
	}
	if err != nil {
		return "", ErrGone
	}
	defer unix.Close(task)
	list := newDirents(task, make([]byte, 4096))
	for {
		name, ok, err := list.next()
		if !ok || err != nil {
			return "", ErrGone
		}
		tid, ok := decimal(name)
		if !ok {
			continue
		}
		thread := "task/" + strconv.Itoa(tid) + "/"
		live, err := p.live(thread)
		switch {
		case live:
			return thread, nil
		case outOfFiles(err):
			return "", err
		}
	}
}

// live reports whether a thread has not begun to exit; an error is that this
// cannot be told.
func (p *Process) live(thread string) (bool, error) {
	b, err := readFile(p.dir, thread+"stat")
	if err != nil {
		return false, err
	}
	stat, err := ParseProcessStat(b)
	if err != nil {
		return false, err
	}
	return !stat.Exiting(), nil
}

// outOfFiles reports whether the reader itself could open nothing more: it has
// all descriptors that its limit allows, or the host has.
func outOfFiles(err error) bool { return err == unix.EMFILE || err == unix.ENFILE }
