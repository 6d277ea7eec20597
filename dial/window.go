package dial

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// A window is 512 neighbouring ports, cut at multiples of 512. It is small enough that a
// search through a full one costs less than a handshake (0.06 us a port,
// __inet_hash_connect), and large enough that the one failing connect(2) at its end is
// shared by hundreds that succeed.
const (
	windowBits  = 9
	windowCount = 1 << (16 - windowBits)
)

func windowOf(port int) int { return port >> windowBits }

// settings are what the kernel says about choosing ports. They are never changed, only replaced.
type settings struct {
	ports    PortRange // the kernel's, narrowed by Dialer.Ports; not set: unknown
	reserved *portSet
	reuse    int // net.ipv4.tcp_tw_reuse; -1: unknown
	capacity int // ports that may be chosen; -1: unknown
	sizes    [windowCount]uint16
}

func newSettings(ports PortRange, reserved *portSet, reuse int) *settings {
	s := &settings{ports: ports, reserved: reserved, reuse: reuse, capacity: -1}
	if !ports.set() {
		return s
	}
	s.capacity = 0
	for w := windowOf(int(ports.Low)); w <= windowOf(int(ports.High)); w++ {
		cut := s.cut(w)
		if cut.size() > 0 {
			s.sizes[w] = uint16(cut.size() - reserved.count(cut))
			s.capacity += int(s.sizes[w])
		}
	}
	return s
}

// same: everything that was read is the same.
func (s *settings) same(o *settings) bool {
	return o != nil && s.ports == o.ports && s.reuse == o.reuse && *s.reserved == *o.reserved
}

// usable is false, with the reason, when no port can ever be chosen.
func (s *settings) usable(want PortRange, has features) error {
	if want.set() && !has.window && !has.explicit {
		return fmt.Errorf("keep to the ports %v: %w", want, errors.ErrUnsupported)
	}
	if s.capacity != 0 {
		return nil
	}
	if want.set() {
		return fmt.Errorf("none of the ports %v may be chosen: they lie outside of "+
			"net.ipv4.ip_local_port_range or are reserved", want)
	}
	return fmt.Errorf(
		"none of the ports %v may be chosen: net.ipv4.ip_local_reserved_ports has "+
			"them all", s.ports)
}

// cut is the part of a window that lies in the range.
func (s *settings) cut(w int) PortRange {
	first := uint16(w << windowBits)
	return PortRange{first, first + (1<<windowBits - 1)}.within(s.ports)
}

// even is cut with one port more where it would be odd: before 6.8 the kernel rounds the
// number of ports that it searches down to an even one (207184853dbd). A whole range of
// three ports stays at two there.
func (s *settings) even(w int) PortRange {
	r := s.cut(w)
	switch {
	case r.size()%2 == 0 || r.size() == 1:
	case r.High < s.ports.High:
		r.High++
	case r.Low > s.ports.Low:
		r.Low--
	}
	return r
}

// next is the window after w, round the range.
func (s *settings) next(w int) int {
	if w >= windowOf(int(s.ports.High)) || w < windowOf(int(s.ports.Low)) {
		return windowOf(int(s.ports.Low))
	}
	return w + 1
}

const (
	// timeWaitSeconds is TCP_TIMEWAIT_LEN, a constant of the kernel (include/net/tcp.h).
	timeWaitSeconds = 60
	// growthSeconds is the time over which a rate is taken.
	growthSeconds = 10
)

// lingering estimates how many ports are in TIME_WAIT.
func (p *pair) lingering(now time.Time) int {
	return p.lately.sum(now.Unix()-timeWaitSeconds+1, now.Unix())
}

// blocked estimates how many ports in TIME_WAIT cannot be used yet.
func (p *pair) blocked(set *settings, to netip.Addr, now time.Time) int {
	return p.lately.sum(now.Unix()-p.blockSeconds(set, to)+1, now.Unix())
}

// thawed estimates how many ports became usable again over the last growthSeconds.
func (p *pair) thawed(set *settings, to netip.Addr, now time.Time) int {
	end := now.Unix() - p.blockSeconds(set, to)
	return p.lately.sum(end-growthSeconds+1, end)
}

// blockSeconds is how long a port in TIME_WAIT cannot be used for the same destination.
// With tcp_tw_reuse that is a second (net/ipv4/tcp_ipv4.c, tcp_twsk_unique); its value 2,
// the default since Linux 4.18, is for loopback addresses only.
func (p *pair) blockSeconds(set *settings, to netip.Addr) int64 {
	loopback := to.IsLoopback() || p.source.addr.IsValid() && p.source.addr.IsLoopback()
	if set.reuse == 1 || set.reuse == 2 && loopback || p.taken != nil {
		return 1
	}
	return timeWaitSeconds
}
