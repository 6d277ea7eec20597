//go:build linux

package lab

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/linux/fastsock"
)

// Everything here goes through package syscall, which lacks a few constants.
// They are the same on all architectures but MIPS, PA-RISC, Alpha and SPARC, where
// soReusePort differs (include/uapi/asm-generic/socket.h).
const (
	soReusePort         = 15 // SO_REUSEPORT
	ipBindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT, Linux 4.2
	ipProtoMPTCP        = 262
)

// eintr repeats a call that a signal interrupted. The Go runtime signals its own
// threads, and a socket with a time-out is not restarted by the kernel (signal(7)).
func eintr(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

func family(a netip.Addr) int {
	if a.Is4() {
		return syscall.AF_INET
	}
	return syscall.AF_INET6
}

func sockaddr(ap netip.AddrPort) syscall.Sockaddr {
	if ap.Addr().Is4() {
		return &syscall.SockaddrInet4{Addr: ap.Addr().As4(), Port: int(ap.Port())}
	}
	return &syscall.SockaddrInet6{Addr: ap.Addr().As16(), Port: int(ap.Port())}
}

func localAddr(fd int) (netip.AddrPort, error) {
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, err
	}
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port)), nil
	}
	return netip.AddrPort{}, syscall.EAFNOSUPPORT
}

func tcpSocket(a netip.Addr, flags int) (int, error) {
	return streamSocket(a, flags, syscall.IPPROTO_TCP)
}

func streamSocket(a netip.Addr, flags, protocol int) (int, error) {
	return syscall.Socket(family(a), syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|flags, protocol)
}

func setBool(fd, level, opt int, on bool) error {
	if !on {
		return nil
	}
	return syscall.SetsockoptInt(fd, level, opt, 1)
}

// setTimeout bounds blocking calls: SO_SNDTIMEO for connect, SO_RCVTIMEO for
// accept (socket(7)).
func setTimeout(fd, opt int, d time.Duration) error {
	tv := syscall.NsecToTimeval(int64(max(d, time.Millisecond)))
	return syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, opt, &tv)
}

// tcpInfo is what is needed of struct tcp_info (include/uapi/linux/tcp.h), whose
// head has been the same since Linux 2.6.
type tcpInfo struct {
	state   uint8
	unacked uint32 // on a listener: sk_ack_backlog
	sacked  uint32 // on a listener: sk_max_ack_backlog
}

func readTCPInfo(fd int) (tcpInfo, error) {
	// Any option can be read into ICMPv6Filter, package syscall's only structure
	// of 32 bytes; the kernel fills what fits (net/ipv4/tcp.c do_tcp_getsockopt).
	head, err := syscall.GetsockoptICMPv6Filter(fd, syscall.IPPROTO_TCP, syscall.TCP_INFO)
	if err != nil {
		return tcpInfo{}, err
	}
	first := binary.NativeEndian.AppendUint32(nil, head.Data[0])
	return tcpInfo{state: first[0], unacked: head.Data[6], sacked: head.Data[7]}, nil
}

// errnoName spells the errors that sockets give (errno(3)).
func errnoName(err error) string {
	errno, ok := err.(syscall.Errno)
	if !ok {
		return err.Error()
	}
	return cmp.Or(fastsock.ErrnoName(errno), fmt.Sprintf("errno %d", int(errno)))
}
