//go:build linux

package link

import (
	"encoding/binary"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// parseLink reads the payload of RTM_NEWLINK: struct ifinfomsg and attributes.
func parseLink(m []byte) (Device, error) {
	if len(m) < unix.SizeofIfInfomsg {
		return Device{}, errShort
	}
	flags := binary.NativeEndian.Uint32(m[8:])
	d := Device{
		Index:    int(int32(binary.NativeEndian.Uint32(m[4:]))),
		Loopback: flags&unix.IFF_LOOPBACK != 0,
		Up:       flags&unix.IFF_UP != 0,
		Running:  flags&unix.IFF_RUNNING != 0,
	}
	if d.Loopback {
		d.Kind = "loopback"
	}
	seen := map[uint16]bool{}
	err := eachAttr(m[unix.SizeofIfInfomsg:], func(kind uint16, v []byte) error {
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
	case unix.IFLA_OPERSTATE:
		return d.setOperState(v)
	case unix.IFLA_LINKINFO:
		return d.setKind(v)
	case unix.IFLA_XDP:
		return d.setXDP(v)
	case unix.IFLA_STATS64:
		return d.setStats(v)
	}
	return nil
}

func (d *Device) setOperState(v []byte) error {
	if len(v) < 1 {
		return errShort
	}
	// include/uapi/linux/if.h IF_OPER_*
	names := []string{"unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant",
		"up"}
	if int(v[0]) >= len(names) {
		d.OperState = fmt.Sprintf("state %d", v[0])
		return nil
	}
	d.OperState = names[v[0]]
	return nil
}

func (d *Device) setKind(v []byte) error {
	return eachAttr(v, func(kind uint16, v []byte) error {
		if kind == unix.IFLA_INFO_KIND {
			d.Kind = text(v)
		}
		return nil
	})
}

// setXDP: any mode but XDP_ATTACHED_NONE (0) is a program.
func (d *Device) setXDP(v []byte) error {
	const iflaXDPAttached = 2 // IFLA_XDP_ATTACHED, Linux 4.8
	return eachAttr(v, func(kind uint16, v []byte) error {
		if kind == iflaXDPAttached && len(v) > 0 {
			d.XDP = v[0] != 0
		}
		return nil
	})
}

func (d *Device) setStats(v []byte) error {
	var w [16]uint64
	if words(v, w[:]) < len(w) {
		return errShort
	}
	d.Stats = Stats{
		RxPackets: w[0], TxPackets: w[1], RxBytes: w[2], TxBytes: w[3], RxErrors: w[4],
		TxErrors:  w[5],
		RxDropped: w[6], TxDropped: w[7], RxFIFO: w[14], RxMissed: w[15],
	}
	return nil
}
