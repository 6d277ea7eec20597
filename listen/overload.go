package listen

import (
	"errors"
	"fmt"
	"net"
	"slices"
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
