package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// Sentinels for errors.Is.
var (
	// ErrPortsExhausted: no source address has a port left for the destination. The error is
	// a *PortsExhaustedError; it matches syscall.EADDRNOTAVAIL too.
	ErrPortsExhausted = errors.New("no source port is left")

	// ErrLimit: the context ended while the dial waited for its turn under MaxOpen or
	// MaxPerSecond. The error is a *LimitError.
	ErrLimit = errors.New("limit of this dialer")

	// ErrNoSource: the pool has no source address for the destination's family, or the host has
	// lost them all. It matches syscall.EADDRNOTAVAIL too when they were lost.
	ErrNoSource = errors.New("no source address")
)

// PortsExhaustedError says that every pair of a source address and the destination is out of ports.
type PortsExhaustedError struct {
	Destination netip.AddrPort
	Pairs       []PairStats   // what was tried
	Ports       PortRange     // what ports are chosen from; the zero value when unknown
	Waited      time.Duration // for a port to come back
	Err         error         // the context's error when that ended the wait, else nil
}

// Error names destination, use, and what would help.
func (e *PortsExhaustedError) Error() string {
	var open, lingering, total int
	for _, p := range e.Pairs {
		open, lingering, total = open+p.Open, lingering+p.TimeWait, total+max(0, p.Capacity)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "no source port is left for %v", e.Destination)
	if e.Waited > 0 {
		fmt.Fprintf(&b, " after %v", e.Waited.Round(time.Millisecond))
	}
	if e.Ports.set() {
		fmt.Fprintf(&b, ": source addresses: %d, ports of %v: %d", len(e.Pairs), e.Ports,
			total)
	} else {
		fmt.Fprintf(&b, ": source addresses: %d", len(e.Pairs))
	}
	fmt.Fprintf(&b,
		", open here: %d, in TIME_WAIT about %d, the rest are in use by other programs",
		open, lingering)
	b.WriteString("; what helps: more source addresses or destinations, a wider " +
		"net.ipv4.ip_local_port_range, connections that are kept and used again")
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap gives ErrPortsExhausted, syscall.EADDRNOTAVAIL and Err.
func (e *PortsExhaustedError) Unwrap() []error {
	all := []error{ErrPortsExhausted, errNoPortNumber}
	if e.Err != nil {
		all = append(all, e.Err)
	}
	return all
}

// Timeout says whether a deadline ended the wait.
func (e *PortsExhaustedError) Timeout() bool { return errors.Is(e.Err, context.DeadlineExceeded) }

// Temporary is true: ports come back.
func (e *PortsExhaustedError) Temporary() bool { return true }

// LimitError says that a dial waited for its turn until its context ended.
type LimitError struct {
	Destination netip.AddrPort
	Limit       string  // "MaxOpen" or "MaxPerSecond"
	Value       float64 // of the limit
	Ahead       int     // dials that were to be served before
	Err         error   // the context's
}

// Error names the limit, the destination and how many dials were ahead.
func (e *LimitError) Error() string {
	helps := "close connections or raise MaxOpen"
	if e.Limit == "MaxPerSecond" {
		helps = "keep connections and use them again, or raise MaxPerSecond"
	}
	return fmt.Sprintf("limit of this dialer: %s %v for %v, %d dials ahead: %v; what helps: %s",
		e.Limit, e.Value, e.Destination, e.Ahead, e.Err, helps)
}

// Unwrap gives ErrLimit and Err.
func (e *LimitError) Unwrap() []error { return []error{ErrLimit, e.Err} }

// Timeout says whether a deadline ended the wait.
func (e *LimitError) Timeout() bool { return errors.Is(e.Err, context.DeadlineExceeded) }

// Temporary is true: a turn comes.
func (e *LimitError) Temporary() bool { return true }

// sourceError is ErrNoSource with its reason; lost when there were addresses.
type sourceError struct {
	what string
	lost bool
	err  error
}

func (e *sourceError) Error() string {
	if e.err != nil {
		return fmt.Sprintf("no source address for %s: %v", e.what, e.err)
	}
	if e.lost {
		return fmt.Sprintf(
			"no source address for %s: the host has lost all of the pool; they are "+
				"tried again after a second, and at Refresh", e.what)
	}
	return fmt.Sprintf("no source address for %s: the pool has none of that family", e.what)
}

func (e *sourceError) Unwrap() []error {
	all := []error{ErrNoSource}
	if e.lost {
		all = append(all, errNoPortNumber)
	}
	if e.err != nil {
		all = append(all, e.err)
	}
	return all
}

// opError is the form in which net reports. An address that is not valid is left out.
func opError(network string, to net.Addr, err error) error {
	return &net.OpError{Op: "dial", Net: network, Addr: to, Err: timely(err)}
}

// deadlineError is both errors that net has for a deadline that has passed. Which of them a
// handshake ends with there depends on whether the poller or the context is faster
// (net/fd_unix.go connect).
type deadlineError struct{}

func (deadlineError) Error() string   { return os.ErrDeadlineExceeded.Error() }
func (deadlineError) Timeout() bool   { return true }
func (deadlineError) Temporary() bool { return true }
func (deadlineError) Is(err error) bool {
	return err == context.DeadlineExceeded || err == os.ErrDeadlineExceeded
}

// timely knows net's two by their text, which is the same: the type of one is not exported.
func timely(err error) error {
	if err == context.DeadlineExceeded || err.Error() == os.ErrDeadlineExceeded.Error() {
		return deadlineError{}
	}
	return err
}
