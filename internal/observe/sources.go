package observe

import (
	"bytes"
	"slices"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// source is the outbound connections of one local address.
type source struct {
	address [16]byte
	sockets uint32
	// ports are those in the range; shared those of them that were seen more than once.
	// Two sockets of one address and port cannot have one destination.
	ports, shared *host.PortSet
}

// sources is a table of at most max rows: 16 KB each. What finds no room is counted in left.
type sources struct {
	max   int
	rows  []source
	index map[[16]byte]int32
	last  int32 // most hosts have one
	left  uint32
}

func newSources(max int) *sources {
	return &sources{max: max, index: make(map[[16]byte]int32)}
}

// add counts a socket; inRange says that its port is one that connect() chooses from.
func (t *sources) add(address *[16]byte, port uint16, inRange bool) {
	s := t.at(address)
	if s == nil {
		t.left++
		return
	}
	s.sockets++
	switch {
	case !inRange:
	case s.ports.Has(port):
		s.shared.Add(port)
	default:
		s.ports.Add(port)
	}
}

func (t *sources) at(address *[16]byte) *source {
	if int(t.last) < len(t.rows) && t.rows[t.last].address == *address {
		return &t.rows[t.last]
	}
	i, ok := t.index[*address]
	if !ok {
		if len(t.rows) >= t.max {
			return nil
		}
		i = int32(len(t.rows))
		t.index[*address] = i
		t.rows = append(t.rows, source{address: *address, ports: new(host.PortSet),
			shared: new(host.PortSet)})
	}
	t.last = i
	return &t.rows[i]
}

// sorted lists the rows in the order of their addresses.
func (t *sources) sorted() []*source {
	out := make([]*source, len(t.rows))
	for i := range t.rows {
		out[i] = &t.rows[i]
	}
	slices.SortFunc(out, func(a, b *source) int {
		return bytes.Compare(a.address[:], b.address[:])
	})
	return out
}

// opposite counts the ports of the parity that connect() takes last: not that of the low end of the
// range (inet_hashtables.c __inet_hash_connect, since 4.5).
func (s *source) opposite(low uint16) (n int64) {
	for p := int(low) + 1; p <= 65535; p += 2 {
		if s.ports.Has(uint16(p)) {
			n++
		}
	}
	return n
}

// states counts sockets by their state.
type states [sockdiag.Closing + 1]uint32

func (s *states) add(t *states) {
	for i, n := range t {
		s[i] += n
	}
}

func (s *states) sum() (n int64) {
	for _, k := range s {
		n += int64(k)
	}
	return n
}

// fields appends the states that a row of connections has, those that count something.
func (s *states) fields(f host.Fields) host.Fields {
	for i, n := range s {
		if name := fieldOf(sockdiag.State(i)); name != "" && n > 0 {
			f = f.AddInt(name, int64(n))
		}
	}
	return f
}

// fieldOf is the name in host.States of a state of connections, or "".
func fieldOf(s sockdiag.State) string {
	switch s {
	case sockdiag.Listen, sockdiag.Close, 0:
		return ""
	}
	return s.String()
}
