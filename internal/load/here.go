//go:build linux

package load

import (
	"net/netip"

	"github.com/maxconn/maxconn/internal/linux/route"
)

// Here is what this network namespace's kernel says about its own addresses, and about these
// targets. Where it says nothing, only loopback is of this host.
func Here(targets []netip.Addr) []Address {
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
		if to.IsLoopback() || !isHere(to, here) {
			continue
		}
		if stays, err := route.Stays(to); err != nil || !stays {
			bare := to.WithZone("")
			here = append(here, Address{netip.PrefixFrom(bare, bare.BitLen()), Elsewhere, to.Zone()})
		}
	}
	return here
}
