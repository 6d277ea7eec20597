package host

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// PortSet is a set of TCP ports. The zero value is empty. It is a value: copies are
// independent.
type PortSet struct{ words [1024]uint64 }

// ParsePorts reads the form of ip_local_reserved_ports, "8080,9148-9150".
func ParsePorts(text string) (PortSet, error) {
	var s PortSet
	for part := range strings.SplitSeq(strings.TrimSpace(text), ",") {
		if part == "" && text == "" {
			break
		}
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		lo, err1 := strconv.ParseUint(low, 10, 16)
		hi, err2 := strconv.ParseUint(high, 10, 16)
		if err1 != nil || err2 != nil || lo > hi {
			return PortSet{}, fmt.Errorf("ports %.60q: %.60q is not a port or a range",
				text, part)
		}
		s.addRange(lo, hi)
	}
	return s, nil
}

// Add puts a port into the set.
func (s *PortSet) Add(port uint16) { s.words[port/64] |= 1 << (port % 64) }

// addRange puts all ports from low to high into the set, both included and below 65536, a
// word at a time.
func (s *PortSet) addRange(low, high uint64) {
	for w := low / 64; w <= high/64; w++ {
		s.words[w] |= mask(int64(max(low, w*64)-w*64), int64(min(high, w*64+63)-w*64))
	}
}

// Has says whether the port is in the set.
func (s *PortSet) Has(port uint16) bool { return s.words[port/64]&(1<<(port%64)) != 0 }

// Union is the ports that are in one of the two.
func (s PortSet) Union(t PortSet) PortSet {
	for i := range s.words {
		s.words[i] |= t.words[i]
	}
	return s
}

// Within is the ports of the set between low and high, both included.
func (s PortSet) Within(low, high int64) PortSet {
	for i := range s.words {
		first, last := int64(i)*64, int64(i)*64+63
		switch {
		case last < low || first > high:
			s.words[i] = 0
		case first < low || last > high:
			s.words[i] &= mask(max(low, first)-first, min(high, last)-first)
		}
	}
	return s
}

// mask has the bits from low to high set.
func mask(low, high int64) uint64 { return ^uint64(0) >> (63 - uint(high-low)) << uint(low) }

// Len is the number of ports in the set.
func (s *PortSet) Len() (n int64) {
	for _, w := range s.words {
		n += int64(bits.OnesCount64(w))
	}
	return n
}

// String is the set as ports and ranges in ascending order.
func (s PortSet) String() string {
	var b strings.Builder
	for p := 0; p <= 65535; p++ {
		if !s.Has(uint16(p)) {
			continue
		}
		first := p
		for p < 65535 && s.Has(uint16(p+1)) {
			p++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(first))
		if p > first {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(p))
		}
	}
	return b.String()
}
