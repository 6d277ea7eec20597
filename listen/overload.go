package listen

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
)

// refusal is what came of refusing one connection in place of the reserve.
type refusal int

const (
	refusedOne refusal = iota
	queueEmpty
	reserveLost
)

// noFile: the process or the system has no descriptor left.
func noFile(err error) bool { return isOneOf(err, noFileErrors) }

// lacking: something ran out, and accept may work later.
func lacking(err error) bool { return noFile(err) || isOneOf(err, lackingErrors) }

// transient: the error is that of one connection, and the next may be well.
func transient(err error) bool { return isOneOf(err, pendingErrors) }

func isOneOf(err error, all []error) bool {
	return slices.ContainsFunc(all, func(e error) bool { return errors.Is(err, e) })
}

// ErrLimit is what Config.Warn gets, wrapped, when connections are refused or wait because of
// Config.MaxConnections.
var ErrLimit = errors.New("connection limit reached")

// waits says that clients wait for places, as opposed to being refused.
func (l *Listener) waits() bool { return l.places != nil && l.cfg.AtLimit == Wait }

// admit gives a connection its place, or refuses it and returns nil.
func (l *Listener) admit(s *shard, c net.Conn) net.Conn {
	if l.places == nil {
		return c
	}
	select {
	case l.places <- struct{}{}:
		return l.placed(c)
	default:
	}
	l.warn(fmt.Errorf("%w: %d are open, policy %v", ErrLimit, l.cfg.MaxConnections,
		l.cfg.AtLimit))
	if l.cfg.AtLimit != Wait {
		s.atLimit.Add(1)
		l.refuse(c)
		return nil
	}
	select {
	case l.places <- struct{}{}:
		return l.placed(c)
	case <-l.closed:
		l.keep(s, c)
		return nil
	}
}

// Unknown stands for a figure that could not be read. It is never used for one that is zero.
const Unknown = -1

// BacklogError says that the kernel made a queue shorter than asked. The listener, if it is one
// that listens already, has a queue of Got.
type BacklogError struct {
	Queue string // "backlog" or "fast open queue"
	Asked int    // connections
	Got   int    // what the kernel keeps
	// net.core.somaxconn as this process sees it; Unknown when it cannot be read
	Somaxconn int
}

// Error names the setting that has to be raised first.
func (e *BacklogError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d: the kernel cut it to %d", e.Queue, e.Asked, e.Got)
	switch e.Somaxconn {
	case Unknown:
		b.WriteString(" (net.core.somaxconn cannot be read)")
	case e.Got:
		fmt.Fprintf(&b,
			", which is net.core.somaxconn in this network namespace: raise that first")
	default:
		fmt.Fprintf(&b,
			", though net.core.somaxconn reads %d: changed just now, or another "+
				"namespace", e.Somaxconn)
	}
	return b.String()
}

// Resize changes the limit of the accept queue of each shard while it listens, up or down;
// 0 asks for as much as net.core.somaxconn allows now. It takes effect at once and no
// queued connection is lost: a shorter queue just takes no more until it has drained.
// Clients whose handshakes were dropped come back with their next retransmission, one
// second after the first.
//
// When the kernel cut it the error holds a *BacklogError, and the queue has the size Got.
// The old size is not put back, for the kernel cuts that by the same rule. Resize may be
// called from any goroutine; after Close the error is net.ErrClosed.
func (l *Listener) Resize(backlog int) error {
	if _, err := (Config{Backlog: backlog}).complete(); err != nil {
		return l.fail("resize", err)
	}
	l.resizing.Lock()
	defer l.resizing.Unlock()
	if l.closing.Load() {
		return l.fail("resize", net.ErrClosed)
	}
	var first error
	for _, s := range l.shards {
		if err := s.setBacklog(backlog); err != nil && first == nil {
			first = err
		}
	}
	if first != nil {
		return l.fail("resize", first)
	}
	return nil
}

// setBacklog calls listen(2) again and reads back what it did.
func (s *shard) setBacklog(backlog int) error {
	if err := relisten(s.raw, backlog); err != nil {
		return err
	}
	got := readQueue(s.raw).limit
	// a Unix or MPTCP socket: the kernel's rule, computed (net/socket.c __sys_listen)
	if got == Unknown {
		got = cut(backlog, somaxconn())
	}
	s.limit.Store(int64(got))
	if backlog > 0 && got != Unknown && got < backlog {
		return &BacklogError{Queue: "backlog", Asked: backlog, Got: got,
			Somaxconn: somaxconn()}
	}
	return nil
}

// cut is min(backlog, somaxconn) with backlog 0 for the largest.
func cut(backlog, somaxconn int) int {
	if somaxconn == Unknown {
		return Unknown
	}
	if backlog == 0 {
		return somaxconn
	}
	return min(backlog, somaxconn)
}
