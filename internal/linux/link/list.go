//go:build linux

package link

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// List reads all devices of the calling thread's namespace. sys is where sysfs is
// mounted ("/sys"); it may show another namespace and is then not used. The error
// is an *Error and means that not even the devices could be listed; any other kind
// of fact that could not be read is named in Report.Missing. It needs no privilege.
func List(sys string) (Report, error) {
	devices, err := dumpLinks()
	if err != nil {
		return Report{}, err
	}
	slices.SortFunc(devices, func(a, b Device) int { return cmp.Compare(a.Index, b.Index) })
	r := Report{Devices: devices}
	r.addQdiscs()
	r.addAddresses()
	r.addNeighbours()
	r.addBacklog(sys)
	return r, nil
}

func (r *Report) miss(fact string, err error) {
	r.Missing = append(r.Missing, Missing{fact, err})
}

func (r *Report) addQdiscs() {
	found, err := dumpQdiscs()
	if err != nil {
		r.miss("qdiscs", err)
		return
	}
	for i := range r.Devices {
		d := &r.Devices[i]
		d.Qdiscs = append([]Qdisc{}, found[d.Index]...)
		slices.SortStableFunc(d.Qdiscs, rootFirst)
	}
}

func (r *Report) addAddresses() {
	found, err := dumpAddresses()
	if err != nil {
		r.miss("addresses", err)
		return
	}
	for i := range r.Devices {
		d := &r.Devices[i]
		d.Addresses = append([]Address{}, found[d.Index]...)
	}
}

func (r *Report) addNeighbours() {
	found, err := dumpNeighbours()
	if err != nil {
		r.miss("neighbours", err)
		return
	}
	for i := range r.Devices {
		n := found[r.Devices[i].Index]
		r.Devices[i].Neighbours = &n
	}
}

func (r *Report) addBacklog(sys string) {
	napi, err := dumpNAPI()
	if err != nil {
		r.miss("napi", err)
	}
	steering := newSteering(sys, r.Devices)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
	}
	for i := range r.Devices {
		d := &r.Devices[i]
		s := signs{kind: d.Kind, up: d.Up, xdp: d.XDP, rps: func() *bool {
			return steering.on(*d)
		}}
		if napi != nil {
			n := napi[d.Index]
			s.napi = &n
		}
		if d.Kind == "veth" && err == nil {
			if on, err := readGRO(fd, d.Name); err == nil {
				s.gro = &on
			}
		}
		d.Backlog = classify(s)
	}
}

// Device is one network device and what was read about it.
type Device struct {
	Index int
	Name  string
	// IFLA_INFO_KIND ("veth", "bridge", "tun"), "loopback", or "" for hardware
	Kind       string
	Loopback   bool
	Up         bool // IFF_UP: set up by the administrator
	MTU        int  // bytes
	TxQueueLen int  // packets; says how much is queued only where RootQdisc uses it
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
	// in the kernel after reception: no handler, gro_cells full, ...
	RxDropped uint64
	// before the driver took it; a queueing discipline counts its own
	TxDropped uint64
}

// Address is a local address of a device.
type Address struct {
	Prefix    netip.Prefix // the address with the length of its network
	Tentative bool         // IPv6, duplicate address detection not finished
	Duplicate bool         // IPv6, refused by duplicate address detection
}

// Usable reports whether a socket can be bound to the address now.
func (a Address) Usable() bool { return !a.Tentative && !a.Duplicate }

// Neighbours are entries of the neighbour table that belong to one device. The
// table and its thresholds are shared by all namespaces of the host, so the sum
// over one namespace is only a part of what is counted against them.
type Neighbours struct {
	V4, V6 NeighbourCount
	// Unresolved are the first of those that are being asked for.
	Unresolved []netip.Addr
}

// mostUnresolved is how many of them are kept of one device.
const mostUnresolved = 256

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

// Error is the only error type of this package.
type Error struct {
	Op      string // "dump", "parse", "read"
	Subject string // "links", "qdiscs", "addresses", "neighbours", "napi", "gro of eth0"
	Err     error
}

// Error says what was tried on what.
func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Subject, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
