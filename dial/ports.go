package dial

import (
	"errors"
	"fmt"
	"math/bits"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// PortRange is a range of ports, both ends included. The zero value is no range.
type PortRange struct {
	Low  uint16 `json:"low"`
	High uint16 `json:"high"`
}

// String gives "low-high".
func (r PortRange) String() string { return fmt.Sprintf("%d-%d", r.Low, r.High) }

func (r PortRange) set() bool { return r != PortRange{} }

// size is 0 for a range whose ends are the wrong way round.
func (r PortRange) size() int { return max(0, int(r.High)-int(r.Low)+1) }

func (r PortRange) within(s PortRange) PortRange {
	return PortRange{max(r.Low, s.Low), min(r.High, s.High)}
}

// portSet is a bit for each port.
type portSet [1 << 16 / 64]uint64

func (s *portSet) has(p int) bool { return s[p>>6]&(1<<(p&63)) != 0 }
func (s *portSet) add(p int)      { s[p>>6] |= 1 << (p & 63) }
func (s *portSet) remove(p int)   { s[p>>6] &^= 1 << (p & 63) }

// count counts the members in a range whose ends are in order.
func (s *portSet) count(r PortRange) (n int) {
	for i := int(r.Low) >> 6; i <= int(r.High)>>6; i++ {
		w := s[i]
		if i == int(r.Low)>>6 {
			w &= ^uint64(0) << (r.Low & 63)
		}
		if i == int(r.High)>>6 {
			w &= ^uint64(0) >> (63 - r.High&63)
		}
		n += bits.OnesCount64(w)
	}
	return n
}

// parseRange reads the text of net.ipv4.ip_local_port_range: "32768\t60999".
func parseRange(text string) (PortRange, error) {
	f := strings.Fields(text)
	if len(f) != 2 {
		return PortRange{}, fmt.Errorf("port range %q: want two numbers", text)
	}
	low, err := parsePort(f[0])
	if err != nil {
		return PortRange{}, err
	}
	high, err := parsePort(f[1])
	if err != nil {
		return PortRange{}, err
	}
	if low == 0 || low > high {
		return PortRange{}, fmt.Errorf("port range %q: want 1 <= low <= high", text)
	}
	return PortRange{low, high}, nil
}

// parseReserved reads the text of net.ipv4.ip_local_reserved_ports: "8080,9000-9010", or nothing.
func parseReserved(text string) (*portSet, error) {
	set := &portSet{}
	text = strings.TrimSpace(text)
	if text == "" {
		return set, nil
	}
	for item := range strings.SplitSeq(text, ",") {
		first, last, ranged := strings.Cut(item, "-")
		if !ranged {
			last = first
		}
		low, err := parsePort(first)
		if err != nil {
			return nil, err
		}
		high, err := parsePort(last)
		if err != nil {
			return nil, err
		}
		for p := int(low); p <= int(high); p++ {
			set.add(p)
		}
	}
	return set, nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("port %q: want a number up to 65535", text)
	}
	return uint16(n), nil
}

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
