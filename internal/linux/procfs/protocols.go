package procfs

import (
	"slices"
	"strconv"
	"strings"
)

// Protocol is one row of /proc/net/protocols.
type Protocol struct {
	Name    string // "TCP", "TCPv6", "UDP", ...
	Size    uint64 // bytes of the socket object; its slab cache pads that a little
	Sockets int64  // in use in this network namespace
	Memory  int64  // pages of buffers on the host; see HasMemory

	// HasMemory is false for a protocol that does not account its buffers;
	// the kernel prints -1 then.
	HasMemory bool

	// Pressure is "yes", "no", or "NI" where there is no such state.
	Pressure string
}

// Protocols are the rows of /proc/net/protocols. Anyone may read it, so it is
// where a user without root learns the size of a TCP socket.
type Protocols []Protocol

// Named returns the row of a protocol, or false where this kernel has none.
func (p Protocols) Named(name string) (Protocol, bool) {
	i := slices.IndexFunc(p, func(row Protocol) bool { return row.Name == name })
	if i < 0 {
		return Protocol{}, false
	}
	return p[i], true
}

// protocolColumns are those that ParseProtocols reads, in Protocol's order.
var protocolColumns = [...]string{"protocol", "size", "sockets", "memory", "press"}

// ParseProtocols reads /proc/net/protocols, its columns by the name in the
// header (net/core/sock.c proto_seq_show). Other columns are skipped.
func ParseProtocols(b []byte) (Protocols, error) {
	l, err := wholeLines("protocols", b)
	if err != nil {
		return nil, err
	}
	head, _ := l.next()
	names := strings.Fields(head)
	var at [len(protocolColumns)]int
	for i, name := range protocolColumns {
		if at[i] = slices.Index(names, name); at[i] < 0 {
			return nil, l.errorf("%s has no column %s", clip(head), name)
		}
	}
	var all Protocols
	for {
		line, ok := l.next()
		if !ok {
			break
		}
		row, err := l.protocol(strings.Fields(line), at)
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	if len(all) == 0 {
		return nil, l.wholef("no row follows the header")
	}
	return all, nil
}

func (l *lines) protocol(words []string, at [len(protocolColumns)]int) (Protocol, error) {
	var cell [len(protocolColumns)]string
	for i, place := range at {
		if place >= len(words) {
			return Protocol{}, l.errorf("%d columns, want %d or more", len(words),
				place+1)
		}
		cell[i] = words[place]
	}
	row := Protocol{Name: cell[0], Pressure: cell[4]}
	var err error
	if row.Size, err = l.number("size", cell[1]); err != nil {
		return Protocol{}, err
	}
	if row.Sockets, err = l.signed("sockets", cell[2]); err != nil {
		return Protocol{}, err
	}
	if row.Memory, err = l.signed("memory", cell[3]); err != nil {
		return Protocol{}, err
	}
	if row.HasMemory = row.Memory >= 0; !row.HasMemory {
		row.Memory = 0
	}
	return row, nil
}

func (l *lines) signed(what, text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, l.errorf("%s is %s, want a number", what, clip(text))
	}
	return n, nil
}
