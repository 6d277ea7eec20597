package sockdiag

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Sockets made with bare system calls: the net package would listen with a
// backlog of its own, accept in the background, and set options.

// newSocket returns a TCP socket that is closed when the test ends.
func newSocket(tb testing.TB, family int) int {
	tb.Helper()
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if errors.Is(err, unix.EAFNOSUPPORT) && family == unix.AF_INET6 {
		tb.Skip("this kernel has no IPv6")
	}
	must(tb, err, "socket")
	tb.Cleanup(func() { unix.Close(fd) })
	return fd
}

func must(tb testing.TB, err error, what string) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("%s: %v", what, err)
	}
}

// closeNow closes fd now and leaves something harmless for the cleanup to close.
func closeNow(tb testing.TB, fd int) {
	tb.Helper()
	null, err := os.Open(os.DevNull)
	must(tb, err, "open "+os.DevNull)
	defer null.Close()
	must(tb, unix.Dup3(int(null.Fd()), fd, unix.O_CLOEXEC), "close by dup3")
}

// sockaddr writes IPv4 addresses as mapped ones for AF_INET6.
func sockaddr(family int, at netip.AddrPort) unix.Sockaddr {
	if family == unix.AF_INET6 {
		return &unix.SockaddrInet6{Addr: at.Addr().As16(), Port: int(at.Port())}
	}
	return &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}
}

func bind(tb testing.TB, fd, family int, at string) {
	tb.Helper()
	err := unix.Bind(fd, sockaddr(family, netip.MustParseAddrPort(at)))
	if errors.Is(err, unix.EADDRNOTAVAIL) && family == unix.AF_INET6 {
		tb.Skip("no IPv6 addresses on lo")
	}
	must(tb, err, "bind "+at)
}

// name is the local address of a socket.
func name(tb testing.TB, fd int) netip.AddrPort {
	tb.Helper()
	own, err := unix.Getsockname(fd)
	must(tb, err, "getsockname")
	switch own := own.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(own.Addr), uint16(own.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(own.Addr).Unmap(), uint16(own.Port))
	}
	tb.Fatalf("getsockname: %T", own)
	return netip.AddrPort{}
}

// newListener listens at an address, with a port that the kernel chooses.
func newListener(tb testing.TB, family int, address string, backlog int) int {
	tb.Helper()
	fd := newSocket(tb, family)
	bind(tb, fd, family, netip.AddrPortFrom(netip.MustParseAddr(address), 0).String())
	must(tb, unix.Listen(fd, backlog), "listen")
	return fd
}

// connect connects a new socket to the listener over loopback.
func connect(tb testing.TB, family int, address string, listener int) int {
	tb.Helper()
	fd := newSocket(tb, family)
	must(tb, unix.Connect(fd, target(tb, family, address, listener)), "connect")
	return fd
}

func target(tb testing.TB, family int, address string, listener int) unix.Sockaddr {
	tb.Helper()
	return sockaddr(family, netip.AddrPortFrom(netip.MustParseAddr(address),
		name(tb, listener).Port()))
}

// pair is a connection of which both ends are held.
type pair struct{ listener, client, server int }

func newPair(tb testing.TB, family int, address string) pair {
	tb.Helper()
	listener := newListener(tb, family, address, 8)
	client := connect(tb, family, address, listener)
	return pair{listener, client, accept(tb, listener)}
}

func accept(tb testing.TB, listener int) int {
	tb.Helper()
	fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
	must(tb, err, "accept")
	tb.Cleanup(func() { unix.Close(fd) })
	return fd
}

// cookie is the name of a socket by another way than sock_diag.
func cookie(tb testing.TB, fd int) uint64 {
	tb.Helper()
	value, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_COOKIE)
	must(tb, err, "SO_COOKIE")
	return value
}

// same recognises the socket behind a descriptor.
func same(tb testing.TB, fd int) func(Socket) bool {
	tb.Helper()
	want := cookie(tb, fd)
	return func(s Socket) bool { return s.Cookie == want }
}

// between recognises a socket by its two ports: one that has no descriptor.
func between(source, destination uint16) func(Socket) bool {
	return func(s Socket) bool {
		return s.Source.Port() == source && s.Destination.Port() == destination
	}
}

func open(tb testing.TB) *Conn {
	tb.Helper()
	lab(tb)
	c, err := Open()
	must(tb, err, "Open")
	tb.Cleanup(func() { c.Close() })
	return c
}

// list dumps into a slice.
func list(tb testing.TB, c *Conn, r Request) []Socket {
	tb.Helper()
	var all []Socket
	err := c.Dump(r, func(s *Socket) error {
		all = append(all, *s)
		return nil
	})
	must(tb, err, "Dump")
	return all
}

func pick(all []Socket, match func(Socket) bool) (found []Socket) {
	for _, s := range all {
		if match(s) {
			found = append(found, s)
		}
	}
	return found
}

// await dumps until exactly one socket matches: the kernel tells nobody when
// a socket changes its state.
func await(tb testing.TB, c *Conn, r Request, match func(Socket) bool) Socket {
	tb.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		all := list(tb, c, r)
		if found := pick(all, match); len(found) == 1 {
			return found[0]
		}
		if time.Now().After(deadline) {
			for _, s := range all {
				tb.Logf("%s -> %s %+v", s.Source, s.Destination, s.fields())
			}
			tb.Fatal("not exactly one socket matches")
		}
	}
}

func everything() Request {
	return Request{Family: unix.AF_UNSPEC, States: AllStates, Memory: true, Info: true}
}
