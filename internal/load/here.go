//go:build linux

package load

import (
	"net/netip"

	"github.com/maxconn/maxconn/internal/linux/route"
)

// Here is what this network namespace's kernel says about its own addresses, and about these
// targets, reached from these sources. Where it says nothing, only loopback is of this host.
func Here(targets []netip.Addr, sources []Range) []Address {
	rows, err := route.Local()
	if err != nil {
		return nil
	}
	var here []Address
	for _, r := range rows {
		kind := Local
		if r.Broadcast {
			kind = Broadcast
		}
		here = append(here, Address{r.Prefix, kind, r.Device})
	}
	for _, to := range targets {
		to = to.Unmap()
		if !to.IsLoopback() && isHere(to, here) && !stays(to, sources) {
			bare := to.WithZone("")
			here = append(here, Address{netip.PrefixFrom(bare, bare.BitLen()),
				Elsewhere, to.Zone()})
		}
	}
	return here
}

// stays says whether packets to an address of this host stay here, whichever source they have. Of a
// range of sources its ends are asked for: rules are for networks.
func stays(to netip.Addr, sources []Range) bool {
	if ok, err := route.Stays(to, netip.Addr{}); err != nil || !ok {
		return false
	}
	for _, r := range sources {
		for _, from := range []netip.Addr{r.First, r.Last} {
			// The kernel refuses a source that is no address of this host;
			// Permit does, too.
			if ok, err := route.Stays(to, from); err == nil && !ok {
				return false
			}
		}
	}
	return true
}
