package dial

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// source is an address to dial from; the zero address leaves it to the kernel.
type source struct {
	addr   netip.Addr
	lostAt atomic.Int64  // when the host did not have it, UnixNano; 0: it has
	inUse  atomic.Uint64 // EADDRINUSE at bind
}

// lostTime is how long an address that the host has lost is left alone: it may come back,
// as that of a failover pair does.
const lostTime = time.Second

// gone tells whether the host lost it a moment ago.
func (s *source) gone(now time.Time) bool {
	at := s.lostAt.Load()
	return at != 0 && now.Sub(time.Unix(0, at)) < lostTime
}

// serves tells whether a destination can be reached from here at all. A link-local address
// is of one link.
func (s *source) serves(to netip.Addr) bool {
	if !s.addr.IsValid() {
		return true
	}
	if s.addr.IsLinkLocalUnicast() && s.addr.Is6() {
		return to.IsLinkLocalUnicast() && to.Is6() &&
			(to.Zone() == "" || s.addr.Zone() == to.Zone())
	}
	return s.addr.Is4() == to.Is4()
}

// pool is the source addresses, never changed, only replaced. The sources in it live on.
type pool struct {
	v4, v6 []*source
	bound  bool  // it has addresses, as opposed to the kernel choosing
	err    error // why the device could not be read
}

// of gives the sources of the destination's family.
func (p *pool) of(to netip.Addr) []*source {
	if to.Is4() {
		return p.v4
	}
	return p.v6
}

// serves tells whether any source of the pool may reach the destination.
func (p *pool) serves(to netip.Addr) bool {
	return slices.ContainsFunc(p.of(to), func(s *source) bool { return s.serves(to) })
}

// addresses are what the fields of the Dialer name, without duplicates, in that order.
func (d *Dialer) addresses() ([]netip.Addr, error) {
	all := slices.Clone(d.Sources)
	if d.Device != "" {
		found, err := deviceAddresses(d.Device)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	if local, ok := d.Base.LocalAddr.(*net.TCPAddr); ok && len(all) == 0 && d.Device == "" {
		if a := local.AddrPort().Addr(); a.IsValid() && !a.IsUnspecified() {
			all = append(all, a)
		}
	}
	var unique []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); a.IsValid() && !slices.Contains(unique, a) {
			unique = append(unique, a)
		}
	}
	if len(all) > 0 && len(unique) == 0 {
		return nil, errors.New("dial: the source addresses are not valid")
	}
	return unique, nil
}

func deviceAddresses(name string) ([]netip.Addr, error) {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("dial: addresses of %s: %w", name, err)
	}
	addrs, err := device.Addrs()
	if err != nil {
		return nil, fmt.Errorf("dial: addresses of %s: %w", name, err)
	}
	var found []netip.Addr
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok {
				found = append(found, scoped(ip.Unmap(), name))
			}
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("dial: %s has no addresses", name)
	}
	return found, nil
}

func scoped(ip netip.Addr, device string) netip.Addr {
	if ip.Is6() && ip.IsLinkLocalUnicast() {
		return ip.WithZone(device)
	}
	return ip
}
