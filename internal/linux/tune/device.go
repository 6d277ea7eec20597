//go:build linux

package tune

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// LinkUp sets a device of the calling thread's namespace up. It needs
// CAP_NET_ADMIN there, as do AddAddress and AddRoute.
func LinkUp(name string) error {
	dev, err := netlink.LinkByName(name)
	if err != nil {
		return &Error{Op: "set up", Subject: name, Err: err}
	}
	if err := netlink.LinkSetUp(dev); err != nil {
		return &Error{Op: "set up", Subject: name, Err: err}
	}
	return nil
}

// AddAddress gives a device an address, usable at once: duplicate address
// detection, which would hold an IPv6 address back for a second, is left out. An
// address that is there already is EEXIST.
func AddAddress(dev string, prefix netip.Prefix) error {
	subject := fmt.Sprintf("%s on %s", prefix, dev)
	if !prefix.IsValid() {
		return &Error{Op: "add address", Subject: subject, Err: unix.EINVAL}
	}
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return &Error{Op: "add address", Subject: subject, Err: err}
	}
	addr := &netlink.Addr{IPNet: ipNet(prefix)}
	if prefix.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := netlink.AddrAdd(link, addr); err != nil {
		return &Error{Op: "add address", Subject: subject, Err: err}
	}
	return nil
}

// AddRoute sends packets for a network out of a device. On lo they come straight
// back and, the network not being local, vanish: that is how a lab makes peers
// that never answer. A route that is there already is EEXIST.
func AddRoute(dev string, to netip.Prefix) error {
	subject := fmt.Sprintf("%s on %s", to, dev)
	if !to.IsValid() {
		return &Error{Op: "add route", Subject: subject, Err: unix.EINVAL}
	}
	link, err := netlink.LinkByName(dev)
	if err != nil {
		return &Error{Op: "add route", Subject: subject, Err: err}
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(to.Masked()),
		Scope: netlink.SCOPE_LINK}
	if err := netlink.RouteAdd(route); err != nil {
		return &Error{Op: "add route", Subject: subject, Err: err}
	}
	return nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	addr := p.Addr()
	return &net.IPNet{IP: addr.AsSlice(), Mask: net.CIDRMask(p.Bits(), addr.BitLen())}
}

// AddRouteVia sends packets for a network to a gateway, which must be on the network of a
// device. A route that is there already is EEXIST. It needs CAP_NET_ADMIN in the namespace
// of the calling thread.
func AddRouteVia(to netip.Prefix, gateway netip.Addr) error {
	fail := &Error{Op: "add route", Subject: fmt.Sprintf("%s via %s", to, gateway),
		Err: unix.EINVAL}
	if !to.IsValid() || !gateway.IsValid() {
		return fail
	}
	if err := netlink.RouteAdd(&netlink.Route{Dst: ipNet(to.Masked()),
		Gw: gateway.AsSlice()}); err != nil {
		fail.Err = err
		return fail
	}
	return nil
}

// Qdisc is the queue in which packets wait to be sent by a device.
type Qdisc struct {
	Kind string // "pfifo", "pfifo_fast", "noqueue", "fq_codel", ...
	// Rate holds packets back so that the queue fills: a token bucket (tbf) of that
	// many bytes a second hands over what Kind has queued. 0: as fast as the device
	// takes them.
	Rate uint64
}

// tbfBurst is the bytes that a token bucket lets through at once, at least one packet of
// Ethernet's MTU. A rate below 373 bytes a second would need more than the 2^32 ns of
// tokens that the kernel keeps (net/sched/sch_tbf.c tbf_change).
const tbfBurst = 1600

