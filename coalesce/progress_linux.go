package coalesce

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// progressOf says what the peer has taken of what was sent on c, as far as the socket can be found.
func progressOf(c net.Conn) (p progress, ok bool) {
	for ; c != nil; c = inside(c) {
		if _, own := c.(wrapper); own {
			continue // whose SyscallConn waits until all is sent
		}
		s, found := c.(syscall.Conn)
		if !found {
			continue
		}
		raw, err := s.SyscallConn()
		if err != nil {
			return p, false
		}
		err = raw.Control(func(fd uintptr) { p, ok = socketProgress(int(fd)) })
		return p, ok && err == nil
	}
	return p, false
}

// socketProgress reads the bytes acknowledged (tcpi_bytes_acked, since Linux 4.1) and those that
// wait in the socket.
func socketProgress(fd int) (p progress, ok bool) {
	if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
		p.acked, ok = info.Bytes_acked, true
	}
	if n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ); err == nil {
		p.queued, ok = n, true
	}
	return p, ok
}
