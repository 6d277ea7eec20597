//go:build linux

package lab

import (
	"encoding/binary"
	"net/netip"
)

// sourceNet is set aside for benchmarks of isolated networks (RFC 2544), so no
// real peer can be meant.
func sourceNet() netip.Prefix { return netip.MustParsePrefix("198.18.0.0/15") }

// spoofedSource numbers the addresses of sourceNet, without its first and last,
// and then goes on with the next port.
func spoofedSource(i int) netip.AddrPort {
	const hosts = 1<<17 - 2
	base := sourceNet().Addr().As4()
	var addr [4]byte
	binary.BigEndian.PutUint32(addr[:], binary.BigEndian.Uint32(base[:])+1+uint32(i%hosts))
	return netip.AddrPortFrom(netip.AddrFrom4(addr), uint16(40000+i/hosts))
}

const (
	ipHeader  = 20
	tcpHeader = 20
	tcpSYN    = 0x02
	protoTCP  = 6
)

// synSegment is an IPv4 packet with a TCP SYN in it (RFC 791, RFC 9293), complete
// with checksums. The kernel fills in the IP total length, identification and
// checksum of a raw packet anyway (raw(7)).
func synSegment(from, to netip.AddrPort, seq uint32) []byte {
	p := make([]byte, ipHeader+tcpHeader)
	src, dst := from.Addr().As4(), to.Addr().As4()
	p[0] = 4<<4 | ipHeader/4
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	p[8], p[9] = 64, protoTCP // time to live
	copy(p[12:], src[:])
	copy(p[16:], dst[:])
	binary.BigEndian.PutUint16(p[10:], checksum(0, p[:ipHeader]))

	t := p[ipHeader:]
	binary.BigEndian.PutUint16(t[0:], from.Port())
	binary.BigEndian.PutUint16(t[2:], to.Port())
	binary.BigEndian.PutUint32(t[4:], seq)
	t[12], t[13] = tcpHeader/4<<4, tcpSYN
	binary.BigEndian.PutUint16(t[14:], 65535) // window
	binary.BigEndian.PutUint16(t[16:], checksum(pseudoSum(p), t))
	return p
}

// pseudoSum is the sum over the TCP pseudo-header (RFC 9293 section 3.1).
func pseudoSum(p []byte) uint32 {
	sum := uint32(protoTCP) + uint32(len(p)-ipHeader)
	for i := 12; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	return sum
}

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(sum uint32, b []byte) uint16 {
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
