//go:build linux

package netns

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Namespace is one network namespace that is visible from here.
type Namespace struct {
	ID        ID
	Path      Path     // a file to enter it by: its name's if it has one, else a process's
	Own       bool     // the calling thread is in it
	Names     []string // under the named directories, sorted; often none
	PID       int      // lowest process ID in it; 0: no visible process
	Comm      string   // that process's name; "" when it could not be read
	Processes int      // visible processes in it
}

// Unreadable counts processes or names whose namespace could not be read.
type Unreadable struct {
	Reason string
	Count  int
}

// Listing is every distinct network namespace visible, the own one first, then by
// lowest process ID, then those that have only a name. What could not be read is
// counted, most first: without privileges that is every process of other users.
// Namespaces held only by a file descriptor, a socket or a thread other than a
// main one are not visible to anybody this way.
type Listing struct {
	Namespaces []Namespace
	Unreadable []Unreadable
}

// List reads the own namespace, the named ones, and /proc/PID/ns/net of each
// process. It costs one stat(2) a process. A process that ends meanwhile is left out.
func (v View) List() (Listing, error) {
	l := lister{view: v, found: map[ID]*Namespace{}, failed: map[string]int{}}
	own, err := Self()
	if err != nil {
		return Listing{}, err
	}
	l.at(own, ownPath).Own = true
	l.readNames()
	if err := l.readProcesses(); err != nil {
		return Listing{}, &Error{Op: "list", Subject: v.Proc, Reason: Failed, Err: err}
	}
	return l.listing(), nil
}

type lister struct {
	view   View
	found  map[ID]*Namespace
	failed map[string]int
}

func (l *lister) at(id ID, p Path) *Namespace {
	ns, ok := l.found[id]
	if !ok {
		ns = &Namespace{ID: id, Path: p}
		l.found[id] = ns
	}
	return ns
}

func (l *lister) readNames() {
	for _, name := range l.view.names() {
		p, ok := l.view.byName(name)
		if !ok {
			continue
		}
		id, err := Identify(p)
		if err != nil {
			l.failed[reasonOf(err)]++
			continue
		}
		ns := l.at(id, p)
		if len(ns.Names) == 0 {
			ns.Path = p
		}
		ns.Names = append(ns.Names, name)
	}
}

func (l *lister) readProcesses() error {
	dir, err := os.Open(l.view.Proc)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			l.readProcess(pid)
		}
	}
	return nil
}

func (l *lister) readProcess(pid int) {
	p := l.view.processPath(pid)
	id, err := statID(string(p))
	if err != nil {
		if process, _ := processOf(p); !gone(process) && !errors.Is(err, fs.ErrNotExist) {
			l.failed[errnoText(err)]++
		}
		return
	}
	ns := l.at(id, p)
	ns.Processes++
	if ns.PID == 0 || pid < ns.PID {
		ns.PID = pid
		if len(ns.Names) == 0 {
			ns.Path = p
		}
	}
}

// statID follows the link, which asks for the same permission as opening it, and
// spares the open: there may be many processes.
func statID(p string) (ID, error) {
	fi, err := os.Stat(p)
	if err != nil {
		return ID{}, err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return ID{}, errNotNsfs
	}
	return ID{Dev: uint64(st.Dev), Inode: st.Ino}, nil
}

func (l *lister) listing() Listing {
	var out Listing
	for _, ns := range l.found {
		ns.Comm = l.comm(ns.PID)
		out.Namespaces = append(out.Namespaces, *ns)
	}
	slices.SortFunc(out.Namespaces, inOrder)
	for reason, n := range l.failed {
		out.Unreadable = append(out.Unreadable, Unreadable{reason, n})
	}
	slices.SortFunc(out.Unreadable, func(a, b Unreadable) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

func inOrder(a, b Namespace) int {
	rank := func(ns Namespace) int {
		switch {
		case ns.Own:
			return 0
		case ns.PID > 0:
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.PID, b.PID),
		slices.Compare(a.Names, b.Names), cmp.Compare(a.ID.Inode, b.ID.Inode))
}

func (l *lister) comm(pid int) string {
	if pid == 0 {
		return ""
	}
	text, err := os.ReadFile(filepath.Join(l.view.Proc, strconv.Itoa(pid), "comm"))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(string(text), "\n")
}

func reasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.Reason != Failed {
		return e.Reason.String()
	}
	return errnoText(err)
}

func errnoText(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
