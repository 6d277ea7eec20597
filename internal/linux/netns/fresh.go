//go:build linux

package netns

import "golang.org/x/sys/unix"

// Fresh runs fn in a network namespace that the kernel makes for it, as it would for a
// container, and returns its error. The rules of Do hold. The namespace goes when fn
// returns, unless something keeps it. It needs CAP_SYS_ADMIN in the caller's user
// namespace.
func Fresh(fn func() error) error {
	done := make(chan error, 1)
	onFreshThread(func() {
		err := errLeft
		defer func() { done <- err }()
		if e := unix.Unshare(unix.CLONE_NEWNET); e != nil {
			err = &Error{Op: "make", Subject: "a new one", Reason: Failed, Err: e}
			return
		}
		err = fn()
	})
	return <-done
}
