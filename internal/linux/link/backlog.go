//go:build linux

package link

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/nlattr"
)

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

// steering answers whether receive packet steering is on, from sysfs. A sysfs shows
// the devices of the namespace in which it was mounted, in every process that reads it
// (fs/sysfs/mount.c sysfs_init_fs_context), so another namespace's eth0 may stand
// there. It is believed only when it shows exactly the devices at hand, by name,
// and the device by index and address: those of two containers are often alike.
type steering struct {
	root string // where sysfs is mounted
	ours bool
}

func newSteering(root string, devices []Device) steering {
	want := make([]string, len(devices))
	for i, d := range devices {
		want[i] = d.Name
	}
	slices.Sort(want)
	return steering{root, slices.Equal(want, classNet(root))}
}

// classNet lists the devices in sysfs, sorted. Other files there (bonding_masters)
// are not links.
func classNet(root string) []string {
	entries, err := os.ReadDir(filepath.Join(root, "class/net"))
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if e.Type()&os.ModeSymlink != 0 {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// on is nil when sysfs cannot be read or shows another device of that name.
func (s steering) on(d Device) *bool {
	dir := filepath.Join(s.root, "class/net", d.Name)
	if !s.ours || !says(dir, "ifindex", strconv.Itoa(d.Index)) ||
		!says(dir, "address", d.Hardware) {
		return nil
	}
	masks, err := filepath.Glob(filepath.Join(dir, "queues/rx-*/rps_cpus"))
	if err != nil || len(masks) == 0 {
		return nil
	}
	on := false
	for _, file := range masks {
		mask, err := os.ReadFile(file)
		if err != nil {
			return nil
		}
		on = on || maskSet(string(mask))
	}
	return &on
}

func says(dir, file, want string) bool {
	text, err := os.ReadFile(filepath.Join(dir, file))
	return err == nil && strings.TrimSpace(string(text)) == want
}

// maskSet reports whether a CPU mask such as 00000000,00000003 has a bit set.
func maskSet(mask string) bool {
	return strings.Trim(strings.TrimSpace(mask), "0,") != ""
}

// include/uapi/linux/netdev.h, Linux 6.8
const (
	netdevFamily     = "netdev"
	netdevVersion    = 1
	netdevCmdNAPIGet = 11
	netdevNAPIIndex  = 1 // NETDEV_A_NAPI_IFINDEX
	netdevNAPIID     = 2 // NETDEV_A_NAPI_ID
	sizeofGenlmsg    = 4
)

// dumpNAPI counts the NAPI instances of each device's driver. Those that are not
// the driver's (gro_cells) have no number and are left out.
func dumpNAPI() (map[int]int, error) {
	family, err := netlink.GenlFamilyGet(netdevFamily)
	if err != nil {
		return nil, &Error{Op: "dump", Subject: "napi", Err: err}
	}
	var found map[int]int
	for range attempts {
		found = map[int]int{}
		if err = napiInto(found, int(family.ID)); !errors.Is(err,
			netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, &Error{Op: "dump", Subject: "napi", Err: err}
	}
	return found, nil
}

func napiInto(found map[int]int, family int) error {
	req := nl.NewNetlinkRequest(family, unix.NLM_F_DUMP)
	req.AddData(&nl.Genlmsg{Command: netdevCmdNAPIGet, Version: netdevVersion})
	var parse error
	err := req.ExecuteIter(unix.NETLINK_GENERIC, 0, func(m []byte) bool {
		var index int
		var own bool
		if index, own, parse = parseNAPI(m); own {
			found[index]++
		}
		return parse == nil
	})
	return errors.Join(parse, err)
}

// parseNAPI reads the answer to NETDEV_CMD_NAPI_GET: struct genlmsghdr and
// attributes.
func parseNAPI(m []byte) (index int, own bool, err error) {
	if len(m) < sizeofGenlmsg {
		return 0, false, nlattr.ErrShort
	}
	err = nlattr.Each(m[sizeofGenlmsg:], func(kind uint16, v []byte) error {
		switch kind {
		case netdevNAPIIndex:
			return setInt(&index, v)
		case netdevNAPIID:
			own = true
		}
		return nil
	})
	return index, own && err == nil && index != 0, err
}

// ethtoolValue is struct ethtool_value (include/uapi/linux/ethtool.h).
type ethtoolValue struct {
	cmd  uint32
	data uint32
}

// ifreqData is struct ifreq with a pointer in it (include/uapi/linux/if.h).
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the union may be larger than a pointer
}

// readGRO asks whether generic receive offload is on for a device of the calling
// thread's namespace. fd is any socket of that namespace. It needs no privilege.
func readGRO(fd int, name string) (bool, error) {
	value := &ethtoolValue{cmd: unix.ETHTOOL_GGRO}
	request := ifreqData{data: unsafe.Pointer(value)}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL,
		uintptr(unsafe.Pointer(&request)))
	runtime.KeepAlive(value)
	if errno != 0 {
		return false, &Error{Op: "read", Subject: "gro of " + name, Err: errno}
	}
	return value.data != 0, nil
}
