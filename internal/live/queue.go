package live

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

const (
	// mostQueues is how many listening addresses of a namespace are watched between surveys.
	mostQueues = 1024
	// mostScrapers is how many scrapers have peaks of their own.
	mostScrapers = 8
)

// Queue is the accept queue of one listening socket at one moment.
type Queue struct {
	Listener netip.AddrPort
	Cookie   uint64 // of the socket: another one at the same address has another
	Used     uint32
	Limit    uint32 // the kernel holds one more
	Drops    uint32 // SYNs and ACKs since the socket was opened
}

func (q Queue) share() float64 { return float64(q.Used) / (float64(q.Limit) + 1) }

// queue is what is known of a listening address. Where several sockets listen on it, the fullest
// one speaks for all.
type queue struct {
	now     Queue
	peaks   [mostScrapers]uint32 // since each scraper's last scrape
	minute  [2]uint32            // in this half minute, and in the one before
	dropped uint64               // since it was first looked at
	looked  bool                 // in the look under way
	seen    time.Time
}

// raise enters a queue's length.
func (q *queue) raise(used uint32) {
	for i := range q.peaks {
		q.peaks[i] = max(q.peaks[i], used)
	}
	q.minute[0] = max(q.minute[0], used)
}

// scraper is somebody who asks again and again.
type scraper struct {
	id   string
	last time.Time
}

// Look enters what a look at the listeners and counters of a namespace has seen. counts are
// absolute. A namespace without a survey is left alone.
func (s *State) Look(key string, now time.Time, queues []Queue, counts map[host.Fact]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.spaces[key]
	if n == nil {
		return
	}
	n.turnMinute(now)
	for _, q := range n.queues {
		q.looked = false
	}
	n.unwatched = 0
	full := n.overflowed(counts)
	for _, q := range queues {
		n.look(q, now, full)
	}
	for cookie, at := range n.drops {
		if at.look != n.looks {
			delete(n.drops, cookie)
		}
	}
	for _, q := range n.queues {
		if !q.looked {
			q.now.Used = 0
		}
	}
	n.looks++
	n.looked = true
	for _, l := range limit.Catalogue() {
		if l.RefusalsShared {
			continue
		}
		for _, f := range l.Refusals {
			if v, ok := counts[f]; ok {
				n.count(l.ID, f, v)
			}
		}
	}
}

// turnMinute begins another half minute where one is over.
func (n *space) turnMinute(now time.Time) {
	const half = 30 * time.Second
	if age := now.Sub(n.half); age >= half || age < 0 {
		for _, q := range n.queues {
			q.minute[1], q.minute[0] = q.minute[0], 0
			if age >= 2*half {
				q.minute[1] = 0
			}
		}
		n.half = now
	}
}

// dropsAt is the counter of a socket at a look.
type dropsAt struct {
	drops uint32
	look  uint64
}

// overflows moves when a SYN or ACK met a full accept queue (net/ipv4/tcp_input.c tcp_conn_request,
// net/ipv4/tcp_ipv4.c tcp_v4_syn_recv_sock).
var overflows = host.Counter("TcpExt.ListenOverflows")

// overflowed says whether some queue was full between the look before and this one.
func (n *space) overflowed(counts map[host.Fact]int64) bool {
	before, known := n.counts[overflows]
	now, read := counts[overflows]
	moved := known && read && now > before
	was := n.moved // the counter is read after the queues: what they show next is of this move
	n.moved = moved
	return moved || was
}

// look enters a queue. full says that one of the namespace was full since the look before: it was
// this one, however short it is by now, if the listener has dropped something since.
func (n *space) look(now Queue, at time.Time, full bool) {
	q := n.queues[now.Listener]
	if q == nil {
		if len(n.queues) >= mostQueues {
			n.unwatched++
			return
		}
		q = &queue{}
		n.queues[now.Listener] = q
	}
	before, known := n.drops[now.Cookie]
	if full && (known && now.Drops > before.drops || !known && n.looked && now.Drops > 0) {
		q.raise(now.Limit + 1)
	}
	switch {
	case known && now.Drops >= before.drops:
		q.dropped += uint64(now.Drops - before.drops)
	case !known && n.looked && len(n.drops) < 4*mostQueues:
		q.dropped += uint64(now.Drops) // opened since the last look
	}
	if known || len(n.drops) < 4*mostQueues {
		n.drops[now.Cookie] = dropsAt{now.Drops, n.looks}
	}
	if !q.looked || now.share() > q.now.share() {
		q.now = now
	}
	q.looked, q.seen = true, at
	q.raise(now.Used)
}

// count adds what a counter has moved by. One that went back began anew.
func (n *space) count(id limit.ID, f host.Fact, value int64) {
	before, known := n.counts[f]
	n.counts[f] = value
	if known && value > before {
		n.refused[id] += uint64(value - before)
	}
}

// scrape finds the scraper of an id, and takes its peaks. Somebody who was not known, or who is
// nobody (""), gets those of the last half minute to minute.
func (s *State) scrape(id string, now time.Time) (slot int, known bool) {
	if id == "" {
		return 0, false
	}
	for i := range s.scrapers {
		if s.scrapers[i].id == id {
			s.scrapers[i].last = now
			return i, true
		}
	}
	oldest := slices.MinFunc(s.scrapers[:], func(a, b scraper) int {
		return cmp.Compare(a.last.UnixNano(), b.last.UnixNano())
	})
	slot = slices.Index(s.scrapers[:], oldest)
	s.scrapers[slot] = scraper{id, now}
	return slot, false
}

// peak is the highest length for a scraper, whose next one begins.
func (q *queue) peak(slot int, known bool, id string) uint32 {
	most := max(q.minute[0], q.minute[1])
	if known {
		most = q.peaks[slot]
	}
	if id != "" {
		q.peaks[slot] = q.now.Used
	}
	return max(most, q.now.Used)
}
