package dial

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
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
