//go:build linux

package fastsock

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
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

// Addr is a socket address in the kernel's form (struct sockaddr_in, sockaddr_in6). The zero
// value has no family.
type Addr struct {
	raw [unix.SizeofSockaddrInet6]byte
	len uint32
}

// NewAddr converts an address and port. A zone is the name or the number of a device; one that is
// not there is left out, and the kernel refuses link-local addresses without it.
func NewAddr(ap netip.AddrPort) Addr {
	var a Addr
	ip := ap.Addr().Unmap()
	if ip.Is4() {
		binary.NativeEndian.PutUint16(a.raw[:], unix.AF_INET)
		b := ip.As4()
		copy(a.raw[4:], b[:])
		a.len = unix.SizeofSockaddrInet4
	} else {
		binary.NativeEndian.PutUint16(a.raw[:], unix.AF_INET6)
		b := ip.As16()
		copy(a.raw[8:], b[:])
		binary.NativeEndian.PutUint32(a.raw[24:], scope(ip.Zone()))
		a.len = unix.SizeofSockaddrInet6
	}
	a.SetPort(ap.Port())
	return a
}

// scope is the number of a zone (ipv6(7), sin6_scope_id).
func scope(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if dev, err := net.InterfaceByName(zone); err == nil {
		return uint32(dev.Index)
	}
	n, _ := strconv.ParseUint(zone, 10, 31) // what is no number is no device
	return uint32(n)
}

// SetPort changes the port.
func (a *Addr) SetPort(port uint16) { binary.BigEndian.PutUint16(a.raw[2:], port) }

// Port is the port.
func (a *Addr) Port() uint16 { return binary.BigEndian.Uint16(a.raw[2:]) }

// Family is AF_INET or AF_INET6.
func (a *Addr) Family() int { return int(binary.NativeEndian.Uint16(a.raw[:])) }

// AddrPort converts back.
func (a *Addr) AddrPort() netip.AddrPort {
	if a.Family() == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a.raw[4:8])), a.Port())
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(a.raw[8:24])), a.Port())
}

// setInt sets an option that is an int.
func setInt(fd, level, name int, value int32) syscall.Errno {
	_, _, e := syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), uintptr(level),
		uintptr(name), uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0)
	return e
}

// ReuseAddr lets a port be bound that others with the same option use (SO_REUSEADDR).
func ReuseAddr(fd int) syscall.Errno { return setInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) }

// ReusePort makes a listener one shard of several (SO_REUSEPORT).
func ReusePort(fd int) syscall.Errno { return setInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }

// OnlyIPv6 keeps an IPv6 listener from taking IPv4 connections (IPV6_V6ONLY).
func OnlyIPv6(fd int) syscall.Errno { return setInt(fd, unix.SOL_IPV6, unix.IPV6_V6ONLY, 1) }

// BindNoPort leaves the choice of the port to connect() (IP_BIND_ADDRESS_NO_PORT, Linux 4.2).
func BindNoPort(fd int) syscall.Errno {
	return setInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
}

// ResetOnClose makes close() send RST and leave neither TIME_WAIT nor orphan (SO_LINGER
// with 0 s). Accepted sockets inherit it from their listener (net/core/sock.c
// sk_clone_lock).
func ResetOnClose(fd int) syscall.Errno {
	l := unix.Linger{Onoff: 1}
	_, _, e := syscall.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET,
		unix.SO_LINGER, uintptr(unsafe.Pointer(&l)), unsafe.Sizeof(l), 0)
	return e
}

// UserTimeout is how long sent data may stay unacknowledged before the connection ends with
// ETIMEDOUT (TCP_USER_TIMEOUT, tcp(7)).
func UserTimeout(fd int, d time.Duration) syscall.Errno {
	return setInt(fd, unix.SOL_TCP, unix.TCP_USER_TIMEOUT, int32(max(d.Milliseconds(), 1)))
}

// Pending takes the error that is stored on a socket (SO_ERROR), 0 where there is none.
func Pending(fd int) syscall.Errno {
	var v int32
	size := uint32(unsafe.Sizeof(v))
	_, _, e := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET,
		unix.SO_ERROR, uintptr(unsafe.Pointer(&v)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 {
		return e
	}
	return syscall.Errno(v)
}

// Retransmits is how many segments this connection has sent again since it began, its SYN included
// (TCP_INFO tcpi_total_retrans).
func Retransmits(fd int) (n uint32, e syscall.Errno) {
	var info unix.TCPInfo
	size := uint32(unsafe.Sizeof(info))
	_, _, e = syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_TCP, unix.TCP_INFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info.Total_retrans, e
}
