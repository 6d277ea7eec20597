//go:build linux

package link

import "net/netip"

// Device is one network device and what was read about it.
type Device struct {
	Index int
	Name  string
	// IFLA_INFO_KIND ("veth", "bridge", "tun"), "loopback", or "" for hardware
	Kind       string
	Loopback   bool
	Up         bool   // IFF_UP: set up by the administrator
	Running    bool   // IFF_RUNNING: operational as well
	OperState  string // RFC 2863, as ip-link(8) spells it: "up", "down", "unknown", ...
	MTU        int    // bytes
	TxQueueLen int    // packets; says how much is queued only where RootQdisc uses it
	RxQueues   int
	TxQueues   int
	Master     int    // index of the bridge or bond it belongs to; 0: none
	Hardware   string // link-layer address; "" without one
	XDP        bool   // an XDP program is attached
	Stats      Stats
	RootQdisc  string      // kind of the root queueing discipline, "noqueue" without one
	Qdiscs     []Qdisc     // all of them, the root first; nil: Report.Missing says why
	Addresses  []Address   // nil: Report.Missing says why
	Neighbours *Neighbours // nil: Report.Missing says why
	Backlog    Backlog
}

// Stats are counters since the device was made, from struct rtnl_link_stats64.
type Stats struct {
	RxPackets, TxPackets uint64
	RxBytes, TxBytes     uint64
	RxErrors, TxErrors   uint64
	// in the kernel after reception: no handler, gro_cells full, ...
	RxDropped uint64
	// before the driver took it; a queueing discipline counts its own
	TxDropped uint64
	RxFIFO    uint64 // rx_fifo_errors
	RxMissed  uint64 // rx_missed_errors: no room in the device's ring
}

// Address is a local address of a device.
type Address struct {
	Prefix     netip.Prefix // the address with the length of its network
	Host       bool         // scope host: not valid outside this host
	Link       bool         // scope link: needs the device named with it
	Tentative  bool         // IPv6, duplicate address detection not finished
	Duplicate  bool         // IPv6, refused by duplicate address detection
	Deprecated bool         // not chosen for new connections by itself
	loopback   bool
}

// Usable reports whether a socket can be bound to the address now.
func (a Address) Usable() bool { return !a.Tentative && !a.Duplicate }

// Sources are the addresses that connections may come from: all of an IPv4
// network on a loopback device, since the kernel makes the whole network local
// (net/ipv4/fib_frontend.c fib_add_ifaddr), else the one address. Networks made
// local by a route alone ("ip route add local") are not among the addresses.
func (a Address) Sources() netip.Prefix {
	if a.loopback && a.Prefix.Addr().Is4() {
		return a.Prefix.Masked()
	}
	return netip.PrefixFrom(a.Prefix.Addr(), a.Prefix.Addr().BitLen())
}

// Neighbours are entries of the neighbour table that belong to one device. The
// table and its thresholds are shared by all namespaces of the host, so the sum
// over one namespace is only a part of what is counted against them.
type Neighbours struct {
	V4, V6 NeighbourCount
}

// NeighbourCount counts entries of one family.
type NeighbourCount struct {
	Entries int
	// Exempt entries do not count against gc_thresh3: permanent ones and those
	// learned from outside (net/core/neighbour.c neigh_alloc, Linux 5.0).
	Exempt     int
	Failed     int // state FAILED: nobody answered
	Incomplete int // state INCOMPLETE: being asked for
}

// Missing is a kind of fact that could not be read, for all devices.
type Missing struct {
	Fact string // "qdiscs", "addresses", "neighbours", "napi"
	Err  error
}

// Report is what List found.
type Report struct {
	Devices []Device // by index
	Missing []Missing
}
