//go:build linux

package tune

import (
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"net/netip"
)

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
