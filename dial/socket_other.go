//go:build !linux

package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// probe: options to choose ports by are Linux's.
func probe() (features, error) { return features{}, nil }

// readSettings: how many ports there are is not known here.
func readSettings() (ports PortRange, reserved *portSet, reuse int, err error) {
	return PortRange{}, &portSet{}, -1, nil
}

// connect makes one connection from one source. The system chooses the port when it binds
// the address, so it may be out of ports with EADDRINUSE as well; EADDRNOTAVAIL may also
// mean that the address is not there.
func (c *core) connect(ctx context.Context, network string, t *destination, p *pair, _ *settings,
	got func()) (*Conn, verdict, error) {
	if c.dialer.UserTimeout > 0 {
		return nil, failed, opError(network, tcpAddr(t.addr),
			fmt.Errorf("UserTimeout: %w", errors.ErrUnsupported))
	}
	base := c.dialer.Base
	base.Timeout, base.Deadline, base.LocalAddr = 0, time.Time{}, nil
	if p.source.addr.IsValid() {
		base.LocalAddr = tcpAddr(netip.AddrPortFrom(p.source.addr, 0))
	}
	conn, err := base.DialContext(ctx, network, t.addr.String())
	switch {
	case err == nil:
		got()
		return c.keep(t, p, conn.(*net.TCPConn)), connected, nil
	case errors.Is(err, errAddrInUse):
		return nil, inUse, err
	case errors.Is(err, errAddrNotAvail) && p.source.addr.IsValid() && !present(p.source.addr):
		return nil, lost, err
	case errors.Is(err, errAddrNotAvail):
		return nil, noPort, err
	}
	return nil, failed, err
}

// present tells whether a device of this host has the address.
func present(a netip.Addr) bool {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, one := range all {
		if n, ok := one.(*net.IPNet); ok {
			if ip, ok := netip.AddrFromSlice(n.IP); ok && ip.Unmap() == a.WithZone("") {
				return true
			}
		}
	}
	return a.IsLoopback()
}

// whole: not told here either.
func whole(*net.TCPConn) bool { return true }

// lingers: not told here who closed first, so every closed connection is counted.
func lingers(*net.TCPConn, bool) bool { return true }