// RootQdisc gives a device of the calling thread's namespace a queue in place of the
// present one. It needs CAP_NET_ADMIN there. ENOENT: this kernel has no such kind.
func RootQdisc(device string, q Qdisc) error {
	fail := &Error{Op: "set qdisc of", Subject: device, Want: q.Kind}
	dev, err := netlink.LinkByName(device)
	if err != nil {
		fail.Err = err
		return fail
	}
	at := netlink.QdiscAttrs{
		LinkIndex: dev.Attrs().Index,
		Handle:    netlink.MakeHandle(1, 0),
		Parent:    netlink.HANDLE_ROOT,
	}
	// One of another kind cannot be replaced under the same handle; the default has
	// none and cannot be deleted.
	netlink.QdiscDel(&netlink.GenericQdisc{QdiscAttrs: at})
	if q.Rate > 0 {
		if err := netlink.QdiscReplace(tokenBucket(at, q.Rate)); err != nil {
			fail.Want, fail.Err = "tbf", err
			return fail
		}
		at.Parent, at.Handle = netlink.MakeHandle(1, 1), netlink.MakeHandle(2, 0)
	}
	if err := netlink.QdiscReplace(q.at(at)); err != nil {
		fail.Err = err
		return fail
	}
	return nil
}

// tokenBucket has no queue of its own that matters: its limit is far above what waits in its class.
func tokenBucket(at netlink.QdiscAttrs, rate uint64) *netlink.Tbf {
	return &netlink.Tbf{
		QdiscAttrs: at,
		Rate:       rate,
		Limit:      1 << 24,
		Buffer:     netlink.Xmittime(rate, tbfBurst),
	}
}

// at has no options: its limit is what the kind takes by itself.
func (q Qdisc) at(at netlink.QdiscAttrs) netlink.Qdisc {
	return &netlink.GenericQdisc{QdiscAttrs: at, QdiscType: q.Kind}
}

// LinkTxQueueLen sets the transmit queue length of a device of the calling thread's
// namespace, in packets, and reads it back. It needs CAP_NET_ADMIN there. Only some
// queueing disciplines use it, most when they are created; the device's ring may refuse
// (net/core/dev.c dev_change_tx_queue_len).
//
// index is the device's, where another one that has its name by now is not meant; 0: any.
func LinkTxQueueLen(name string, index int, packets uint32) error {
	want := strconv.FormatUint(uint64(packets), 10)
	fail := &Error{Op: "set txqueuelen of", Subject: name, Want: want}
	dev, err := netlink.LinkByName(name)
	if err != nil {
		fail.Err = err
		return fail
	}
	if index != 0 && dev.Attrs().Index != index {
		fail.Err = errors.New("another device has that name now")
		return fail
	}
	if err := netlink.LinkSetTxQLen(dev, int(packets)); err != nil {
		fail.Err = err
		return fail
	}
	if dev, err = netlink.LinkByName(name); err != nil {
		fail.Op, fail.Err = "read back txqueuelen of", err
		return fail
	}
	if got := strconv.Itoa(dev.Attrs().TxQLen); got != want {
		fail.Got = got
		return fail
	}
	return nil
}

// Veth is a pair of devices joined like a cable: what enters one end leaves the other.
type Veth struct {
	Name   string // in the namespace of the calling thread
	Peer   string // the other end
	PeerIn int    // process whose network namespace gets the other end
	// TxQueueLen and PeerTxQueueLen are in packets; 0 is what the kernel gives (1000).
	TxQueueLen, PeerTxQueueLen int
}

// AddVeth makes the pair, both ends down. It needs CAP_NET_ADMIN in both namespaces
// (net/core/rtnetlink.c rtnl_link_get_net_capable). The pair ends with either namespace.
func AddVeth(v Veth) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = v.Name
	if v.TxQueueLen > 0 {
		attrs.TxQLen = v.TxQueueLen
	}
	link := netlink.NewVeth(attrs)
	link.PeerName, link.PeerNamespace = v.Peer, netlink.NsPid(v.PeerIn)
	if v.PeerTxQueueLen > 0 {
		link.PeerTxQLen = v.PeerTxQueueLen
	}
	if err := netlink.LinkAdd(link); err != nil {
		return &Error{
			Op: "add veth pair",
			Subject: fmt.Sprintf("%s and %s in the namespace of process %d", v.Name,
				v.Peer, v.PeerIn),
			Err: err,
		}
	}
	return nil
}

// LinkMTU sets the MTU of a device of the calling thread's namespace, in bytes.
func LinkMTU(name string, bytes int) error {
	dev, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetMTU(dev, bytes)
	}
	if err != nil {
		return &Error{Op: "set MTU of", Subject: name, Want: fmt.Sprint(bytes), Err: err}
	}
	return nil
}
