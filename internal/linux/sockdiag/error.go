package sockdiag

import "errors"

// What went wrong when it was no errno.
var (
	// ErrInterrupted: the kernel marked the dump as inconsistent
	// (NLM_F_DUMP_INTR). All of it was delivered; a second try may be whole.
	ErrInterrupted = errors.New("the tables changed during the dump")
	// ErrTruncated: a datagram was larger than the buffer, and its end is lost.
	ErrTruncated = errors.New("datagram larger than the receive buffer")
	// ErrMalformed: the bytes are no netlink message or no inet_diag message.
	ErrMalformed = errors.New("malformed message")
)

// Error is every error of this package but those of the caller's own function.
// Err is a unix.Errno or one of the errors above, so errors.Is finds unix.ENOENT
// (no such diag module), unix.EPERM, unix.EOPNOTSUPP, unix.ENOBUFS, ErrInterrupted.
type Error struct {
	Op  string // what was tried, on what
	Err error
}

func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
