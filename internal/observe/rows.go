package observe

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// What a snapshot shows, so that it stays readable.
const (
	shownListeners = 4096
	shownPeers     = 256 // by sockets
	shownStates    = 64  // further ones by TIME_WAIT, and by CLOSE_WAIT
	agedGroups     = 16  // listeners whose queue is looked into
	agedRows       = 64  // rows with most TIME_WAIT, asked for timestamps
	agedClosing    = 16  // a row with fewer in CLOSE_WAIT has no age
)

// writeListeners records the listening sockets; queued is how many groups have a queue that is not
// looked into.
func (s *subject) writeListeners(f finder, t *tally, queued int) {
	if queued > 0 {
		s.miss(fmt.Sprintf(
			"waiting times of %d further listeners with a queue were not looked at",
			queued), host.Fact{Kind: host.ListenerKind, Name: "*"})
	}
	limit, _ := s.snapshot.Read().Maybe(host.Sysctl(somaxconn))
	groups := live(t.listening.groups)
	if len(groups) > shownListeners {
		s.miss(fmt.Sprintf(
			"%d further listening addresses, those with most room in the queue, "+
				"are not shown", len(groups)-shownListeners),
			host.All(host.ListenerKind))
		slices.SortStableFunc(groups, func(a, b *group) int {
			return cmp.Compare(b.pressure(), a.pressure())
		})
		groups = groups[:shownListeners]
	}
	for _, g := range groups {
		oldest, youngest := waits(s.ctx, f, &g.waiting)
		for i := range g.members {
			m := &g.members[i]
			row := m.fields(limit)
			row = t.owners.watched[m.inode].fields(row)
			if i == 0 {
				row = row.AddInt("syn", int64(g.states[sockdiag.SynRecv]))
			}
			if m.drops > 0 {
				age := s.running(t.owners.watched[m.inode])
				row = row.Add("running", string(age))
			}
			if m.queue > 0 {
				row = row.Add("oldest", string(oldest)).Add("youngest",
					string(youngest))
			}
			s.snapshot.Set(host.Fact{Kind: host.ListenerKind, Name: g.name(i)},
				row.String())
		}
	}
}

// running is how long the oldest process has run that holds a listener: the listener is no older,
// unless it was handed down. "" where that is not known.
func (s *subject) running(w *watched) (age host.Age) {
	text, err := s.root.Read("uptime")
	seconds, _, _ := strings.Cut(string(text), " ")
	up, bad := strconv.ParseFloat(seconds, 64)
	if err != nil || bad != nil || w == nil {
		return ""
	}
	var longest time.Duration
	for _, h := range w.holders {
		p, err := h.again(s.root)
		if err != nil {
			return ""
		}
		stat, err := p.Stat()
		p.Close()
		if err != nil {
			return ""
		}
		started := float64(stat.StartTime) / userHz
		longest = max(longest, time.Duration((up-started)*float64(time.Second)))
	}
	if len(w.holders) == 0 {
		return ""
	}
	return host.AgeOf(longest)
}

// userHz is USER_HZ, the clock ticks a second that proc counts in, on all but Alpha and IA-64
// (include/asm-generic/param.h).
const userHz = 100

