package observe

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// Sizes of the tables that must not grow with the number of sockets.
const (
	maxPeers   = 8192 // rows of outbound in memory
	maxSources = 512
	maxUsers   = 4096
	maxBinders = 256
	maxUnowned = 4096
	maxGone    = 1024 // listeners that are gone

	waitingSample = 256 // unaccepted sockets of one group
	closingSample = 32  // sockets in CLOSE_WAIT of one row
	closingRows   = 512 // rows of outbound with such a sample
	closingFirst  = 8   // that many in a row are nothing to look at
)

// tally counts the sockets of a namespace, one after the other. Its memory depends on the sizes
// above, on the number of listeners and on the number of processes, not on that of connections.
type tally struct {
	pool      host.PortSet // that connect() chooses from; empty where unknown
	poolKnown bool
	// what is left of TIME_WAIT, in milliseconds, when tcp_tw_reuse may take a port over
	reuseLeft uint32
	listening *listening
	owners    *owners
	peers     *peers
	sources   *sources
	users     map[uint32]*int64
	user      uint32 // whose sockets count counts
	count     *int64
	usersLeft int64
	bound     host.PortSet
	binders   map[int]*host.PortSet // by pid, unseen or others
	unknown   []unowned             // bound sockets whose owner is to be looked for
	strays    strays
	gone      int
	closing   int // rows of outbound with a sample
}

// newTally counts for a pool of ports, nil where it is not known.
func newTally(pool *host.PortSet, l *listening, o *owners) *tally {
	t := &tally{
		listening: l, owners: o, peers: newPeers(maxPeers), sources: newSources(maxSources),
		users: map[uint32]*int64{}, binders: map[int]*host.PortSet{},
	}
	t.peers.full = t.served
	if pool != nil {
		t.pool, t.poolKnown = *pool, true
	}
	for _, g := range l.groups {
		for _, m := range g.members {
			t.addUser(m.uid)
		}
	}
	return t
}

// add counts one socket. It allocates nothing but table rows and samples.
func (t *tally) add(s *sockdiag.Socket) {
	switch s.State {
	case sockdiag.BoundInactive:
		t.addBound(s)
		return
	case sockdiag.Listen, sockdiag.Close:
		return
	}
	if s.State == 0 || int(s.State) >= len(states{}) {
		return
	}
	h, weight := t.owners.weighed(s.Inode)
	if h != nil {
		h.states[s.State]++
		h.sockets++
		h.count(weight)
	}
	if s.Inode != 0 {
		t.addUser(s.UID)
		t.strays.add(s, h, weight)
	}
	if g := t.group(s); g != nil {
		t.inbound(g, s, h, weight)
	} else {
		t.outbound(s, h, weight)
	}
}

// group is the listener whose connection this is, or nil for an outbound one. A connection from a
// port outside the range to one inside it was accepted from a listener that has been closed since,
// as servers do when they restart; if there are several.
func (t *tally) group(s *sockdiag.Socket) *group {
	g := t.listening.of(s.Source)
	if g != nil || t.pool.Has(s.Source.Port()) || !t.pool.Has(s.Destination.Port()) ||
		t.gone >= maxGone {
		return g
	}
	t.gone++
	g = t.listening.at(s.Source)
	g.first = keyOf(s)
	return g
}

func (t *tally) inbound(g *group, s *sockdiag.Socket, h *holder, weight float64) {
	g.states[s.State]++
	waits := s.State == sockdiag.Established || s.State == sockdiag.CloseWait
	if waits && s.HasOwner && s.Inode == 0 {
		g.unaccepted++
		if s.State == sockdiag.CloseWait {
			g.unreaped++
		}
		if g.wantsAges {
			g.waiting.add(s, waitingSample)
		}
		return
	}
	g.votes.count(s, h, weight)
	if s.State == sockdiag.CloseWait && g.states[sockdiag.CloseWait] > closingFirst {
		g.closing.add(s, closingSample)
	}
}

func keyOf(s *sockdiag.Socket) peerKey {
	return peerKey{s.Source.Addr().As16(), s.Destination.Addr().As16(), s.Destination.Port()}
}

