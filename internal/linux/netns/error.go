//go:build linux

package netns

import (
	"fmt"
	"strings"
)

// Reason says why a namespace could not be used, so that a caller can choose a
// hint without reading the text.
type Reason int

const (
	// Failed is any other error of the operating system; see Error.Err.
	Failed Reason = iota
	// NoSuchName: no name, path or process of that spelling exists.
	NoSuchName
	// NotNamespace: the file exists but is not a network namespace. A stale file
	// under /run/netns, left by a mount namespace that went away, is the usual one.
	NotNamespace
	// Permission: reading /proc/PID/ns/net takes the same user or CAP_SYS_PTRACE;
	// entering takes CAP_SYS_ADMIN here and in the owner of the namespace.
	Permission
	// Gone: the process ended, or is a zombie and has no namespace any more.
	Gone
)

// String is a short phrase for messages.
func (r Reason) String() string {
	switch r {
	case NoSuchName:
		return "no such network namespace"
	case NotNamespace:
		return "not a network namespace"
	case Permission:
		return "no permission"
	case Gone:
		return "the process is gone"
	}
	return "failed"
}

// Error is the only error type of this package.
type Error struct {
	Op      string // "resolve", "identify", "enter", "list"
	Subject string // the word, path or process it was tried on
	Reason  Reason
	Near    []string // NoSuchName: existing names spelled alike, nearest first
	Known   []string // NoSuchName: the existing names, sorted
	Err     error    // what the operating system said; may be nil
}

// Error says what was tried on what, and what there is instead.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s network namespace %q: %s", e.Op, e.Subject, e.Reason)
	if e.Reason == Permission && e.Op == "enter" {
		b.WriteString(" (needs CAP_SYS_ADMIN)")
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	writeNames(&b, "near", e.Near)
	if len(e.Near) == 0 {
		writeNames(&b, "there are", e.Known)
	}
	return b.String()
}

// Unwrap gives the error of the operating system.
func (e *Error) Unwrap() error { return e.Err }

// maxShown keeps a message readable on a host with hundreds of names.
const maxShown = 8

func writeNames(b *strings.Builder, label string, names []string) {
	if len(names) == 0 {
		return
	}
	shown := names[:min(len(names), maxShown)]
	fmt.Fprintf(b, "; %s: %s", label, strings.Join(shown, ", "))
	if more := len(names) - len(shown); more > 0 {
		fmt.Fprintf(b, " and %d more", more)
	}
}
