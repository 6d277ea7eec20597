//go:build linux

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/tune"
)

// sent counts the segments that left, and what became of the others.
type sent struct {
	Count  int            `json:"count"`
	Errors map[string]int `json:"errors"`
}

func sendSYN(_ *worker, spec SYNSpec) (sent, error) {
	if !spec.To.Addr().Is4() {
		return sent{}, fmt.Errorf("send SYN to %v: an IPv4 address is needed: %w", spec.To,
			syscall.EAFNOSUPPORT)
	}
	if err := swallowAnswers(); err != nil {
		return sent{}, err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC,
		syscall.IPPROTO_RAW)
	if err != nil {
		return sent{}, fmt.Errorf("open a raw socket: %w", err)
	}
	defer syscall.Close(fd)
	out := sent{Errors: map[string]int{}}
	to := sockaddr(spec.To)
	for i := range count(spec.N) {
		segment := synSegment(spoofedSource(spec.First+i), spec.To, uint32(i)*64023+1)
		err := eintr(func() error { return syscall.Sendto(fd, segment, 0, to) })
		if err != nil {
			out.Errors[errnoName(err)]++
			continue
		}
		out.Count++
	}
	return out, nil
}

// swallowAnswers routes the spoofed sources to lo. The SYN-ACK then leaves on lo
// with a route that is not local and is discarded on its way back in
// (net/ipv4/route.c __mkroute_output: dst.input stays dst_discard). A reverse-path
// filter, inherited from the host (net/ipv4/devinet.c inet_init_net), could drop
// the SYN.
func swallowAnswers() error {
	for _, key := range []string{"net.ipv4.conf.all.rp_filter", "net.ipv4.conf.lo.rp_filter"} {
		if err := tune.Sysctl(key, "0"); err != nil {
			return err
		}
	}
	if err := tune.AddRoute("lo", sourceNet()); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

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
