package diagnose

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// flow is one kind of connection: who opens or takes it, from where to where.
type flow struct {
	direction           limit.Direction
	source, destination string  // outbound; empty = any
	listener            string  // inbound
	only6               bool    // it takes no IPv4
	holders             []int64 // who has the listener open
	pids                []int64 // who has the connections
	ownerless           bool    // it has a process, whose descriptor limit could not be seen
	uid                 string
	cgroups             []string // one for each hierarchy of version 1
	now                 int64    // connections there now, without TIME_WAIT and half-open ones
}

// withProcess fills in what the snapshot knows of the flow's processes.
func (f flow) withProcess(r *host.Reader) flow {
	for _, pid := range f.pids {
		row, ok := r.Row(host.ProcessKind, strconv.FormatInt(pid, 10))
		if !ok {
			f.ownerless = true
			continue
		}
		f.uid, f.cgroups = row.Text("uid"),
			[]string{row.Text("cgroup"), row.Text("pids_cgroup")}
	}
	return f
}

// listeners finds the flows that the words of a goal mean.
type listeners struct {
	flows  []flow
	byName map[string][]int
	byPort map[uint16][]int
}

func newListeners(flows []flow) listeners {
	l := listeners{flows, map[string][]int{}, map[uint16][]int{}}
	for i, f := range flows {
		put(l.byName, f.listener, i)
		if at, err := netip.ParseAddrPort(f.listener); err == nil {
			put(l.byPort, at.Port(), i)
		}
	}
	return l
}

// of are the flows of the listeners that take connections to what a goal names: an address and
// port, or a port (":443", "443"), in their order.
func (l listeners) of(goal string) (found []flow) {
	for _, i := range l.places(goal) {
		found = append(found, l.flows[i])
	}
	return found
}

// places prefers a listener of the very name to one of any address, as the kernel does
// (inet_hashtables.c compute_score), and that of IPv4 to one of both (net.ipv6.bindv6only). Any
// address that nobody listens on as such is each that somebody listens on.
func (l listeners) places(goal string) (found []int) {
	if port, err := strconv.ParseUint(strings.TrimPrefix(goal, ":"), 10, 16); err == nil {
		return l.byPort[uint16(port)]
	}
	if exact := l.byName[goal]; len(exact) > 0 {
		return exact
	}
	at, err := netip.ParseAddrPort(goal)
	if err != nil {
		return nil
	}
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	for _, any := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		found = l.byName[netip.AddrPortFrom(any, at.Port()).String()]
		if any.Is4() && at.Addr().Is6() {
			continue
		}
		if len(found) > 0 && (any.Is4() || at.Addr().Is6() || !l.flows[found[0]].only6) {
			return found
		}
	}
	if !at.Addr().IsUnspecified() {
		return l.byName[at.String()]
	}
	return slices.DeleteFunc(slices.Clone(l.byPort[at.Port()]), func(i int) bool {
		other, err := netip.ParseAddrPort(l.flows[i].listener)
		return err != nil || other.Addr().Is4() != at.Addr().Is4()
	})
}
