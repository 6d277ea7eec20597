//go:build linux

// Package fastsock is TCP sockets by bare system calls, for programs that hold
// millions: no goroutine, no buffer and no allocation for a connection, an epoll
// instance of the caller's own, and threads with a descriptor table of their own.
//
// A call that cannot sleep in the kernel (every socket is non-blocking) is made
// without telling the scheduler, as C would; only Epoll.Wait and Nap are announced. Errors are
// bare errnos, 0 for success: the caller counts them. Nothing here is safe for
// concurrent use of the same descriptor, and a descriptor means something only
// on the thread that opened it once UnshareFiles was called there.
//
// Sources: connect(2), tcp(7), epoll(7), unshare(2).
package fastsock
