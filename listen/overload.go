package listen

import (
	"errors"
	"slices"
	"syscall"
)

// refusal is what came of refusing one connection in place of the reserve.
type refusal int

const (
	refusedOne refusal = iota
	queueEmpty
	reserveLost
)

// noFile: the process or the system has no descriptor left.
func noFile(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// lacking: something ran out, and accept may work later. ENOSPC comes from adding the connection to epoll (fs.epoll.max_user_watches);
// package net has closed it then.
func lacking(err error) bool {
	return noFile(err) || errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM) || errors.Is(err, syscall.ENOSPC)
}

// transient: the error is that of one connection, and the next may be well.
func transient(err error) bool {
	return slices.ContainsFunc(pendingErrors, func(e error) bool { return errors.Is(err, e) })
}
