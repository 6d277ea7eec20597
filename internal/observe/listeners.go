package observe

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"strconv"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// listener is one listening socket, a member of a group.
type listener struct {
	local        netip.AddrPort
	family       uint8
	open6        bool // [::], and takes IPv4 too
	only6        bool // [::], and does not
	queue, limit uint32
	drops        uint32
	hasDrops     bool
	uid, inode   uint32
	cookie       uint64
	id           sockdiag.ID
}

// group is all that listens on one address and port, in the order of their inodes: a SO_REUSEPORT
// group, most often of one. A group without members is a listener that is gone, known by its
// connections.
type group struct {
	local      netip.AddrPort
	members    []listener
	states     states
	unaccepted uint32 // in ESTABLISHED and CLOSE_WAIT, and not yet taken by accept()
	unreaped   uint32 // of these, in CLOSE_WAIT
	votes      votes
	waiting    sample // of the unaccepted; kept only where wanted
	wantsAges  bool
	closing    sample  // of those in CLOSE_WAIT
	first      peerKey // connection from which a listener that is gone was inferred
}

// queued is the connections that wait in the queues of all members.
func (g *group) queued() (n int64) {
	for _, m := range g.members {
		n += int64(m.queue)
	}
	return n
}

// local is an address, in its IPv6 form, and a port.
type local struct {
	address [16]byte
	port    uint16
}

func localOf(a netip.AddrPort) local { return local{a.Addr().As16(), a.Port()} }

// listening finds the group to which a connection belongs.
type listening struct {
	groups []*group
	ports  host.PortSet // of all groups, also of those that are gone
	// all is by address and port. A wildcard address is entered as itself; open6 are the ports
	// where [::] takes IPv4 too.
	all   map[local]*group
	open6 host.PortSet
	// found are answers of of, by the last bits of the port: looking into a map for each
	// socket of a dump takes a tenth of its time.
	found [64]struct {
		address netip.AddrPort
		group   *group
	}
}

// newListening sorts listeners into groups.
func newListening(found []listener) *listening {
	l := &listening{all: map[local]*group{}}
	slices.SortStableFunc(found, func(a, b listener) int {
		return cmp.Or(a.local.Compare(b.local), cmp.Compare(a.inode, b.inode),
			cmp.Compare(a.cookie, b.cookie))
	})
	for _, one := range found {
		g := l.at(one.local)
		g.members = append(g.members, one)
		if one.open6 {
			l.open6.Add(one.local.Port())
		}
	}
	return l
}

// at is the group of an address and port, made if there is none.
func (l *listening) at(a netip.AddrPort) *group {
	key := localOf(a)
	g := l.all[key]
	if g == nil {
		g = &group{local: a}
		l.all[key] = g
		l.groups = append(l.groups, g)
		l.ports.Add(a.Port())
		clear(l.found[:])
	}
	return g
}

// of finds the group of a socket's local address: the exact address goes before a wildcard, and
// IPv4 also reaches [::] (inet_hashtables.c compute_score).
func (l *listening) of(a netip.AddrPort) *group {
	if !l.ports.Has(a.Port()) {
		return nil
	}
	known := &l.found[a.Port()%uint16(len(l.found))]
	if known.address != a {
		known.address, known.group = a, l.search(a)
	}
	return known.group
}

func (l *listening) search(a netip.AddrPort) *group {
	key := localOf(a)
	if g := l.all[key]; g != nil {
		return g
	}
	if a.Addr().Is4() {
		key.address = [16]byte{10: 0xff, 11: 0xff} // 0.0.0.0
		if g := l.all[key]; g != nil {
			return g
		}
		if !l.open6.Has(a.Port()) {
			return nil
		}
	}
	key.address = [16]byte{}
	return l.all[key]
}

// sort puts the groups in the order of their addresses.
func (l *listening) sort() {
	slices.SortFunc(l.groups, func(a, b *group) int {
		x, y := localOf(a.local), localOf(b.local)
		return cmp.Or(bytes.Compare(x.address[:], y.address[:]),
			cmp.Compare(x.port, y.port))
	})
}

// fullest marks the n groups with the least room, of those that have a queue.
func (l *listening) fullest(n int) (left int) {
	var queued []*group
	for _, g := range l.groups {
		if g.queued() > 0 {
			queued = append(queued, g)
		}
	}
	slices.SortStableFunc(queued, func(a, b *group) int {
		return cmp.Compare(b.pressure(), a.pressure())
	})
	for i, g := range queued {
		g.wantsAges = i < n
	}
	return max(0, len(queued)-n)
}

// pressure is the largest share of a member's queue that is taken, in thousandths.
func (g *group) pressure() (most int64) {
	for _, m := range g.members {
		most = max(most, int64(m.queue)*1000/(int64(m.limit)+1))
	}
	return most
}

// name is how the i-th member is called: "0.0.0.0:80", "0.0.0.0:80~2".
func (g *group) name(i int) string {
	if i == 0 {
		return g.local.String()
	}
	return g.local.String() + "~" + strconv.Itoa(i+1)
}

// newListener takes over what a dump of LISTEN says.
func newListener(s *sockdiag.Socket) listener {
	return listener{
		local: s.Source, family: s.Family,
		open6: s.Source.Addr() == netip.IPv6Unspecified() && !s.V6Only,
		only6: s.Source.Addr() == netip.IPv6Unspecified() && s.V6Only,
		queue: s.ReceiveQueue, limit: s.SendQueue, drops: s.Drops, hasDrops: s.HasDrops,
		uid: s.UID, inode: s.Inode, cookie: s.Cookie, id: s.ID(),
	}
}
