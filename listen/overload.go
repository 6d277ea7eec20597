package listen

import (
	"errors"
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
