//go:build linux

package load

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// ErrShared is in the error of Serve where another program listens on the port.
var ErrShared = errors.New("another program listens there")

// alone makes sure that nobody else listens where this server will: with SO_REUSEPORT both would,
// and each would get a part of the connections. Where the kernel lists no sockets, nothing is said.
func (s ServeSpec) alone() error {
	if s.Share {
		return nil
	}
	conn, err := sockdiag.Open()
	if err != nil {
		return nil
	}
	defer conn.Close()
	var found netip.AddrPort
	err = conn.Dump(sockdiag.Request{States: sockdiag.Listen.Mask()},
		func(k *sockdiag.Socket) error {
			for _, at := range s.Listen {
				if k.State == sockdiag.Listen && at.Port() != 0 && meets(at, k) {
					found = k.Source
				}
			}
			return nil
		})
	if err == nil && found.IsValid() {
		return fmt.Errorf("load: listen on port %d: %w, on %s", found.Port(), ErrShared,
			found)
	}
	return nil
}

// meets says whether a listener takes connections to an address, or would share it: both have the
// same address, or one of them has all of its family; [::] has IPv4 as well unless it is for IPv6
// alone.
func meets(at netip.AddrPort, k *sockdiag.Socket) bool {
	have, want := k.Source.Addr().Unmap(), at.Addr().Unmap()
	switch {
	case k.Source.Port() != at.Port():
		return false
	case have.Is4() == want.Is4():
		return have == want || have.IsUnspecified() || want.IsUnspecified()
	}
	return have.Is6() && have.IsUnspecified() && k.HasV6Only && !k.V6Only
}
