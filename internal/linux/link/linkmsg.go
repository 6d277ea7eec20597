//go:build linux

package link

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/nlattr"
)

// parseLink reads the payload of RTM_NEWLINK: struct ifinfomsg and attributes.
func parseLink(m []byte) (Device, error) {
	if len(m) < unix.SizeofIfInfomsg {
		return Device{}, nlattr.ErrShort
	}
	flags := binary.NativeEndian.Uint32(m[8:])
	d := Device{
		Index:    int(int32(binary.NativeEndian.Uint32(m[4:]))),
		Loopback: flags&unix.IFF_LOOPBACK != 0,
		Up:       flags&unix.IFF_UP != 0,
	}
	if d.Loopback {
		d.Kind = "loopback"
	}
	seen := map[uint16]bool{}
	err := nlattr.Each(m[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) error {
		seen[kind] = true
		return d.setLink(kind, v)
	})
	if err == nil {
		err = wantAll(seen)
	}
	if err != nil {
		return Device{}, err
	}
	return d, nil
}

// wantAll makes sure that nothing is zero because it was absent. Every kernel
// since 2.6.35 sends these (net/core/rtnetlink.c rtnl_fill_ifinfo).
func wantAll(seen map[uint16]bool) error {
	for _, kind := range []uint16{unix.IFLA_IFNAME, unix.IFLA_MTU, unix.IFLA_TXQLEN,
		unix.IFLA_OPERSTATE, unix.IFLA_STATS64} {
		if !seen[kind] {
			return fmt.Errorf("link message lacks attribute %d", kind)
		}
	}
	return nil
}

func (d *Device) setLink(kind uint16, v []byte) error {
	switch kind {
	case unix.IFLA_IFNAME:
		d.Name = text(v)
	case unix.IFLA_MTU:
		return setInt(&d.MTU, v)
	case unix.IFLA_TXQLEN:
		return setInt(&d.TxQueueLen, v)
	case unix.IFLA_NUM_RX_QUEUES:
		return setInt(&d.RxQueues, v)
	case unix.IFLA_NUM_TX_QUEUES:
		return setInt(&d.TxQueues, v)
	case unix.IFLA_MASTER:
		return setInt(&d.Master, v)
	case unix.IFLA_ADDRESS:
		d.Hardware = net.HardwareAddr(v).String()
	case unix.IFLA_QDISC:
		d.RootQdisc = text(v)
	case unix.IFLA_LINKINFO:
		return d.setKind(v)
	case unix.IFLA_XDP:
		return d.setXDP(v)
	case unix.IFLA_STATS64:
		return d.setStats(v)
	}
	return nil
}

func (d *Device) setKind(v []byte) error {
	return nlattr.Each(v, func(kind uint16, v []byte) error {
		if kind == unix.IFLA_INFO_KIND {
			d.Kind = text(v)
		}
		return nil
	})
}

// setXDP: any mode but XDP_ATTACHED_NONE (0) is a program.
func (d *Device) setXDP(v []byte) error {
	const iflaXDPAttached = 2 // IFLA_XDP_ATTACHED, Linux 4.8
	return nlattr.Each(v, func(kind uint16, v []byte) error {
		if kind == iflaXDPAttached && len(v) > 0 {
			d.XDP = v[0] != 0
		}
		return nil
	})
}

func (d *Device) setStats(v []byte) error {
	var w [8]uint64
	if words(v, w[:]) < len(w) {
		return nlattr.ErrShort
	}
	d.Stats = Stats{RxDropped: w[6], TxDropped: w[7]}
	return nil
}

// parseAddress reads the payload of RTM_NEWADDR: struct ifaddrmsg and attributes.
// It gives the index of the device.
func parseAddress(m []byte) (int, Address, error) {
	if len(m) < unix.SizeofIfAddrmsg {
		return 0, Address{}, nlattr.ErrShort
	}
	flags := uint32(m[2])
	index := int(int32(binary.NativeEndian.Uint32(m[4:])))
	var local, peer []byte
	err := nlattr.Each(m[unix.SizeofIfAddrmsg:], func(kind uint16, v []byte) (err error) {
		switch kind {
		case unix.IFA_LOCAL:
			local = v
		case unix.IFA_ADDRESS:
			peer = v // the own address too, unless there is an IFA_LOCAL
		case unix.IFA_FLAGS:
			flags, err = u32(v) // all 32 bits, Linux 3.14
		}
		return err
	})
	if err != nil {
		return 0, Address{}, err
	}
	if local == nil {
		local = peer
	}
	prefix, err := prefixOf(local, int(m[1]))
	return index, Address{
		Prefix:    prefix,
		Tentative: flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0,
		Duplicate: flags&unix.IFA_F_DADFAILED != 0,
	}, err
}

func prefixOf(addr []byte, bits int) (netip.Prefix, error) {
	a, ok := netip.AddrFromSlice(addr)
	if !ok || bits > a.BitLen() {
		return netip.Prefix{}, fmt.Errorf("address % x/%d", addr, bits)
	}
	return netip.PrefixFrom(a, bits), nil
}

// neighbour is one entry of a neighbour table.
type neighbour struct {
	index  int // of the device
	family byte
	state  uint16 // NUD_*
	flags  byte   // NTF_*
	// of one that is being asked for
	address netip.Addr
}

// parseNeighbour reads the payload of RTM_NEWNEIGH: struct ndmsg, and the address of a neighbour
// that is being asked for.
func parseNeighbour(m []byte) (neighbour, error) {
	if len(m) < unix.SizeofNdMsg {
		return neighbour{}, nlattr.ErrShort
	}
	e := neighbour{
		family: m[0],
		index:  int(int32(binary.NativeEndian.Uint32(m[4:]))),
		state:  binary.NativeEndian.Uint16(m[8:]),
		flags:  m[10],
	}
	if e.state&unix.NUD_INCOMPLETE == 0 {
		return e, nil
	}
	err := nlattr.Each(m[unix.SizeofNdMsg:], func(kind uint16, v []byte) error {
		if kind == unix.NDA_DST {
			e.address, _ = netip.AddrFromSlice(v)
		}
		return nil
	})
	return e, err
}

func (n *Neighbours) add(e neighbour) {
	if e.address.IsValid() && len(n.Unresolved) < mostUnresolved {
		n.Unresolved = append(n.Unresolved, e.address)
	}
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

// u32 reads the first four bytes of a value.
func u32(v []byte) (uint32, error) {
	if len(v) < 4 {
		return 0, nlattr.ErrShort
	}
	return binary.NativeEndian.Uint32(v), nil
}

// setInt stores a 32-bit value.
func setInt(to *int, v []byte) error {
	n, err := u32(v)
	*to = int(n)
	return err
}

// text is a string without the zero that ends it.
func text(v []byte) string {
	s, _, _ := strings.Cut(string(v), "\x00")
	return s
}

// words reads a C structure of 64-bit numbers. A shorter one, from an older
// kernel, leaves the rest zero and says how many there were.
func words(v []byte, into []uint64) int {
	n := min(len(v)/8, len(into))
	for i := range n {
		into[i] = binary.NativeEndian.Uint64(v[8*i:])
	}
	return n
}
