//go:build linux

package link

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// parseAddress reads the payload of RTM_NEWADDR: struct ifaddrmsg and attributes.
// It gives the index of the device.
func parseAddress(m []byte) (int, Address, error) {
	if len(m) < unix.SizeofIfAddrmsg {
		return 0, Address{}, errShort
	}
	flags, scope := uint32(m[2]), m[3]
	index := int(int32(binary.NativeEndian.Uint32(m[4:])))
	var local, peer []byte
	err := eachAttr(m[unix.SizeofIfAddrmsg:], func(kind uint16, v []byte) (err error) {
		switch kind {
		case unix.IFA_LOCAL:
			local = v
		case unix.IFA_ADDRESS:
			peer = v // the own address too, unless there is an IFA_LOCAL
		case unix.IFA_FLAGS:
			flags, err = u32(v) // all 32 bits, Linux 3.14
		}
		return err
	})
	if err != nil {
		return 0, Address{}, err
	}
	if local == nil {
		local = peer
	}
	prefix, err := prefixOf(local, int(m[1]))
	return index, Address{
		Prefix:     prefix,
		Host:       scope == unix.RT_SCOPE_HOST,
		Link:       scope == unix.RT_SCOPE_LINK,
		Tentative:  flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0,
		Duplicate:  flags&unix.IFA_F_DADFAILED != 0,
		Deprecated: flags&unix.IFA_F_DEPRECATED != 0,
	}, err
}

func prefixOf(addr []byte, bits int) (netip.Prefix, error) {
	a, ok := netip.AddrFromSlice(addr)
	if !ok || bits > a.BitLen() {
		return netip.Prefix{}, fmt.Errorf("address % x/%d", addr, bits)
	}
	return netip.PrefixFrom(a, bits), nil
}
