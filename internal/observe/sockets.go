package observe

import (
	"errors"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// sockets records listeners, connections, bound sockets and the processes that hold them.
func (s *subject) sockets() {
	conn, err := sockdiag.Open()
	if err == nil {
		defer conn.Close()
		err = s.countSockets(conn)
	}
	if err == nil {
		return
	}
	s.miss("sock_diag: "+err.Error(), host.Ports("listening"), host.Ports("bound"),
		host.System("bound-sockets"))
	s.missTables(err, socketKinds()...)
	o := s.owners(nil)
	defer o.close()
	// those close to their limit of descriptors
	s.processes(newTally(nil, newListening(nil), o))
}

// countSockets begins with the listeners, for they tell inbound from outbound; then come the
// descriptors, for they tell whose a socket is; then all other sockets in one pass. The error is
// that there are no listeners to be had.
func (s *subject) countSockets(conn *sockdiag.Conn) error {
	found, err := listeners(conn)
	if err != nil {
		return err
	}
	l := newListening(found)
	queued := l.fullest(agedGroups)
	inodes := make([]uint32, len(found))
	for i, one := range found {
		inodes[i] = one.inode
	}
	o := s.owners(watch(inodes))
	defer o.close()
	t := newTally(s.pool(), l, o)
	t.reuseLeft = s.reuseLeft()
	var f finder = conn
	if err := s.connections(conn, t); err != nil {
		s.missTables(err, socketKinds()[1:]...)
		f = noFinder{err}
	}
	o.search(s.ctx, t.missing(inodes))
	o.unlisted = s.unlisted(f, t, found)
	t.settle()
	l.sort()
	s.processes(t) // before the listeners, which name its cgroups
	s.writeListeners(f, t, queued)
	s.writeInbound(f, t)
	s.writeOutbound(f, t)
	s.writeSources(t)
	s.writeBound(t)
	s.writeUsers(t)
	return nil
}

// socketKinds are the tables that need sock_diag; all but the first need the dump of connections.
func socketKinds() []host.Kind {
	return []host.Kind{host.ListenerKind, host.InboundKind, host.OutboundKind, host.SourceKind,
		host.BinderKind, host.UserKind}
}

// missTables records that tables are not whole.
func (s *subject) missTables(err error, kinds ...host.Kind) {
	for _, k := range kinds {
		s.miss("sock_diag: "+err.Error(), host.All(k))
	}
}

// listeners dumps LISTEN of both families. Its table is small and walked apart from that of
// connections.
func listeners(conn *sockdiag.Conn) (found []listener, err error) {
	r := sockdiag.Request{States: sockdiag.Listen.Mask(), Memory: true}
	err = conn.Dump(r, func(k *sockdiag.Socket) error {
		if k.State == sockdiag.Listen {
			found = append(found, newListener(k))
		}
		return nil
	})
	return found, ignoreInterrupted(err)
}

// connections streams all sockets but the listening ones through the tally.
func (s *subject) connections(conn *sockdiag.Conn, t *tally) error {
	r := sockdiag.Request{States: sockdiag.AllStates &^ sockdiag.Listen.Mask()}
	n := 0
	err := conn.Dump(r, func(k *sockdiag.Socket) error {
		if n++; n%4096 == 0 && s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		t.add(k)
		return nil
	})
	return ignoreInterrupted(err)
}

// ignoreInterrupted lets a dump pass during which sockets came and went: all of it was delivered,
// and on a busy host the next one would be no different.
func ignoreInterrupted(err error) error {
	if errors.Is(err, sockdiag.ErrInterrupted) {
		return nil
	}
	return err
}

// pool is the set of ports that connect() chooses from, as far as it is known from sysctls, or nil;
// see limit.portPool for the rest.
func (s *subject) pool() *host.PortSet {
	r := s.snapshot.Read()
	low, high := r.Pair(host.Sysctl(portRange))
	if r.Err() != nil || low < 0 || high > 65535 {
		return nil
	}
	pool := new(host.PortSet)
	reserved := r.Ports(host.Sysctl(reservedPorts)) // empty where it cannot be read
	for p := low; p <= high; p++ {
		if !reserved.Has(uint16(p)) {
			pool.Add(uint16(p))
		}
	}
	return pool
}

// reuseLeft is how much is left of the 60 s of TIME_WAIT when tcp_tw_reuse may take a port over:
// the delay was a constant before it was a setting (6.14).
func (s *subject) reuseLeft() uint32 {
	const timeWait, usual = 60_000, 1000
	r := s.snapshot.Read()
	delay, ok := r.Maybe(host.Sysctl("net.ipv4.tcp_tw_reuse_delay"))
	if !ok {
		delay = usual
	}
	return uint32(max(0, timeWait-max(0, delay)))
}

// writeBound records which ports are held by bind() alone, and by whom.
func (s *subject) writeBound(t *tally) {
	s.snapshot.Set(host.Ports("listening"), t.listeningPorts())
	if !s.listsBound(t) {
		s.miss(host.NotListed, host.Ports("bound"), host.System("bound-sockets"))
		return
	}
	s.snapshot.Set(host.System("bound-sockets"), "listed")
	s.snapshot.Set(host.Ports("bound"), t.bound.String())
	for pid, ports := range t.binders {
		name, fields := strconv.Itoa(pid), host.Fields{}
		switch pid {
		case unseen:
			name = "?"
		case others:
			name, fields = "0", fields.Add("several", "yes")
		default:
			fields = fields.Add("process", t.owners.comm(pid))
		}
		s.snapshot.Set(host.Fact{Kind: host.BinderKind, Name: name},
			fields.Add("ports", ports.String()).String())
	}
}

// listsBound says whether the kernel lists bound sockets: one that was listed shows it, else the
// release has to do. To try it would take a port from the subject.
func (s *subject) listsBound(t *tally) bool {
	if len(t.binders) > 0 {
		return true
	}
	return s.snapshot.Read().Kernel().Since(6, 8)
}

func (s *subject) writeUsers(t *tally) {
	for _, uid := range t.userIDs() {
		s.snapshot.Set(host.Fact{Kind: host.UserKind,
			Name: strconv.FormatUint(uint64(uid), 10)},
			host.Fields{}.AddInt("sockets", *t.users[uid]).String())
	}
	if t.usersLeft > 0 {
		s.miss("more than "+strconv.Itoa(maxUsers)+" users hold sockets",
			host.All(host.UserKind))
	}
}

// joined is a list as a field has it.
func joined[T any](items []T, text func(T) string) string {
	parts := make([]string, len(items))
	for i, x := range items {
		parts[i] = text(x)
	}
	return strings.Join(parts, ",")
}
