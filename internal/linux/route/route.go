//go:build linux

// Package route asks the kernel where packets for an address would go.
package route

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Row is a row of the routing table "local": addresses of this host and its broadcast addresses.
type Row struct {
	Prefix    netip.Prefix
	Broadcast bool   // packets go to everybody on a link
	Device    string // that has the address
}

// Local reads the routing table "local" of this network namespace, IPv4 and IPv6. bind() asks the
// same table (net/ipv4/route.c inet_addr_type_table, net/ipv6/addrconf.c ipv6_chk_addr).
func Local() ([]Row, error) {
	var found []netlink.Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		more, err := netlink.RouteListFiltered(family,
			&netlink.Route{Table: unix.RT_TABLE_LOCAL}, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("read the routing table local: %w", err)
		}
		found = append(found, more...)
	}
	devices := map[int]string{}
	var rows []Row
	for _, r := range found {
		p, ok := prefix(r.Dst)
		if !ok || r.Type != unix.RTN_LOCAL && r.Type != unix.RTN_BROADCAST {
			continue
		}
		if _, ok := devices[r.LinkIndex]; !ok {
			devices[r.LinkIndex] = deviceName(r.LinkIndex)
		}
		rows = append(rows, Row{p, r.Type == unix.RTN_BROADCAST, devices[r.LinkIndex]})
	}
	return rows, nil
}

func deviceName(index int) string {
	dev, err := net.InterfaceByIndex(index)
	if err != nil {
		return "" // it is gone
	}
	return dev.Name
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if !ok || size == 0 {
		return netip.Prefix{}, false
	}
	if size == 32 {
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, bits), true
}

// Stays says whether the kernel would deliver a packet for this address on this host, by
// all of its routing rules: a rule may send an address of this host elsewhere. from is the
// packet's source, an address of this host; the zero Addr leaves it to the kernel.
func Stays(a, from netip.Addr) (bool, error) {
	options := &netlink.RouteGetOptions{Oif: a.Zone()}
	if from.IsValid() {
		options.SrcAddr = from.AsSlice()
	}
	found, err := netlink.RouteGetWithOptions(a.WithZone("").AsSlice(), options)
	if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask for the route to %s: %w", a, err)
	}
	return len(found) == 1 && found[0].Type == unix.RTN_LOCAL, nil
}

// Hop is where a packet goes next: a host on the link of a device, the destination itself or a
// gateway to it.
type Hop struct {
	Address netip.Addr
	Device  int // its index
}

// Next is the next hop towards an address, as the kernel would send a packet from a source now. The
// zero Hop is none: there is no route, or it stays on this host.
func Next(to, from netip.Addr) (Hop, error) {
	options := &netlink.RouteGetOptions{Oif: to.Zone()}
	if from.IsValid() {
		options.SrcAddr = from.WithZone("").AsSlice()
	}
	found, err := netlink.RouteGetWithOptions(to.WithZone("").AsSlice(), options)
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return Hop{}, nil
	case err != nil:
		return Hop{}, fmt.Errorf("ask for the route to %s: %w", to, err)
	case len(found) != 1 || found[0].Type != unix.RTN_UNICAST:
		return Hop{}, nil
	}
	hop := Hop{to.WithZone(""), found[0].LinkIndex}
	if a, ok := netip.AddrFromSlice(gateway(found[0])); ok {
		hop.Address = a.Unmap()
	}
	return hop, nil
}

// gateway may be of the other family (RTA_VIA, Linux 5.2).
func gateway(r netlink.Route) net.IP {
	if via, ok := r.Via.(*netlink.Via); ok && via != nil {
		return via.Addr
	}
	if ip4 := r.Gw.To4(); ip4 != nil {
		return ip4
	}
	return r.Gw
}
