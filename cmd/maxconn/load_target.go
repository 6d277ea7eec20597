//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"

	"github.com/maxconn/maxconn/internal/load"
)

// destination is a HOST:PORT, resolved once: what is judged is what is connected to.
type destination struct {
	addrs []netip.Addr // all of the name; the first is used
	ports []uint16
}

func (d destination) targets() (out []netip.AddrPort) {
	for _, p := range d.ports {
		out = append(out, netip.AddrPortFrom(d.addrs[0], p))
	}
	return out
}

// targets reads HOST:PORT, HOST:PORT,PORT and HOST:FIRST-LAST.
func targets(ctx context.Context, text string) ([]netip.AddrPort, error) {
	d, err := resolve(ctx, text)
	if err != nil {
		return nil, err
	}
	return d.targets(), nil
}

// resolve is targets with all addresses of the host.
func resolve(ctx context.Context, text string) (d destination, err error) {
	i := strings.LastIndexByte(text, ':')
	if i <= 0 || strings.HasPrefix(text, "[") != strings.HasSuffix(text[:i], "]") {
		return d, errors.New("it is not a host and a port")
	}
	name := strings.TrimSuffix(strings.TrimPrefix(text[:i], "["), "]")
	if d.ports, err = targetPorts(text[i+1:]); err != nil {
		return d, err
	}
	d.addrs, err = addressesOf(ctx, name)
	return d, err
}

// endsInNumber is a name that some resolvers read as an IPv4 address: 127.1, 0x7f000001,
// 2130706433, 010.0.0.1 (inet_aton(3)). They differ in which one; no name in the DNS ends so.
var endsInNumber = regexp.MustCompile(`(^|\.)([0-9]+|0[xX][0-9a-fA-F]*)\.?$`)

func addressesOf(ctx context.Context, name string) (addrs []netip.Addr, err error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	if endsInNumber.MatchString(name) {
		return nil, errors.New(
			"an IPv4 address has four decimal numbers, without zeros in front")
	}
	if addrs, err = net.DefaultResolver.LookupNetIP(ctx, "ip", name); err != nil {
		return nil, err
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs, nil
}

func targetPorts(list string) (out []uint16, err error) {
	for part := range strings.SplitSeq(list, ",") {
		p, err := load.ParsePorts(part)
		if err != nil || int(p.Last)-int(p.First) >= mostTargets ||
			len(out) >= mostTargets {
			return nil, fmt.Errorf("%s is not a port", quoted(part))
		}
		for port := int(p.First); port <= int(p.Last); port++ {
			out = append(out, uint16(port))
		}
	}
	return out, nil
}

// mostTargets is how many ports one server is taken to have.
const mostTargets = 4096

// permit refuses to load what may be somebody else's, and notes which sources to ask for.
func (f *loadFlags) permit(to []netip.Addr, sources []load.Range, raw *load.Raw) error {
	aim := load.Aim{Targets: to, Sources: sources, Raw: f.raw, Gateway: raw.Gateway,
		OwnTarget: f.owned, OwnSources: f.ownSources}
	here := load.Here(to, sources)
	raw.Foreign = aim.Foreign(here)
	err := aim.Permit(here)
	var refused *load.Refusal
	if !errors.As(err, &refused) {
		return err
	}
	hint := "give addresses of this host"
	switch refused.Declaration {
	case load.DeclareTarget:
		hint = "a load test is an attack on a host whose owner did not ask for it: " +
			load.DeclareTarget + " says that you may"
	case load.DeclareSources:
		hint = "another host may have it: " + load.DeclareSources +
			" says that it is yours; it is asked for before it is used"
	}
	return misuse(hint, "%w", err)
}
