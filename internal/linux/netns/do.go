//go:build linux

package netns

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/thread"
	"github.com/maxconn/maxconn/internal/near"
)

// Do runs fn inside the namespace ns and returns its error, or an *Error when
// the namespace could not be entered; fn did not run then.
//
// fn runs on a thread of its own, locked to it. Goroutines that fn starts are on
// other threads and so in the old namespace; processes that fn starts are in the
// new one. Inside fn, /proc/net and /proc/self/net still show the old namespace,
// because they mean the main thread: read /proc/thread-self/net (Linux 3.17).
// /proc/sys/net follows the calling thread. /sys does not: it shows the namespace
// of the process that mounted it.
//
// A namespace that is already the thread's own needs no privilege; any other needs
// CAP_SYS_ADMIN, both over the caller and over the target (net/core/
// net_namespace.c netns_install). Do is safe for concurrent use.
func Do(ns Path, fn func() error) error {
	f, id, err := open("enter", ns)
	if err != nil {
		return err
	}
	defer f.Close()
	return doIn(ns, int(f.Fd()), id, fn)
}

// doIn runs fn in the namespace of a descriptor; ns names it in errors.
func doIn(ns Path, fd int, id ID, fn func() error) error {
	done := make(chan error, 1)
	thread.Run(func() {
		err := errLeft
		defer func() { done <- err }()
		if err = enter(ns, fd, id); err != nil {
			return
		}
		err = errLeft
		err = fn()
	})
	return <-done
}

// errLeft answers for a fn that ended its goroutine (runtime.Goexit, which is
// what testing.T.FailNow does) instead of returning.
var errLeft = errors.New(
	"run in network namespace: the function left its goroutine without returning")

func enter(ns Path, fd int, id ID) error {
	if own, err := Self(); err == nil && own == id {
		return nil
	}
	err := unix.Setns(fd, unix.CLONE_NEWNET)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return &Error{Op: "enter", Subject: string(ns), Reason: Permission, Err: err}
	case errors.Is(err, unix.EINVAL):
		return &Error{Op: "enter", Subject: string(ns), Reason: NotNamespace, Err: err}
	}
	return &Error{Op: "enter", Subject: string(ns), Reason: Failed, Err: err}
}

// Fresh runs fn in a network namespace that the kernel makes for it, as it would for a
// container, and returns its error. The rules of Do hold. The namespace goes when fn
// returns, unless something keeps it. It needs CAP_SYS_ADMIN in the caller's user
// namespace.
func Fresh(fn func() error) error {
	done := make(chan error, 1)
	thread.Run(func() {
		err := errLeft
		defer func() { done <- err }()
		if e := unix.Unshare(unix.CLONE_NEWNET); e != nil {
			err = &Error{Op: "make", Subject: "a new one", Reason: Failed, Err: e}
			return
		}
		err = fn()
	})
	return <-done
}

const longestName = 255 // NAME_MAX

// alike gives the names that a user may have meant by word, nearest first: those
// within two edits, and those that contain the word.
func alike(word string, names []string) []string {
	type candidate struct {
		name  string
		edits int
	}
	var found []candidate
	for _, name := range names {
		d := near.Edits(strings.ToLower(word), strings.ToLower(name), longestName)
		if d <= 2 && d < len(name) || len(word) > 1 && strings.Contains(name, word) {
			found = append(found, candidate{name, d})
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Compare(a.edits, b.edits)
	})
	out := make([]string, len(found))
	for i, c := range found {
		out[i] = c.name
	}
	return out
}
