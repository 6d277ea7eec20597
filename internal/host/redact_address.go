package host

import (
	"encoding/binary"
	"net/netip"
	"strings"
)

// sockets hides the addresses of a listener ("address:port", "address:port~2"), of a flow
// ("source->destination:port") or of a local address.
func sockets(x *redactor, name string) string {
	ends := strings.Split(name, "->")
	for i, end := range ends {
		end, member, isMember := strings.Cut(end, "~")
		ends[i] = x.endpoint(end)
		if isMember {
			ends[i] += "~" + figure(x, member)
		}
	}
	return strings.Join(ends, "->")
}

// endpoint hides one address, with or without a port; "*" is any.
func (x *redactor) endpoint(text string) string {
	if a, err := netip.ParseAddr(text); err == nil {
		return x.address(a).String()
	}
	if a, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(x.address(a.Addr()), a.Port()).String()
	}
	host, port, hasPort := strings.Cut(text, ":")
	if host == "*" && (!hasPort || isFigure(port)) || text == "" || isFigure(text) {
		return text
	}
	return x.standIn("address", text)
}

// address is the stand-in: 240.0.0.0/4 and 2001:db8::/32 belong to nobody. An address of IPv4 that
// is written in IPv6 stays one.
func (x *redactor) address(a netip.Addr) netip.Addr {
	switch {
	case a.IsLoopback() || a.IsUnspecified():
		return a.WithZone("")
	case a.Is4In6():
		return netip.AddrFrom16(x.address(a.Unmap()).As16())
	}
	if _, ok := x.addresses[a]; !ok {
		if a.Is4() {
			x.v4++
			x.addresses[a] = netip.AddrFrom4(
				[4]byte{240, byte(x.v4 >> 16), byte(x.v4 >> 8), byte(x.v4)},
			)
		} else {
			x.v6++
			b := [16]byte{0x20, 0x01, 0x0d, 0xb8}
			binary.BigEndian.PutUint32(b[12:], x.v6)
			x.addresses[a] = netip.AddrFrom16(b)
		}
	}
	return x.addresses[a]
}
