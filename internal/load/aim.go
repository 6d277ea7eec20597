//go:build linux

package load

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/maxconn/maxconn/internal/linux/route"
)

// Aim is whom a run would reach from where, and what the user has declared.
type Aim struct {
	// Targets are all addresses of what was named; the first is connected to. A name
	// that has one address here and one elsewhere is judged by both.
	Targets []netip.Addr
	Sources []Range // to connect from; none: the kernel chooses an address of this host
	// Raw sends frames on a device, past the routes of this host. Gateway is their next
	// hop; not valid means the target.
	Raw     bool
	Gateway netip.Addr
	// OwnTarget declares that the user may load the target and what leads there,
	// OwnSources that frames may have sources that are no addresses of this host.
	OwnTarget, OwnSources bool
}

// Address is what the kernel says about addresses.
type Address struct {
	Prefix netip.Prefix
	Kind   AddressKind
	Device string
}

// AddressKind is what addresses are to this host.
type AddressKind int

const (
	Local     AddressKind = iota // of this host: packets to them stay here
	Broadcast                    // of everybody on a link
	// of this host, and a routing rule sends packets to them elsewhere
	Elsewhere
)

// Refusal is why a run must not start. Declaration is the flag that would allow it, "" for none.
type Refusal struct {
	Text        string
	Declaration string
}

func (r *Refusal) Error() string { return r.Text }

// Flags that declare.
const (
	DeclareTarget  = "--i-own-the-target"
	DeclareSources = "--i-own-the-sources"
)

// Permit decides whether a run may start, for every way to name a target: nil, or a *Refusal.
// Without a declaration only this host is loaded, from its own addresses. No declaration permits an
// address that means many hosts.
func (a Aim) Permit(here []Address) error {
	if len(a.Targets) == 0 {
		return errors.New("load: no target")
	}
	for _, to := range a.Targets {
		if err := a.permitTarget(to, here); err != nil {
			return err
		}
	}
	if err := a.permitGateway(here); err != nil {
		return err
	}
	for _, r := range a.Sources {
		if err := a.permitSource(r, here); err != nil {
			return err
		}
	}
	return nil
}

func (a Aim) permitTarget(to netip.Addr, here []Address) error {
	to = to.Unmap()
	if why := notOneHost(to, here); why != "" {
		return &Refusal{Text: fmt.Sprintf("%s %s", to, why)}
	}
	switch {
	case to.IsLinkLocalUnicast() && to.Is6() && to.Zone() == "":
		return &Refusal{Text: fmt.Sprintf(
			"%s is a link-local address without its device: %s%%eth0", to, to)}
	case a.OwnTarget:
		return nil
	case a.Raw:
		// The frames leave this host whatever their address is: any host that
		// answers for the next hop gets them, and hands them on.
		return &Refusal{"frames of --raw go to any host that answers on the device, " +
			"not by this host's routes", DeclareTarget}
	case !isHere(to, here) && len(a.Targets) > 1:
		return &Refusal{fmt.Sprintf(
			"the name has %d addresses, and %s is no address of this host",
			len(a.Targets), to), DeclareTarget}
	case !isHere(to, here):
		return &Refusal{fmt.Sprintf("%s is no address of this host", to), DeclareTarget}
	}
	return nil
}

// permitGateway judges the next hop of frames; the target's declaration covers it.
func (a Aim) permitGateway(here []Address) error {
	if !a.Gateway.IsValid() {
		return nil
	}
	hop := a.Gateway.Unmap()
	if why := notOneHost(hop, here); why != "" {
		return &Refusal{Text: fmt.Sprintf("gateway %s %s", hop, why)}
	}
	if isHere(hop, here) {
		return &Refusal{Text: fmt.Sprintf("gateway %s is an address of this host", hop)}
	}
	return nil
}

func (a Aim) permitSource(r Range, here []Address) error {
	for _, b := range manyHosts {
		if r.meets(rangeOf(b.prefix)) {
			return &Refusal{Text: fmt.Sprintf("source %s: %s %s", r, b.prefix, b.why)}
		}
	}
	for _, row := range here {
		if row.Kind == Broadcast && r.meets(rangeOf(row.Prefix)) {
			return &Refusal{Text: fmt.Sprintf("source %s: %s is a broadcast address",
				r, row.Prefix.Addr())}
		}
	}
	foreign, ok := firstForeign(r, here)
	switch {
	case !ok || a.Raw && a.OwnSources:
		return nil
	case a.Raw:
		return &Refusal{fmt.Sprintf("source %s is no address of this host", foreign),
			DeclareSources}
	}
	// A socket that is bound to it (net.ipv4.ip_nonlocal_bind) has its answers go to
	// another host.
	return &Refusal{Text: fmt.Sprintf("source %s is no address of this host", foreign)}
}

