package dial

import (
	"context"
	"net"
	"net/netip"
	"reflect"
)

// resolve gives the addresses to dial: those of the first one's family, and those of the
// other family, which net.Dialer calls primaries and fallbacks. Families that the network
// or the pool exclude are left out.
func (c *core) resolve(ctx context.Context,
	network, address string) (first, second []netip.AddrPort, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, nil, err
	}
	port, err := c.resolver().LookupPort(ctx, network, service)
	if err != nil {
		return nil, nil, err
	}
	found, err := c.lookup(ctx, network, host)
	if err != nil {
		return nil, nil, err
	}
	pool := c.pool.Load()
	var unserved netip.Addr
	for _, ip := range found {
		ip = ip.Unmap()
		switch {
		case network == "tcp4" && !ip.Is4() || network == "tcp6" && ip.Is4():
		case !pool.serves(ip):
			unserved = ip
		case len(first) == 0 || first[0].Addr().Is4() == ip.Is4():
			first = append(first, netip.AddrPortFrom(ip, uint16(port)))
		default:
			second = append(second, netip.AddrPortFrom(ip, uint16(port)))
		}
	}
	if len(first) > 0 {
		return first, second, nil
	}
	if unserved.IsValid() {
		return nil, nil, &sourceError{what: unserved.String(), err: pool.err}
	}
	return nil, nil, &net.AddrError{Err: "no suitable address found", Addr: host}
}

func (c *core) resolver() *net.Resolver {
	if c.dialer.Base.Resolver != nil {
		return c.dialer.Base.Resolver
	}
	return net.DefaultResolver
}

// quiet is the context in which a name is looked up. It hides the hooks of
// net/http/httptrace that tell of connects: those to a name server are not the caller's.
// net.Dialer does the same (net/dial.go DialContext) with a type that only the standard
// library can name.
type quiet struct{ context.Context }

// Value gives a copy of the trace without these hooks.
func (q quiet) Value(key any) any {
	v := q.Context.Value(key)
	trace := reflect.ValueOf(v)
	if trace.Kind() != reflect.Pointer || trace.IsNil() ||
		trace.Type().Elem().PkgPath() != "internal/nettrace" {
		return v
	}
	shadow := reflect.New(trace.Type().Elem())
	shadow.Elem().Set(trace.Elem())
	for _, hook := range []string{"ConnectStart", "ConnectDone"} {
		if f := shadow.Elem().FieldByName(hook); f.IsValid() {
			f.SetZero()
		}
	}
	return shadow.Interface()
}

// lookup resolves a name. An empty or unspecified host is this host, as in net.Dial.
func (c *core) lookup(ctx context.Context, network, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{here(ip.Unmap())}, nil
	}
	if host == "" {
		if network == "tcp6" {
			return []netip.Addr{netip.IPv6Loopback()}, nil
		}
		return []netip.Addr{here(netip.IPv4Unspecified())}, nil
	}
	if network == "tcp4" { // AAAA is not asked for: it may be slow
		return c.resolver().LookupNetIP(quiet{ctx}, "ip4", host)
	}
	found, err := c.resolver().LookupIPAddr(quiet{ctx}, host)
	if err != nil {
		return nil, err
	}
	var ips []netip.Addr
	for _, a := range found {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			if ip = ip.Unmap(); ip.Is6() {
				ip = ip.WithZone(a.Zone)
			}
			ips = append(ips, ip)
		}
	}
	return ips, nil
}

func here(ip netip.Addr) netip.Addr {
	switch ip {
	case netip.IPv4Unspecified():
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case netip.IPv6Unspecified():
		return netip.IPv6Loopback()
	}
	return ip
}
