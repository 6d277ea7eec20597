//go:build linux

package link

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// neighbour is one entry of a neighbour table.
type neighbour struct {
	index  int // of the device
	family byte
	state  uint16 // NUD_*
	flags  byte   // NTF_*
}

// parseNeighbour reads the payload of RTM_NEWNEIGH: struct ndmsg. The attributes
// are not needed.
func parseNeighbour(m []byte) (neighbour, error) {
	if len(m) < unix.SizeofNdMsg {
		return neighbour{}, errShort
	}
	return neighbour{
		family: m[0],
		index:  int(int32(binary.NativeEndian.Uint32(m[4:]))),
		state:  binary.NativeEndian.Uint16(m[8:]),
		flags:  m[10],
	}, nil
}

func (n *Neighbours) add(e neighbour) {
	switch e.family {
	case unix.AF_INET:
		n.V4.add(e)
	case unix.AF_INET6:
		n.V6.add(e)
	}
}

func (c *NeighbourCount) add(e neighbour) {
	c.Entries++
	if e.state&unix.NUD_PERMANENT != 0 || e.flags&unix.NTF_EXT_LEARNED != 0 {
		c.Exempt++
	}
	if e.state&unix.NUD_FAILED != 0 {
		c.Failed++
	}
	if e.state&unix.NUD_INCOMPLETE != 0 {
		c.Incomplete++
	}
}