// live lists the groups that listen now.
func live(groups []*group) (out []*group) {
	for _, g := range groups {
		if len(g.members) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// fields is what the kernel says of a listener. Its queue limit is the smaller of the argument of
// listen() and somaxconn at the time of the call, so a smaller limit than somaxconn now is the
// argument.
func (m *listener) fields(somaxconn int64) host.Fields {
	family := int64(4)
	if m.family == familyInet6 {
		family = 6
	}
	f := host.Fields{}.AddInt("family", family)
	if m.only6 {
		f = f.AddInt("v6only", 1)
	}
	f = f.AddInt("queue", int64(m.queue)).AddInt("limit",
		int64(m.limit))
	if m.hasDrops {
		f = f.AddInt("drops", int64(m.drops))
	}
	f = f.AddInt("uid", int64(m.uid)).AddInt("inode", int64(m.inode))
	if int64(m.limit) < somaxconn {
		f = f.AddInt("backlog", int64(m.limit))
	}
	return f
}

// familyInet6 is AF_INET6 on Linux.
const familyInet6 = 10

// fields appends who holds a listener.
func (w *watched) fields(f host.Fields) host.Fields {
	first := w.first()
	if first == nil {
		return f
	}
	f = f.AddInt("pid", int64(first.pid)).Add("process", first.comm).Add("cgroup", first.cgroup)
	if len(w.holders) > 1 {
		slices.SortFunc(w.holders, func(a, b *holder) int {
			return cmp.Compare(a.pid, b.pid)
		})
		f = f.Add("pids", joined(w.holders, func(h *holder) string {
			return strconv.Itoa(h.pid)
		}))
	}
	return f
}

// writeInbound records the connections of each listener.
func (s *subject) writeInbound(f finder, t *tally) {
	for _, g := range t.listening.groups {
		if g.states.sum() == 0 {
			continue
		}
		row := g.states.fields(nil).AddInt("unaccepted", int64(g.unaccepted))
		if g.unreaped > 0 {
			row = row.AddInt("unaccepted_close_wait", int64(g.unreaped))
		}
		row = g.votes.fields(row, t.owners)
		if g.states[sockdiag.CloseWait]-g.unreaped >= agedClosing {
			row = row.Add("close_wait_age", string(closeWaitAge(s.ctx, f, &g.closing)))
		}
		s.snapshot.Set(host.Fact{Kind: host.InboundKind, Name: g.local.String()},
			row.String())
	}
}

// writeOutbound records the connections to the destinations with most, and the sum of the others.
func (s *subject) writeOutbound(f finder, t *tally) {
	shown, rest, largest := t.peers.heaviest(shownPeers, shownStates)
	asked, open := mostTimeWait(shown), openTo(shown)
	bands := s.bands(t, shown)
	low, high := s.snapshot.Read().Pair(host.Sysctl(portRange))
	for _, p := range shown {
		row := p.states.fields(nil)
		if t.poolKnown {
			row = row.AddInt("ranged", int64(p.ranged))
		}
		row = p.votes.fields(row, t.owners)
		row = bands.field(row, p, low, high)
		if asked[p] {
			if p.established.Cookie == 0 {
				p.established = open[p.key.destination]
			}
			row = row.Add("timestamps", timestamps(s.ctx, f, p.established))
		}
		if t.poolKnown && p.states[sockdiag.TimeWait] > 0 {
			row = row.AddInt("reusable", int64(p.aged))
		}
		if p.fold > 0 {
			row = row.AddInt("fold", int64(p.fold))
		}
		if p.states[sockdiag.CloseWait] >= agedClosing {
			row = row.Add("close_wait_age", string(closeWaitAge(s.ctx, f, &p.closing)))
		}
		s.snapshot.Set(host.Fact{Kind: host.OutboundKind, Name: p.key.String()},
			row.String())
	}
	if rest.sum() > 0 {
		s.snapshot.Set(host.Fact{Kind: host.RestKind, Name: string(host.OutboundKind)},
			rest.fields(host.Fields{}.AddInt("largest", largest)).String())
	}
}

// mostTimeWait chooses the rows for which timestamps matter: TIME_WAIT is used again only with
// them.
func mostTimeWait(rows []*peer) map[*peer]bool {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b *peer) int {
		return cmp.Compare(b.states[sockdiag.TimeWait], a.states[sockdiag.TimeWait])
	})
	chosen := map[*peer]bool{}
	for _, p := range rows[:min(agedRows, len(rows))] {
		chosen[p] = true
	}
	return chosen
}

// openTo has an established connection to each address that has any: another to the same host
// shows as well whether it does timestamps.
func openTo(rows []*peer) map[[16]byte]sockdiag.ID {
	open := map[[16]byte]sockdiag.ID{}
	for _, p := range rows {
		if p.established.Cookie != 0 {
			open[p.key.destination] = p.established
		}
	}
	return open
}

// String is "source->destination:port".
func (k peerKey) String() string {
	return addressOf(k.source).String() + "->" +
		netip.AddrPortFrom(addressOf(k.destination), k.port).String()
}

// writeSources records the local ports in use by each local address.
func (s *subject) writeSources(t *tally) {
	destinations := map[[16]byte]int64{}
	for i := range t.peers.rows {
		destinations[t.peers.rows[i].key.source]++
	}
	low, _ := s.snapshot.Read().Pair(host.Sysctl(portRange))
	for _, x := range t.sources.sorted() {
		row := host.Fields{}.AddInt("sockets", int64(x.sockets)).AddInt("destinations",
			max(1, destinations[x.address]))
		if t.poolKnown {
			row = row.AddInt("ports", x.ports.Len()).AddInt("shared",
				x.shared.Len()).AddInt("opposite", x.opposite(uint16(low)))
		}
		s.snapshot.Set(host.Fact{Kind: host.SourceKind,
			Name: addressOf(x.address).String()}, row.String())
	}
	if t.sources.left > 0 {
		s.miss(fmt.Sprintf(
			"%d sockets of local addresses beyond the first %d are not shown",
			t.sources.left, maxSources), host.All(host.SourceKind))
	}
}