// Foreign are the parts of the sources that are not addresses of this host: before they are used
// somebody has to ask whether another host has them.
func (a Aim) Foreign(here []Address) (out []Range) {
	for _, r := range a.Sources {
		for {
			first, ok := firstForeign(r, here)
			if !ok {
				break
			}
			last := lastForeign(Range{first, r.Last}, here)
			out = append(out, Range{first, last})
			if last == r.Last {
				break
			}
			r.First = last.Next()
		}
	}
	return out
}

// manyHosts are addresses that mean no host, or many (RFC 6890, RFC 1112).
var manyHosts = []struct {
	prefix netip.Prefix
	why    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "is no address of a host: 127.0.0.1 is this one"},
	{netip.MustParsePrefix("224.0.0.0/4"), "is multicast: many hosts"},
	{netip.MustParsePrefix("240.0.0.0/4"), "is broadcast or reserved"},
	{netip.MustParsePrefix("::/128"), "is no address of a host: ::1 is this one"},
	{netip.MustParsePrefix("ff00::/8"), "is multicast: many hosts"},
}

// notOneHost says why an address is not that of one host, "" where it is.
func notOneHost(a netip.Addr, here []Address) string {
	for _, b := range manyHosts {
		if b.prefix.Contains(a.WithZone("")) {
			return b.why
		}
	}
	for _, row := range here {
		if row.Kind == Broadcast && row.Prefix.Contains(a) {
			return "is the broadcast address of a network of this host"
		}
	}
	return ""
}

// isHere says whether an address is one of this host: loopback, of a device, or routed as local. A
// link-local one is only with its device.
func isHere(a netip.Addr, here []Address) bool {
	if a.IsLoopback() {
		return true
	}
	local := false
	for _, row := range here {
		if !row.Prefix.Contains(a.WithZone("")) ||
			a.Zone() != "" && a.Zone() != row.Device {
			continue
		}
		if row.Kind == Elsewhere {
			return false
		}
		local = local || row.Kind == Local
	}
	return local
}

// loopbackNet is this host's whatever its tables say (net/ipv4/route.c, martian sources).
var loopbackNet = netip.MustParsePrefix("127.0.0.0/8")

// firstForeign is the first address of a range that is not of this host.
func firstForeign(r Range, here []Address) (netip.Addr, bool) {
	own := []Range{rangeOf(loopbackNet)}
	for _, row := range here {
		if row.Kind == Local && row.Prefix.Addr().Is4() == r.First.Is4() {
			own = append(own, rangeOf(row.Prefix))
		}
	}
	slices.SortFunc(own, func(x, y Range) int { return x.First.Compare(y.First) })
	next := r.First
	for _, o := range own {
		if o.First.Is4() != next.Is4() || o.Last.Less(next) {
			continue
		}
		if next.Less(o.First) {
			return next, true
		}
		if next = o.Last.Next(); !next.IsValid() || r.Last.Less(next) {
			return netip.Addr{}, false
		}
	}
	return next, true
}

// lastForeign is the last address before the first of this host, of a range that begins with one
// that is not.
func lastForeign(r Range, here []Address) netip.Addr {
	last := r.Last
	for _, row := range append(slices.Clip(here), Address{Prefix: loopbackNet}) {
		first := row.Prefix.Addr()
		between := r.First.Less(first) && !last.Less(first)
		if row.Kind == Local && first.Is4() == r.First.Is4() && between {
			last = first.Prev()
		}
	}
	return last
}

// rangeOf is all addresses of a prefix.
func rangeOf(p netip.Prefix) Range { return Range{p.Masked().Addr(), lastOf(p.Masked())} }

// meets says whether two ranges have an address in common.
func (r Range) meets(o Range) bool {
	return r.First.Is4() == o.First.Is4() && !r.Last.Less(o.First) && !o.Last.Less(r.First)
}

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
