// Package host is what was observed of one host, as plain data: facts, each
// with its text or the reason why it could not be read. It is pure (no I/O),
// comparable and printable; a snapshot written by `maxconn observe` on one
// machine gives the same verdict on another.
//
// A subject is one network namespace together with the processes that hold
// sockets in it. What could not be seen is a fact with a reason, never a zero.
package host

import (
	"cmp"
	"fmt"
	"strings"
)

// Kind says what a fact is about, and for tables what fields its rows have.
// Every kind stands in kinds.go with its fields.
type Kind string

// Fact is a named thing that can be observed: {sysctl, net.core.somaxconn}.
// The name holds no space. Name "*" of a table kind stands for "the rest of
// this table", and only ever carries a reason why rows are missing.
type Fact struct {
	Kind Kind
	Name string
}

// String is "kind name", as in the snapshot's text form.
func (f Fact) String() string { return string(f.Kind) + " " + f.Name }

// compare orders facts by kind, then name.
func compare(a, b Fact) int {
	return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)),
		strings.Compare(a.Name, b.Name))
}

// Reading is the text of a fact or, where Err is not empty, the reason why it
// could not be read. Exactly one of the two is meaningful.
type Reading struct{ Text, Err string }

// Setting is a fact with a wanted value. The Name of a fact in a table may
// address one field of a row as "row#field": {process, 4711#soft}.
type Setting struct {
	Fact Fact
	Want string
}

// Missing is the error of a fact that a snapshot does not hold.
type Missing struct {
	Fact Fact
	Why  string
}

func (m *Missing) Error() string { return fmt.Sprintf("%s: %s", m.Fact, m.Why) }

// Malformed is the error of a fact whose text is not of the form that its
// reader needs.
type Malformed struct {
	Fact Fact
	Text string
	Want string
}

func (m *Malformed) Error() string {
	return fmt.Sprintf("%s: %q is not %s", m.Fact, m.Text, m.Want)
}
