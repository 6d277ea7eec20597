package sockdiag

import (
	"testing"

	"golang.org/x/sys/unix"
)

// scene makes one socket of a kind, and says how to tell it from others once
// it has come into its state.
type scene struct {
	name string
	make func(tb testing.TB) func(Socket) bool
}

func and(match func(Socket) bool, state State) func(Socket) bool {
	return func(s Socket) bool { return s.State == state && match(s) }
}

func scenes() []scene {
	return []scene{
		{"listen_v4", func(tb testing.TB) func(Socket) bool {
			return listening(tb, unix.AF_INET, "127.0.0.1")
		}},
		{"listen_v6", func(tb testing.TB) func(Socket) bool {
			return listening(tb, unix.AF_INET6, "::")
		}},
		{"established_v4", func(tb testing.TB) func(Socket) bool {
			return same(tb, newPair(tb, unix.AF_INET, "127.0.0.1").client)
		}},
		{"established_v6", func(tb testing.TB) func(Socket) bool {
			return same(tb, newPair(tb, unix.AF_INET6, "::1").client)
		}},
		{"established_mapped", func(tb testing.TB) func(Socket) bool {
			return same(tb, newPair(tb, unix.AF_INET6, "::ffff:127.0.0.1").client)
		}},
		{"not_accepted", notAccepted},
		{"syn_sent", synSent},
		{"syn_recv", synReceived},
		{"fin_wait_2", func(tb testing.TB) func(Socket) bool {
			return same(tb, halfClosed(tb).client)
		}},
		{"fin_wait_2_orphan", orphaned},
		{"close_wait", func(tb testing.TB) func(Socket) bool {
			return same(tb, halfClosed(tb).server)
		}},
		{"time_wait", func(tb testing.TB) func(Socket) bool {
			return waiting(tb, unix.AF_INET, "127.0.0.1")
		}},
		{"time_wait_mapped", func(tb testing.TB) func(Socket) bool {
			return waiting(tb, unix.AF_INET6, "::ffff:127.0.0.1")
		}},
		{"bound_v4", func(tb testing.TB) func(Socket) bool {
			return bound(tb, unix.AF_INET, "127.0.0.1:0")
		}},
		{"bound_v6", func(tb testing.TB) func(Socket) bool {
			return bound(tb, unix.AF_INET6, "[::1]:0")
		}},
		{"bound_after_refusal", refused},
	}
}

// listening has a backlog of 5 and 3 connections in its queue.
func listening(tb testing.TB, family int, address string) func(Socket) bool {
	listener := newListener(tb, family, address, 5)
	for range 3 {
		connect(tb, unix.AF_INET, "127.0.0.1", listener)
	}
	return same(tb, listener)
}

func notAccepted(tb testing.TB) func(Socket) bool {
	listener := newListener(tb, unix.AF_INET, "127.0.0.1", 5)
	client := connect(tb, unix.AF_INET, "127.0.0.1", listener)
	return between(name(tb, listener).Port(), name(tb, client).Port())
}

// synSent is refused silently: the queue of the listener is full.
func synSent(tb testing.TB) func(Socket) bool {
	return same(tb, overflow(tb, 1)[1])
}

// overflow returns a listener with room for one connection, which it has, and
// n clients that found no room.
func overflow(tb testing.TB, n int) []int {
	listener := newListener(tb, unix.AF_INET, "127.0.0.1", 0)
	connect(tb, unix.AF_INET, "127.0.0.1", listener)
	fds := []int{listener}
	for range n {
		fd := newSocket(tb, unix.AF_INET)
		must(tb, unix.SetNonblock(fd, true), "O_NONBLOCK")
		if err := unix.Connect(fd, target(tb, unix.AF_INET, "127.0.0.1", listener)); err !=
			unix.EINPROGRESS {
			tb.Fatalf("connect to a full listener: %v", err)
		}
		fds = append(fds, fd)
	}
	return fds
}

// synReceived stays half open because the listener waits for data.
func synReceived(tb testing.TB) func(Socket) bool {
	listener := newListener(tb, unix.AF_INET6, "::", 5)
	must(tb, unix.SetsockoptInt(listener, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, 60),
		"TCP_DEFER_ACCEPT")
	client := connect(tb, unix.AF_INET, "127.0.0.1", listener)
	return between(name(tb, listener).Port(), name(tb, client).Port())
}

// halfClosed is a connection of which the client sends no more.
func halfClosed(tb testing.TB) pair {
	p := newPair(tb, unix.AF_INET, "127.0.0.1")
	must(tb, unix.Shutdown(p.client, unix.SHUT_WR), "shutdown")
	return p
}

// orphaned has been closed by its process, and not by the peer.
func orphaned(tb testing.TB) func(Socket) bool {
	p := newPair(tb, unix.AF_INET, "127.0.0.1")
	match := between(name(tb, p.client).Port(), name(tb, p.listener).Port())
	closeNow(tb, p.client)
	return and(match, FinWait2)
}

// waiting closed first.
func waiting(tb testing.TB, family int, address string) func(Socket) bool {
	p := newPair(tb, family, address)
	match := between(name(tb, p.client).Port(), name(tb, p.listener).Port())
	closeNow(tb, p.client)
	if n, err := unix.Read(p.server, make([]byte, 1)); n != 0 || err != nil {
		tb.Fatalf("read of a closed connection: %d, %v", n, err)
	}
	closeNow(tb, p.server)
	return and(match, TimeWait)
}

func bound(tb testing.TB, family int, at string) func(Socket) bool {
	needBound(tb)
	fd := newSocket(tb, family)
	bind(tb, fd, family, at)
	return same(tb, fd)
}

// needBound skips where the kernel does not list bound sockets.
func needBound(tb testing.TB) {
	tb.Helper()
	lists, err := ListsBound(0)
	must(tb, err, "ListsBound")
	if !lists {
		tb.Skip("this kernel does not list bound sockets (6.8, 91051f003948)")
	}
}

// refused was bound to a port by name and tried to connect: it keeps the port,
// and the peer's.
func refused(tb testing.TB) func(Socket) bool {
	needBound(tb)
	fd := newSocket(tb, unix.AF_INET)
	bind(tb, fd, unix.AF_INET, "127.0.0.1:20003")
	closed := newSocket(tb, unix.AF_INET)
	bind(tb, closed, unix.AF_INET, "127.0.0.1:0")
	if err := unix.Connect(fd, target(tb, unix.AF_INET, "127.0.0.1", closed)); err !=
		unix.ECONNREFUSED {
		tb.Fatalf("connect to a port where nothing listens: %v", err)
	}
	return same(tb, fd)
}
