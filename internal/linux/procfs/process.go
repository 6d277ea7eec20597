package procfs

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

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

// initialPIDNS is the inode number of the initial pid namespace
// (include/linux/proc_ns.h PROC_PID_INIT_INO, since 3.8).
const initialPIDNS = 0xEFFFFFFC

// ShowsHost reports whether this root lists the processes of the whole host:
// it knows this process, which is in the initial pid namespace. Any other pid
// namespace lacks at least the processes of its parent, and these may share a
// network namespace with it.
func (r Root) ShowsHost() (bool, error) {
	path := r.path("self/ns/pid")
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return false, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino == initialPIDNS, nil
}

// Bound is the value of a resource limit. Unlimited is a value of its own and
// no number.
type Bound struct {
	N         uint64 // 0 when unlimited
	Unlimited bool
}

// String returns the kernel's text: a number or "unlimited".
func (b Bound) String() string {
	if b.Unlimited {
		return "unlimited"
	}
	return strconv.FormatUint(b.N, 10)
}

// ResourceLimit is one row of /proc/PID/limits.
type ResourceLimit struct {
	Name string // such as "Max open files"
	Soft Bound
	Hard Bound
	Unit string // such as "files"; empty for priorities
}

// ResourceLimits are the rows of /proc/PID/limits.
type ResourceLimits []ResourceLimit

// Named returns the limit of a name, or false where this kernel has none.
func (r ResourceLimits) Named(name string) (ResourceLimit, bool) {
	i := slices.IndexFunc(r, func(l ResourceLimit) bool { return l.Name == name })
	if i < 0 {
		return ResourceLimit{}, false
	}
	return r[i], true
}

// limitColumns are where the columns of /proc/PID/limits begin. Names hold
// spaces, so only the place tells a name from a value.
type limitColumns struct{ soft, hard, unit int }

// ParseLimits reads /proc/PID/limits (fs/proc/base.c proc_pid_limits).
func ParseLimits(b []byte) (ResourceLimits, error) {
	l, err := wholeLines("limits", b)
	if err != nil {
		return nil, err
	}
	head, _ := l.next()
	at := limitColumns{
		soft: strings.Index(head, "Soft Limit"),
		hard: strings.Index(head, "Hard Limit"),
		unit: strings.Index(head, "Units"),
	}
	if !strings.HasPrefix(head, "Limit ") || at.soft <= 0 || at.hard <= at.soft ||
		at.unit <= at.hard {
		return nil, l.errorf("%s is not the header", clip(head))
	}
	var limits ResourceLimits
	for {
		line, ok := l.next()
		if !ok {
			break
		}
		limit, err := l.limit(line, at)
		if err != nil {
			return nil, err
		}
		limits = append(limits, limit)
	}
	if len(limits) == 0 {
		return nil, l.wholef("no limit follows the header")
	}
	return limits, nil
}

func (l *lines) limit(line string, at limitColumns) (ResourceLimit, error) {
	name := strings.TrimSpace(between(line, 0, at.soft))
	if !isName(name) {
		return ResourceLimit{}, l.errorf("%s does not begin with a name", clip(line))
	}
	soft, err := l.bound(name+", soft", between(line, at.soft, at.hard))
	if err != nil {
		return ResourceLimit{}, err
	}
	hard, err := l.bound(name+", hard", between(line, at.hard, at.unit))
	if err != nil {
		return ResourceLimit{}, err
	}
	unit := strings.TrimSpace(between(line, at.unit, len(line)))
	return ResourceLimit{Name: name, Soft: soft, Hard: hard, Unit: unit}, nil
}

func (l *lines) bound(what, text string) (Bound, error) {
	text = strings.TrimSpace(text)
	if text == "unlimited" {
		return Bound{Unlimited: true}, nil
	}
	n, err := l.number(clip(what), text)
	return Bound{N: n}, err
}

// between is line[from:to], as much of it as there is.
func between(line string, from, to int) string {
	return line[min(from, len(line)):min(to, len(line))]
}
