//go:build linux

package fastsock

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Socket opens a non-blocking TCP socket of the family of a.
func Socket(family int) (fd int, e syscall.Errno) {
	r, _, e := syscall.RawSyscall(unix.SYS_SOCKET, uintptr(family),
		unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return int(r), e
}

// Bind gives a socket its local address.
func Bind(fd int, a *Addr) syscall.Errno {
	_, _, e := syscall.RawSyscall(unix.SYS_BIND, uintptr(fd), uintptr(unsafe.Pointer(&a.raw)),
		uintptr(a.len))
	return e
}

// Connect begins a handshake, or asks how it goes: EINPROGRESS where it has begun, EALREADY
// while it is under way, 0 or EISCONN when it is done, and once the error that it ended
// with. Over loopback the handshake is done when the first call returns: the answers wait
// in the socket's backlog, which is worked off when the call releases the socket
// (net/ipv4/af_inet.c inet_stream_connect).
func Connect(fd int, a *Addr) syscall.Errno {
	_, _, e := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd),
		uintptr(unsafe.Pointer(&a.raw)), uintptr(a.len))
	return e
}

// Disconnect resets a connection and makes its socket usable for another (connect(2), AF_UNSPEC;
// net/ipv4/tcp.c tcp_disconnect). A port that was bound stays bound.
func Disconnect(fd int) syscall.Errno {
	var unspec [16]byte
	_, _, e := syscall.RawSyscall(unix.SYS_CONNECT, uintptr(fd),
		uintptr(unsafe.Pointer(&unspec)), uintptr(len(unspec)))
	return e
}

// Accept takes a connection from a listener, EAGAIN where there is none. The socket is
// non-blocking. Where it comes from is not asked.
func Accept(listener int) (fd int, e syscall.Errno) {
	r, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(listener), 0, 0,
		unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0, 0)
	return int(r), e
}

// Listen makes a bound socket a listener. The kernel cuts the backlog to net.core.somaxconn.
func Listen(fd, backlog int) syscall.Errno {
	_, _, e := syscall.RawSyscall(unix.SYS_LISTEN, uintptr(fd), uintptr(backlog), 0)
	return e
}

// Local is the local address of a socket.
func Local(fd int) (Addr, syscall.Errno) {
	var a Addr
	a.len = uint32(len(a.raw))
	_, _, e := syscall.RawSyscall(unix.SYS_GETSOCKNAME, uintptr(fd),
		uintptr(unsafe.Pointer(&a.raw)), uintptr(unsafe.Pointer(&a.len)))
	return a, e
}

// Close closes a descriptor of this thread's table. No socket here lingers with a time, so
// it does not wait.
func Close(fd int) syscall.Errno {
	_, _, e := syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
	return e
}

// Send writes without waiting and without a signal. The count may be short.
func Send(fd int, b []byte) (n int, e syscall.Errno) {
	r, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	return int(r), e
}

// Receive reads without waiting. 0 bytes and no errno are the end of the stream.
func Receive(fd int, b []byte) (n int, e syscall.Errno) {
	r, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), unix.MSG_DONTWAIT, 0,
		0)
	return int(r), e
}
