//go:build linux

package tune

import (
	"fmt"
	"net"
	"net/netip"

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
