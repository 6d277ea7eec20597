//go:build linux

package tune

import "fmt"

// Error is the only error type of this package. Err is what the operating
// system said; it is nil when the write was accepted but another value was kept.
type Error struct {
	Op      string // "write", "read back", "set up", "add address", ...
	Subject string // net.core.somaxconn, lo, 10.0.0.1/8 on lo, process 123
	Want    string // what was to be written
	Got     string // what was read back, when that differs
	Err     error
}

// Error says what was tried on what: write net.core.somaxconn: read back 4096, want 65535.
func (e *Error) Error() string {
	switch {
	case e.Kept():
		return fmt.Sprintf("%s %s: read back %s, want %s", e.Op, e.Subject, e.Got, e.Want)
	case e.Want != "":
		return fmt.Sprintf("%s %s = %s: %v", e.Op, e.Subject, e.Want, e.Err)
	}
	return fmt.Sprintf("%s %s: %v", e.Op, e.Subject, e.Err)
}

// Kept reports whether the kernel accepted the write and kept another value.
func (e *Error) Kept() bool { return e.Err == nil }

// Unwrap gives the error of the operating system.
func (e *Error) Unwrap() error { return e.Err }
