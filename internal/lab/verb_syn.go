//go:build linux

package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"syscall"

	"github.com/maxconn/maxconn/internal/linux/packet"
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
		err := eintr(func() error { return syscall.Sendto(fd, segment.Packet(), 0, to) })
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

func synSegment(from, to netip.AddrPort, seq uint32) packet.Segment {
	src, dst := from.Addr().As4(), to.Addr().As4()
	return packet.Segment{
		From: binary.BigEndian.Uint32(src[:]), FromPort: from.Port(),
		To: binary.BigEndian.Uint32(dst[:]), ToPort: to.Port(),
		Seq: seq, Flags: packet.SYN,
	}
}
