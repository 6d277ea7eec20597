//go:build linux

package fastsock

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

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
