package apply

import (
	"errors"
	"fmt"

	"github.com/maxconn/maxconn/internal/plan"
)

// Kernel is the running system as far as a plan changes it. Values are text as in a plan.
//
// Read gives the value that is there now. Write sets another and reads it back: a *Kept
// error says that the kernel took the value and made another of it. Both return ErrGone for
// a target that no longer exists: a process that ended (its pid may be in use again), a
// socket that was closed, a device that was removed.
type Kernel interface {
	Read(plan.Target) (string, error)
	Write(t plan.Target, value string) error
}

// Usage says what is in use of a target now, in the unit of its value, and of what:
// "connections in the queue". A target of which nothing is used up has the empty text. What
// cannot be told is an error.
type Usage interface {
	InUse(plan.Target) (n int64, of string, err error)
}

// Prober is a Kernel that can tell before the first write that a change will not be permitted.
type Prober interface {
	Probe(t plan.Target, value string) error
}

// ErrGone is a target that no longer exists.
var ErrGone = errors.New("it is gone")

// Kept is a value that the kernel accepted and changed.
type Kept struct{ Want, Got string }

func (k *Kept) Error() string { return fmt.Sprintf("the kernel kept %s, not %s", k.Got, k.Want) }

// TargetError is a failure at one target of a plan.
type TargetError struct {
	Op      string // "read", "write"
	Setting string // the target in words
	Value   string // what was to be written, "" when reading
	Err     error
	Need    string // which right is missing, "" where that is not the cause
}

// Error says what was tried on what: write net.core.somaxconn = 4096: read-only file system.
func (e *TargetError) Error() string {
	what := e.Op + " " + e.Setting
	if e.Value != "" {
		what += " = " + e.Value
	}
	if e.Need != "" {
		return fmt.Sprintf("%s: %v (%s)", what, e.Err, e.Need)
	}
	return fmt.Sprintf("%s: %v", what, e.Err)
}

// Unwrap gives the cause.
func (e *TargetError) Unwrap() error { return e.Err }

// Refusal is something that was not begun: nothing was changed.
type Refusal struct {
	Why  string
	Hint string // what to do about it, "" where nothing
	Err  error  // the cause, or nil
}

// Error is one line.
func (r *Refusal) Error() string { return r.Why }

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.Err }
