package limit

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/host"
)

// member is one listening socket; several on one address and port are a SO_REUSEPORT group.
type member struct {
	row                  host.Row
	queue, limit         int64
	drops, moved         int64 // refused since it was opened; in the window
	pid                  int64
	process              string
	oldest, youngest     host.Age
	running              host.Age // its process: the listener is no older
	backlog              int64    // argument of listen(), where inferred
	backlogKnown, window bool
	dropsKnown           bool
	unknown              string // the field without which nothing can be said of its queue
}

// name is the listener's, with which of its group it is.
func (m member) name() string {
	at, number, several := strings.Cut(m.row.Name(), "~")
	if !several {
		return at
	}
	return at + " (member " + number + " of its SO_REUSEPORT group)"
}

// refused says whether the listener has dropped SYNs or ACKs: in the window
// where there was one, else since it was opened, else nobody knows and it may have.
func (m member) refused() bool {
	if m.window {
		return m.moved > 0
	}
	return m.drops > 0 || !m.dropsKnown
}

// oftenDrops says whether the listener has dropped so much for its age that one look tells of a
// fault: one in ten seconds, ten at least, and more than its queue would have held. What began
// long ago may be over long ago.
func (m member) oftenDrops() bool {
	below := m.running.Below()
	return below > 0 && m.drops >= 10 && m.drops > m.capacity() &&
		m.drops >= int64(below/(10*time.Second))
}

// most bounds figures of a snapshot that somebody else wrote, so that sums do not overflow;
// the kernel's are 32 bits wide.
const most = 1 << 40

// capacity is how many connections the queue holds: the full test is sk_ack_backlog >
// sk_max_ack_backlog.
func (m member) capacity() int64 { return m.limit + 1 }

// group is the listening sockets of one address and port.
type group struct {
	name     string // "0.0.0.0:8080"
	members  []member
	halfOpen int64    // SYN_RECV
	accepted int64    // connections that the application has taken from the queue
	inbound  host.Row // connections by state, zero where there are none
}

// groupNeeds are the facts that listenerGroups reads.
var groupNeeds = []host.Fact{
	host.All(host.ListenerKind),
	host.All(host.InboundKind),
	host.System("window"),
}

// listenerGroups lists what listens, one group for each address and port, sorted by name.
func listenerGroups(r *host.Reader) []group {
	byName := map[string]*group{}
	var order []*group
	for _, row := range r.Table(host.ListenerKind) {
		name, _, _ := strings.Cut(row.Name(), "~")
		g := byName[name]
		if g == nil {
			g = &group{name: name}
			g.inbound, _ = r.Row(host.InboundKind, name)
			g.accepted = max(
				0,
				g.inbound.Count(
					"ESTABLISHED",
				)+g.inbound.Count(
					"CLOSE_WAIT",
				)-g.inbound.Count(
					"unaccepted",
				),
			)
			byName[name], order = g, append(order, g)
		}
		g.halfOpen += row.Count("syn")
		g.members = append(g.members, newMember(r, row))
	}
	out := make([]group, len(order))
	for i, g := range order {
		out[i] = *g
	}
	return out
}

func newMember(r *host.Reader, row host.Row) member {
	m := member{
		row:      row,
		process:  row.Text("process"),
		oldest:   host.Age(row.Text("oldest")),
		youngest: host.Age(row.Text("youngest")),
		running:  host.Age(row.Text("running")),
	}
	m.queue, m.limit = max(row.Count("queue"), 0), min(max(row.Count("limit"), 0), most)
	for _, name := range []string{"queue", "limit"} {
		if _, ok := row.Int(name); !ok {
			m.unknown = name
		}
	}
	m.drops, m.dropsKnown = row.Int("drops")
	m.pid = row.Count("pid")
	m.moved, _ = r.Moved(row.Fact, "drops")
	m.window = windowed(r)
	m.backlog, m.backlogKnown = row.Int("backlog")
	return m
}

// unknown says which figure of which member could not be seen.
func (g group) unknown() (missing []host.Missing) {
	for _, m := range g.members {
		if m.unknown != "" {
			missing = append(missing, lacking(m.row, m.unknown))
		}
	}
	return missing
}

// subject names the group by its first member's process.
func (g group) subject() Subject {
	m := g.members[0]
	return Subject{Kind: Listener, Name: g.name, Listener: g.name, Process: m.process,
		PID: m.pid}
}

// fullest is the member with the least room left.
func (g group) fullest() member {
	best := g.members[0]
	for _, m := range g.members[1:] {
		if cmp.Or(
			cmp.Compare(m.queue*best.capacity(), best.queue*m.capacity()),
			cmp.Compare(m.moved, best.moved),
		) > 0 {
			best = m
		}
	}
	return best
}

// capacity is the sum over the members; it is reached only when the kernel's hash spreads evenly.
func (g group) capacity() (n int64) {
	for _, m := range g.members {
		n += m.capacity()
	}
	return n
}

// capacities are those of the members.
func (g group) capacities() (all []int64) {
	for _, m := range g.members {
		all = append(all, m.capacity())
	}
	return all
}

// uneven says whether one member's queue is full while another's is at most
// half full: the kernel chooses the member by hash, not by load.
func (g group) uneven(full member) bool {
	return full.queue >= full.capacity() &&
		slices.ContainsFunc(g.members, func(m member) bool {
			return m.queue*2 <= m.capacity()
		})
}

func (g group) queued() (n int64) {
	for _, m := range g.members {
		n += m.queue
	}
	return n
}

// stalled is the waiting time from which a queue counts as not being served.
const stalled = 2 * time.Second

// listenerWord is a listener as a word of a command. A snapshot of somebody else may call one
// anything.
func listenerWord(name string) string {
	address, _, _ := strings.Cut(name, "~")
	if _, err := netip.ParseAddrPort(address); err == nil {
		return name
	}
	return encode.CommandWord(name)
}

// waitingByProcess are the listeners of each process whose queues are not empty.
func waitingByProcess(r *host.Reader) map[int64][]member {
	out := map[int64][]member{}
	for _, row := range r.Table(host.ListenerKind) {
		if m := newMember(r, row); m.pid != 0 && m.queue > 0 {
			out[m.pid] = append(out[m.pid], m)
		}
	}
	return out
}
