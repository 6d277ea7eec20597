//go:build linux

package link

// Path says through which queue packets go that a device received, before the
// protocols see them. net.core.netdev_max_backlog bounds all of these queues and
// nothing else.
type Path string

const (
	// PathShared: the input queue of each CPU, shared by all such devices
	// (net/core/dev.c netif_rx, enqueue_to_backlog). Drops are in the second column of
	// /proc/net/softnet_stat.
	PathShared Path = "shared"
	// PathCells: a queue of the device's own on each CPU, of the same length
	// (net/core/gro_cells.c gro_cells_receive). Drops are in the device's RxDropped.
	PathCells Path = "cells"
	// PathSome: the shared queue for some packets.
	PathSome Path = "some"
	// PathNone: no such queue. The driver polls (NAPI), or hands packets on where
	// it got them.
	PathNone Path = "none"
	// PathUnknown: what decides could not be read.
	PathUnknown Path = "unknown"
)

// Backlog is the path of a device's received packets and the fact that says so.
type Backlog struct {
	Path Path
	Why  string
}

// signs are the facts about one device that decide its path. nil: not known.
type signs struct {
	kind string
	up   bool
	xdp  bool
	gro  *bool        // generic receive offload is on (ethtool -k)
	napi *int         // NAPI instances of the driver, Linux 6.8
	rps  func() *bool // a receive queue has a non-zero rps_cpus
}

// classify adds receive packet steering, which puts packets on the shared queue
// after the driver (net/core/dev.c netif_receive_skb_internal), to what the driver
// does. It asks for steering only where the driver has not decided: sysfs is slow.
func classify(s signs) Backlog {
	b := byDriver(s)
	if b.Path == PathShared {
		return b
	}
	switch on := s.rps(); {
	case on != nil && *on:
		return Backlog{PathShared, "receive packet steering is on (rps_cpus)"}
	case on == nil && (b.Path == PathNone || b.Path == PathSome):
		return Backlog{PathUnknown, b.Why +
			"; but whether receive packet steering is on could not be read"}
	}
	return b
}

func byDriver(s signs) Backlog {
	switch s.kind {
	case "loopback":
		return Backlog{PathShared, "drivers/net/loopback.c loopback_xmit calls netif_rx"}
	case "veth":
		return veth(s)
	case "netkit":
		return Backlog{PathShared, "drivers/net/netkit.c netkit_xmit calls netif_rx"}
	case "sit":
		return Backlog{PathShared, "net/ipv6/sit.c ipip6_rcv calls netif_rx"}
	case "vxlan", "geneve", "gre", "gretap", "erspan", "ipip", "ip6tnl", "ip6gre", "ip6gretap",
		"ip6erspan",
		"bareudp", "ovpn", "dsa", "macsec":
		return Backlog{PathCells, s.kind + " receives through gro_cells"}
	case "bridge", "vlan", "bond", "team", "ifb", "dummy":
		return Backlog{PathNone, s.kind + " hands packets on where it gets them"}
	case "tun":
		return Backlog{PathNone,
			"drivers/net/tun.c tun_get_user hands packets on at once (Linux 4.11)"}
	case "macvlan", "macvtap", "ipvlan", "ipvtap":
		return Backlog{PathSome, "netif_rx for packets between " + s.kind +
			" devices, otherwise as the lower device"}
	}
	return byPolling(s)
}

// veth polls when it has an XDP program (Linux 4.19) or generic receive offload
// on (5.13); with the latter only for packets that the other end sent without TCP
// segmentation offload, which is on by default (drivers/net/veth.c veth_xmit,
// veth_skb_is_eligible_for_gro).
func veth(s signs) Backlog {
	switch {
	case s.xdp:
		return Backlog{PathNone, "veth polls (NAPI), it has an XDP program"}
	case s.gro == nil:
		return Backlog{PathUnknown,
			"whether veth polls (NAPI) depends on GRO, which could not be read"}
	case *s.gro:
		return Backlog{PathSome,
			"veth has GRO on: polls (NAPI) what the other end sent without TSO, " +
				"else netif_rx"}
	}
	return Backlog{PathShared, "veth without GRO or XDP calls netif_rx"}
}

func byPolling(s signs) Backlog {
	switch {
	case s.napi == nil:
		return Backlog{PathUnknown,
			"this kernel does not tell whether the driver polls (NAPI)"}
	case *s.napi > 0:
		return Backlog{PathNone, "the driver polls (NAPI)"}
	case !s.up:
		return Backlog{PathUnknown,
			"the device is down, its driver shows no NAPI instances"}
	}
	return Backlog{PathUnknown, "the driver has no NAPI instance: it may call netif_rx"}
}
