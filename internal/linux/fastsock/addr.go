//go:build linux

package fastsock

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

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
