package trace

import (
	"slices"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/maxconn/maxconn/internal/refusal"
)

// space is a network namespace whose counters are read.
type space struct {
	Space
	looker     *observe.Looker
	begun, now map[host.Fact]int64  // counters
	listeners  map[uint32]*listener // by inode
	queues     []observe.Queue      // of the last look
	told       map[host.Fact]int64  // of the counters, by lines
}

// listener is what its socket has dropped: with an event, or reported without one.
type listener struct {
	base             uint32 // when it was first seen, or 0 where it is new
	events, reported int64
}

func openSpace(s Space) (*space, error) {
	looker, err := observe.OpenLooker(observe.Options{Namespace: s.Path})
	if err != nil {
		return nil, err
	}
	x := &space{Space: s, looker: looker, begun: map[host.Fact]int64{},
		now: map[host.Fact]int64{}, listeners: map[uint32]*listener{},
		told: map[host.Fact]int64{}}
	if err := x.look(); err != nil {
		looker.Close()
		return nil, err
	}
	for f, n := range x.now {
		x.begun[f] = n
	}
	for _, q := range x.queues {
		x.listeners[q.Inode].base = q.Drops
	}
	return x, nil
}

func (s *space) close() { s.looker.Close() }

// look reads the counters. It comes before the events are read: what happens in between is then
// known as an event first, and never reported twice.
func (s *space) look() error {
	queues, counts, err := s.looker.Look(refusal.Counters())
	if err != nil {
		return err
	}
	for f, n := range counts {
		s.now[f] = n
	}
	s.queues = append(s.queues[:0], queues...)
	there := make(map[uint32]*listener, len(queues))
	for _, q := range queues {
		if there[q.Inode] = s.listeners[q.Inode]; there[q.Inode] == nil {
			there[q.Inode] = &listener{}
		}
	}
	s.listeners = there
	return nil
}

// attributed enters events of a listener.
func (s *space) attributed(r bpf.Refusal) {
	if l := s.listeners[r.Inode]; l != nil && r.Kind == bpf.AcceptQueue {
		l.events += int64(r.Count)
		s.told[acceptQueueFull] += int64(r.Count)
	}
}

// Counters of what listeners drop.
var (
	acceptQueueFull = host.Counter("TcpExt.ListenOverflows")
	synQueueFull    = host.Counter("TcpExt.TCPReqQFullDrop")
)

// dropsOf are lines of listeners that dropped more than events tell: SYNs, for which the kernel has
// no event.
func (t *Trace) dropsOf(s *space) (lines []refusal.Line) {
	queues := slices.DeleteFunc(slices.Clone(s.queues), func(q observe.Queue) bool {
		return s.listeners[q.Inode].silent(q) <= 0
	})
	inodes := make([]uint32, len(queues))
	for i, q := range queues {
		inodes[i] = q.Inode
	}
	t.holders.resolve(inodes)
	for _, q := range queues {
		if line, ok := s.dropped(q); ok {
			line.Time = t.at(bpf.SinceBoot())
			t.holders.name(&line, q.Inode)
			lines = append(lines, line)
		}
	}
	return lines
}

// silent is how many drops were neither events nor reported. What is dropped at the end of a
// handshake is counted by its listener twice (net/ipv4/tcp_ipv4.c tcp_v4_syn_recv_sock
// tcp_listendrop, tcp_v4_rcv discard_and_relse; 5.10 to 6.18).
func (l *listener) silent(q observe.Queue) int64 {
	return int64(q.Drops-l.base) - 2*l.events - l.reported
}

// dropped is a line of a listener, for what its drops and the counters of its namespace agree on.
func (s *space) dropped(q observe.Queue) (line refusal.Line, ok bool) {
	l := s.listeners[q.Inode]
	line = refusal.Line{Schema: refusal.LineSchema, SeenBy: refusal.Counter,
		What: refusal.AtListener, NetNS: s.Name, Listener: q.Listener.String(),
		Count: l.silent(q)}
	accept, syn := s.left(acceptQueueFull), s.left(synQueueFull)
	switch {
	case accept > 0 && (q.Used > q.Limit || syn == 0):
		line.What, line.Limit = refusal.QueueFull, refusal.OfReason(bpf.ListenOverflow)
		line.Queue, line.Backlog = int64(q.Used), int64(q.Limit)
		line.Count = min(line.Count, accept)
		s.told[acceptQueueFull] += line.Count
	case syn > 0:
		line.Limit = refusal.OfCounter(synQueueFull)
		line.Count = min(line.Count, syn)
		s.told[synQueueFull] += line.Count
	default: // another reason, or one that its counter will show at the next look
		return line, false
	}
	l.reported += line.Count
	return line, true
}

// left is by how much a counter moved beyond what was reported.
func (s *space) left(f host.Fact) int64 { return s.now[f] - s.begun[f] - s.told[f] }

// counted enters the counters of the namespace.
func (s *space) counted(t *refusal.Tally) {
	for _, f := range refusal.Counters() {
		if now, ok := s.now[f]; ok {
			t.Moved(refusal.OfCounter(f), s.Name, f.Name, now-s.begun[f])
		}
	}
}
