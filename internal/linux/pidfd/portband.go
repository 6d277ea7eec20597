//go:build linux

package pidfd

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Ports is a part of the port range that a socket was given: IP_LOCAL_PORT_RANGE. An end that is
// 0 is that of the namespace.
type Ports struct{ Low, High uint16 }

// Connection is a connected TCP socket of a process.
type Connection struct {
	Local, Remote netip.AddrPort
	Ports         Ports
}

// Connection reads what a descriptor of the process is connected to, and its part of the port
// range, which no file and no dump shows. ok is false for anything but a connected TCP socket. The
// descriptor is duplicated for that moment: it takes the right to trace the process, and nothing
// of the process changes. Before Linux 6.3 no socket has such a part.
func (p *Process) Connection(fd int) (c Connection, ok bool, err error) {
	own, err := unix.PidfdGetfd(p.fd, fd, 0)
	if err != nil {
		return c, false, &Error{Op: "look at a descriptor of", PID: p.pid, Err: err}
	}
	defer unix.Close(own)
	protocol, err := unix.GetsockoptInt(own, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil || protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_MPTCP {
		return c, false, nil
	}
	remote, err1 := unix.Getpeername(own)
	local, err2 := unix.Getsockname(own)
	if err1 != nil || err2 != nil {
		return c, false, nil
	}
	c.Local, c.Remote = addrPort(local), addrPort(remote)
	if n, err := unix.GetsockoptInt(own, unix.SOL_IP, ipLocalPortRange); err == nil {
		c.Ports = Ports{uint16(n), uint16(uint32(n) >> 16)}
	}
	return c, c.Local.IsValid() && c.Remote.IsValid(), nil
}

// ipLocalPortRange is IP_LOCAL_PORT_RANGE (include/uapi/linux/in.h), the high end in the upper 16
// bits.
const ipLocalPortRange = 51

func addrPort(a unix.Sockaddr) netip.AddrPort {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return netip.AddrPort{}
}

// HasPorts says whether this kernel gives a socket a part of the port range (Linux 6.3, and
// kernels of distributions that carry it), by asking a socket that is closed again.
func HasPorts() (bool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	_, err = unix.GetsockoptInt(fd, unix.SOL_IP, ipLocalPortRange)
	return err == nil, nil
}
