//go:build linux

package link

import "fmt"

// Error is the only error type of this package.
type Error struct {
	Op      string // "dump", "parse", "read"
	Subject string // "links", "qdiscs", "addresses", "neighbours", "napi", "gro of eth0"
	Err     error
}

// Error says what was tried on what.
func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Subject, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
