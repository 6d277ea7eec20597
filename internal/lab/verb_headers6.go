//go:build linux

package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"syscall"
)

// HeadersSpec describes packets of IPv6 that are a header and nothing else, one to each of N
// addresses that follow one another.
type HeadersSpec struct {
	From  netip.Addr `json:"from"`
	First netip.Addr `json:"first"`
	N     int        `json:"n"` // 0 means 1
}

// RawHeaders6 sends them through a raw socket that brings its own header: for each the kernel makes
// a route of its own, which lives as long as the packet (net/ipv6/route.c ip6_pol_route,
// FLOWI_FLAG_KNOWN_NH). It says how many left, and the errors of the others.
func (a *Actor) RawHeaders6(spec HeadersSpec) (int, map[string]int, error) {
	var out sent
	err := a.control.call("headers6", spec, &out, maxWithin)
	return out.Count, out.Errors, err
}

func sendHeaders6(_ *worker, spec HeadersSpec) (sent, error) {
	out := sent{Errors: map[string]int{}}
	if !spec.From.Is6() || !spec.First.Is6() {
		return out, fmt.Errorf("send headers: two IPv6 addresses are needed: %w",
			syscall.EAFNOSUPPORT)
	}
	fd, err := syscall.Socket(syscall.AF_INET6, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC,
		syscall.IPPROTO_RAW)
	if err != nil {
		return out, fmt.Errorf("open a raw socket: %w", err)
	}
	defer syscall.Close(fd)
	to := spec.First
	for range count(spec.N) {
		packet := header6(spec.From, to)
		at := &syscall.SockaddrInet6{Addr: to.As16()}
		err := eintr(func() error { return syscall.Sendto(fd, packet, 0, at) })
		if err != nil {
			out.Errors[errnoName(err)]++
		} else {
			out.Count++
		}
		to = to.Next()
	}
	return out, nil
}

// header6 is an IPv6 header without a payload (RFC 8200): next header 59, hop limit 1.
func header6(from, to netip.Addr) []byte {
	b := make([]byte, 0, 40)
	b = binary.BigEndian.AppendUint32(b, 6<<28)
	b = append(b, 0, 0, 59, 1)
	src, dst := from.As16(), to.As16()
	return append(append(b, src[:]...), dst[:]...)
}