func (t *tally) outbound(s *sockdiag.Socket, h *holder, weight float64) {
	k := keyOf(s)
	p := t.peers.at(&k)
	p.states[s.State]++
	if p.sockets++; p.sockets == 1 {
		p.local = s.Source.Port()
	}
	inRange := t.pool.Has(s.Source.Port())
	if inRange {
		p.ranged++
		if s.State == sockdiag.TimeWait && s.ExpiresMillis <= t.reuseLeft {
			p.aged++
		}
	}
	t.sources.add(&k.source, s.Source.Port(), inRange)
	p.votes.count(s, h, weight)
	switch {
	case s.State == sockdiag.Established && p.established.Cookie == 0:
		p.established = s.ID()
	case s.State == sockdiag.CloseWait && p.states[sockdiag.CloseWait] > closingFirst:
		t.addClosing(p, s)
	}
}

func (t *tally) addClosing(p *peer, s *sockdiag.Socket) {
	if p.closing.ids == nil {
		if t.closing >= closingRows {
			return
		}
		t.closing++
	}
	p.closing.add(s, closingSample)
}

func (t *tally) addUser(uid uint32) {
	if t.count == nil || t.user != uid {
		t.user, t.count = uid, t.users[uid]
	}
	switch {
	case t.count != nil:
		*t.count++
	case len(t.users) >= maxUsers:
		t.usersLeft++
	default:
		t.count = new(int64(1))
		t.users[uid] = t.count
	}
}

// unowned is a bound socket whose owner has not been found yet.
type unowned struct {
	inode uint32
	port  uint16
}

func (t *tally) addBound(s *sockdiag.Socket) {
	port := s.Source.Port()
	t.bound.Add(port)
	if s.Inode == 0 {
		t.bind(nil, port)
		return
	}
	t.addUser(s.UID)
	h := t.owners.of(s.Inode)
	switch {
	case h == nil && len(t.unknown) < maxUnowned:
		t.unknown = append(t.unknown, unowned{s.Inode, port})
	default:
		t.bind(h, port)
	}
}

// In place of the pid of a binder.
const (
	unseen = 0  // the process was not found
	others = -1 // it was, after maxBinders others
)

// bind enters a bound port under its holder, nil where that is unknown.
func (t *tally) bind(h *holder, port uint16) {
	pid := unseen
	if h != nil {
		h.sockets++
		pid = h.pid
	}
	if t.binders[pid] == nil && len(t.binders) >= maxBinders && pid != unseen {
		pid = others
	}
	if t.binders[pid] == nil {
		t.binders[pid] = new(host.PortSet)
	}
	t.binders[pid].Add(port)
}

// missing lists the inodes of listeners and bound sockets whose holders are not known yet.
func (t *tally) missing(listeners []uint32) (inodes []uint32) {
	for _, i := range listeners {
		if t.owners.watched[i].first() == nil {
			inodes = append(inodes, i)
		}
	}
	for _, u := range t.unknown {
		inodes = append(inodes, u.inode)
	}
	return inodes
}

// settle ends the counting: it enters the bound sockets whose holders were looked for, and takes
// back the listeners that were inferred from a single connection.
func (t *tally) settle() {
	for _, u := range t.unknown {
		t.bind(t.owners.of(u.inode), u.port)
	}
	t.unknown = nil
	t.served()
	for _, g := range t.listening.groups {
		if len(g.members) == 0 && g.states.sum() == 1 {
			t.turnAround(g)
		}
	}
}

// turnAround makes the one connection of a group an outbound one: of a client that chose its port
// itself, as NFS does.
func (t *tally) turnAround(g *group) {
	p := t.peers.at(&g.first)
	p.states.add(&g.states)
	p.sockets++
	if p.sockets == 1 {
		p.votes = g.votes
	}
	t.sources.add(&g.first.source, g.local.Port(), false)
	g.states = states{}
}

// listeningPorts lists the ports on which something listens now.
func (t *tally) listeningPorts() string {
	var ports host.PortSet
	for _, g := range t.listening.groups {
		if len(g.members) > 0 {
			ports.Add(g.local.Port())
		}
	}
	return ports.String()
}

// userIDs lists the users that hold sockets, in ascending order.
func (t *tally) userIDs() []uint32 { return slices.Sorted(maps.Keys(t.users)) }

// addressOf undoes As16.
func addressOf(a [16]byte) netip.Addr { return netip.AddrFrom16(a).Unmap() }
