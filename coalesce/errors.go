package coalesce

import (
	"errors"
	"fmt"
	"net"
	"os"
)

var (
	// ErrFull is returned when a message would pass MaxPending or the Budget
	// and may not wait.
	ErrFull = errors.New("coalesce: pending bytes at their limit")

	// ErrStuck is part of the error of a connection whose peer took no byte
	// for WriteTimeout. errors.Is also holds with os.ErrDeadlineExceeded.
	ErrStuck = errors.New("peer takes no data")

	// ErrLingering is part of the error of Close when it leaves bytes to be sent after it has
	// returned. errors.Is also holds with os.ErrDeadlineExceeded.
	ErrLingering = errors.New("still sending in the background")

	errLingering    = fmt.Errorf("%w: %w", ErrLingering, os.ErrDeadlineExceeded)
	errCloseTimeout = fmt.Errorf("CloseTimeout: %w", os.ErrDeadlineExceeded)
)

// Error is the lasting error of a connection that could not send, and says
// what became of the bytes that Write had accepted. Bytes sent are in the
// kernel; whether the peer has them cannot be known here. Methods of net.Conn return it
// inside a *net.OpError, as those of the net package do.
type Error struct {
	Err            error // the first failure; errors.Is and errors.As see it
	Accepted, Sent int64 // bytes, since the connection was wrapped
}

// Error gives the failure and the number of bytes not sent.
func (e *Error) Error() string {
	return fmt.Sprintf("coalesce: %v (%d of %d accepted bytes not sent)",
		e.Err, e.Unsent(), e.Accepted)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Unsent is the number of accepted bytes that never reached the kernel.
func (e *Error) Unsent() int64 { return e.Accepted - e.Sent }

// Timeout says whether the failure was one of time, as net.Error wants it.
func (e *Error) Timeout() bool { return errors.Is(e.Err, os.ErrDeadlineExceeded) }

// Temporary is false: a connection that failed does not recover.
func (e *Error) Temporary() bool { return false }

// opError is the error of one call on a connection that goes on.
func (c *Conn) opError(op string, err error) error {
	e := &net.OpError{Op: op, Err: err, Source: c.inner.LocalAddr(), Addr: c.inner.RemoteAddr()}
	if e.Addr != nil {
		e.Net = e.Addr.Network()
	}
	return e
}

// failure is the lasting error as a call returns it, with the counts of now. mu is held.
func (c *Conn) failure(op string) error { return c.opError(op, c.lasting(c.cause)) }

// lasting gives a cause the counts of now. What the net package says around the cause is left
// out, since opError says it. mu is held.
func (c *Conn) lasting(cause error) *Error {
	return &Error{Err: bareError(cause), Accepted: c.accepted, Sent: c.sent}
}

// bareError is what the net package has put into an error of its own.
func bareError(err error) error {
	if op, ok := err.(*net.OpError); ok {
		return op.Err
	}
	return err
}
