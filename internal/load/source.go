//go:build linux

package load

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"net"
	"net/netip"
	"strings"
)

// Range is addresses from First to Last, both in it.
type Range struct{ First, Last netip.Addr }

// size is how many addresses the range has, at most 2^32.
func (r Range) size() uint64 {
	a, b := r.First.As16(), r.Last.As16()
	n := new(big.Int).Sub(new(big.Int).SetBytes(b[:]), new(big.Int).SetBytes(a[:]))
	if !n.IsUint64() || n.Uint64() > math.MaxUint32 {
		return math.MaxUint32 + 1
	}
	return n.Uint64() + 1
}

// at is the i-th address.
func (r Range) at(i uint64) netip.Addr {
	b := r.First.As16()
	low := binary.BigEndian.Uint64(b[8:])
	binary.BigEndian.PutUint64(b[8:], low+i)
	if low+i < low {
		binary.BigEndian.PutUint64(b[:8], binary.BigEndian.Uint64(b[:8])+1)
	}
	a := netip.AddrFrom16(b)
	if r.First.Is4() {
		return a.Unmap()
	}
	return a
}

// String is "10.0.0.1" or "10.0.0.1-10.0.0.50".
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// ParseSources reads a list such as "10.0.0.1-10.0.0.50,127.0.0.0/24,eth0": addresses,
// ranges of addresses, networks (without the first and last address of IPv4), and devices,
// all addresses of which are meant. The error names the part that is none of these.
func ParseSources(list string) ([]Range, error) {
	var out []Range
	for part := range strings.SplitSeq(list, ",") {
		part = strings.TrimSpace(part)
		ranges, err := parseSource(part)
		if err != nil {
			return nil, fmt.Errorf("%q %w", part, err)
		}
		out = append(out, ranges...)
	}
	return out, nil
}

func parseSource(part string) ([]Range, error) {
	if p, err := netip.ParsePrefix(part); err == nil {
		return []Range{prefixRange(p.Masked())}, nil
	}
	if a, err := netip.ParseAddr(part); err == nil {
		return checkedRange(a, a)
	}
	if first, last, ok := strings.Cut(part, "-"); ok {
		a, err := netip.ParseAddr(strings.TrimSpace(first))
		b, err2 := netip.ParseAddr(strings.TrimSpace(last))
		if err == nil && err2 == nil {
			return checkedRange(a, b)
		}
	}
	return deviceAddresses(part)
}

func checkedRange(a, b netip.Addr) ([]Range, error) {
	a, b = a.Unmap(), b.Unmap()
	switch {
	case a.Zone() != "" || b.Zone() != "":
		return nil, fmt.Errorf("has a zone, which a source cannot have")
	case a.Is4() != b.Is4():
		return nil, fmt.Errorf("goes from one family to the other")
	case b.Less(a):
		return nil, fmt.Errorf("ends before it begins")
	case a.IsUnspecified() || a.IsMulticast():
		return nil, fmt.Errorf("is no address to connect from")
	}
	return []Range{{a, b}}, nil
}

// prefixRange is the usable addresses of a network.
func prefixRange(p netip.Prefix) Range {
	first, last := p.Addr(), lastOf(p)
	if p.Addr().Is4() && p.Bits() < 31 {
		return Range{first.Next(), last.Prev()}
	}
	return Range{first, last}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// deviceAddresses are all of a device that can be bound without a zone.
func deviceAddresses(name string) ([]Range, error) {
	dev, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf(
			"is neither an address, a range A-B, a network A/N nor a device")
	}
	addrs, err := dev.Addrs()
	if err != nil {
		return nil, fmt.Errorf("cannot be asked for its addresses: %w", err)
	}
	var out []Range
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && !ip.IsLinkLocalUnicast() {
				out = append(out, Range{ip.Unmap(), ip.Unmap()})
			}
		}
	}
	if out == nil {
		return nil, fmt.Errorf("is a device without an address")
	}
	return out, nil
}

// OfFamily keeps the ranges of one family: a device has both.
func OfFamily(ranges []Range, ipv4 bool) (out []Range) {
	for _, r := range ranges {
		if r.First.Is4() == ipv4 {
			out = append(out, r)
		}
	}
	return out
}

// Addresses is how many addresses the ranges have.
func Addresses(ranges []Range) (n int64) {
	for _, r := range ranges {
		n += int64(r.size())
	}
	return n
}
