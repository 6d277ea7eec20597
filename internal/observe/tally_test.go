package observe

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

func portsOf(t testing.TB, text string) *host.PortSet {
	t.Helper()
	p, err := host.ParsePorts(text)
	if err != nil {
		t.Fatal(err)
	}
	return &p
}

// someOwners know two processes of one name by the inodes 100-199 and 200-299.
func someOwners() *owners {
	o := &owners{table: newInodeTable(1000), watched: map[uint32]*watched{}}
	for i, pid := range []int{11, 12} {
		h := &holder{
			pid:      pid,
			comm:     "app",
			name:     o.names.id("app"),
			value:    uint32(i+1) << 1,
			complete: true,
		}
		o.holders = append(o.holders, h)
		for inode := range uint32(100) {
			o.table.put(uint32(i+1)*100+inode, h.value)
		}
	}
	return o
}

func newTestTally(t testing.TB, listeners ...listener) *tally {
	return newTally(portsOf(t, "40000-49999"), newListening(listeners), someOwners())
}

func connection(state sockdiag.State, source, destination string, inode uint32) *sockdiag.Socket {
	mini := state == sockdiag.TimeWait || state == sockdiag.SynRecv
	return &sockdiag.Socket{
		Family: 2, State: state, Source: at(source), Destination: at(destination),
		HasOwner: !mini, Inode: inode, UID: 33, Cookie: uint64(inode) + 1,
	}
}

// describe writes all that was counted, one line a row.
func (t *tally) describe() string {
	var lines []string
	line := func(name string, f host.Fields) { lines = append(lines, name+": "+f.String()) }
	for _, g := range t.listening.groups {
		if g.states.sum() == 0 {
			continue
		}
		row := g.states.fields(nil).AddInt("unaccepted", int64(g.unaccepted))
		line("inbound "+g.local.String(), g.votes.fields(row, t.owners))
	}
	for i := range t.peers.rows {
		p := &t.peers.rows[i]
		line("outbound "+p.key.String(),
			p.votes.fields(p.states.fields(nil).AddInt("ranged", int64(p.ranged)),
				t.owners))
	}
	for _, s := range t.sources.sorted() {
		line("source "+addressOf(s.address).String(),
			host.Fields{}.AddInt("sockets", int64(s.sockets)).
				AddInt("ports", s.ports.Len()).AddInt("shared",
				s.shared.Len()).AddInt("opposite", s.opposite(40000)))
	}
	for _, h := range t.owners.holders {
		line(fmt.Sprintf("process %d", h.pid),
			h.states.fields(host.Fields{}.AddInt("sockets", int64(h.sockets))))
	}
	for _, uid := range t.userIDs() {
		line(fmt.Sprintf("user %d", uid), host.Fields{}.AddInt("sockets", *t.users[uid]))
	}
	line("bound", host.Fields{}.Add("ports", t.bound.String()))
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func TestTally(t *testing.T) {
	c := newTestTally(t, listenOn("0.0.0.0:80", 1, nil))
	for _, s := range []*sockdiag.Socket{
		connection(sockdiag.Established, "10.0.0.1:80", "10.9.9.9:50000", 100),
		// not accepted yet
		connection(sockdiag.Established, "10.0.0.1:80", "10.9.9.9:50001", 0),
		// nor this one
		connection(sockdiag.CloseWait, "10.0.0.1:80", "10.9.9.9:50002", 0),
		// closed by the application
		connection(sockdiag.FinWait2, "10.0.0.1:80", "10.9.9.9:50003", 0),
		connection(sockdiag.TimeWait, "10.0.0.1:80", "10.9.9.9:50004", 0),
		connection(sockdiag.SynRecv, "10.0.0.1:80", "10.9.9.9:50005", 0),
		connection(sockdiag.Established, "10.0.0.1:40000", "10.0.0.9:5432", 101),
		connection(sockdiag.TimeWait, "10.0.0.1:40001", "10.0.0.9:5432", 0),
		// a port twice
		connection(sockdiag.Established, "10.0.0.1:40001", "10.0.0.8:5432", 200),
		// outside the range
		connection(sockdiag.Established, "10.0.0.1:30000", "10.0.0.8:5432", 201),
		// its listener is gone
		connection(sockdiag.Established, "10.0.0.1:443", "10.9.9.9:40007", 102),
		connection(sockdiag.TimeWait, "10.0.0.1:443", "10.9.9.9:40008", 0),
		// one is no listener
		connection(sockdiag.Established, "10.0.0.1:789", "10.0.0.7:40009", 104),
		connection(sockdiag.Close, "10.0.0.1:40005", "10.0.0.8:5432", 103),
		connection(sockdiag.BoundInactive, "10.0.0.1:40002", "0.0.0.0:0", 202),
		// nobody known
		connection(sockdiag.BoundInactive, "0.0.0.0:40003", "0.0.0.0:0", 999),
	} {
		c.add(s)
	}
	c.settle()
	want := `bound: ports=40002-40003
inbound 0.0.0.0:80: ESTABLISHED=2 SYN_RECV=1 FIN_WAIT_2=1 TIME_WAIT=1 CLOSE_WAIT=1 unaccepted=2 pid=11 process=app
inbound 10.0.0.1:443: ESTABLISHED=1 TIME_WAIT=1 unaccepted=0 pid=11 process=app
outbound 10.0.0.1->10.0.0.7:40009: ESTABLISHED=1 ranged=0 pid=11 process=app
outbound 10.0.0.1->10.0.0.8:5432: ESTABLISHED=2 ranged=1 pid=12 process=app
outbound 10.0.0.1->10.0.0.9:5432: ESTABLISHED=1 TIME_WAIT=1 ranged=2 pid=11 process=app
process 11: sockets=4 ESTABLISHED=4
process 12: sockets=3 ESTABLISHED=2
source 10.0.0.1: sockets=5 ports=2 shared=1 opposite=1
user 0: sockets=1
user 33: sockets=8`
	if got := c.describe(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if c.binders[12].String() != "40002" || c.binders[0].String() != "40003" {
		t.Errorf("binders %v", c.binders)
	}
	if got := c.listeningPorts(); got != "80" {
		t.Errorf("listening on %s", got)
	}
}

// Where the range is not known nothing counts as ranged, and no listener is inferred.
func TestTallyWithoutARange(t *testing.T) {
	c := newTally(nil, newListening(nil), someOwners())
	c.add(connection(sockdiag.Established, "10.0.0.1:443", "10.9.9.9:40007", 102))
	if len(c.peers.rows) != 1 || c.peers.rows[0].ranged != 0 || len(c.listening.groups) != 0 {
		t.Errorf("%s", c.describe())
	}
}

// Samples are kept of unaccepted connections where they are wanted, of CLOSE_WAIT once a row has
// some.
func TestTallyKeepsSamples(t *testing.T) {
	c := newTestTally(t, listenOn("0.0.0.0:80", 1, nil), listenOn("0.0.0.0:81", 2, nil))
	c.listening.groups[0].wantsAges = true
	for i := range uint32(1000) {
		from := fmt.Sprintf("10.9.9.9:%d", 50000+i)
		c.add(connection(sockdiag.Established, "10.0.0.1:80", from, 0))
		c.add(connection(sockdiag.Established, "10.0.0.1:81", from, 0))
		c.add(connection(sockdiag.CloseWait, "10.0.0.1:81", from, 5000))
		c.add(connection(sockdiag.CloseWait, fmt.Sprintf("10.0.0.1:%d", 40000+i),
			"10.0.0.9:5432", 5000))
	}
	a, b, p := c.listening.groups[0], c.listening.groups[1], &c.peers.rows[0]
	if len(a.waiting.ids) != waitingSample || b.waiting.ids != nil {
		t.Errorf("%d and %d unaccepted kept", len(a.waiting.ids), len(b.waiting.ids))
	}
	if len(b.closing.ids) != closingSample || len(p.closing.ids) != closingSample ||
		p.established.Cookie != 0 {
		t.Errorf("%d and %d in CLOSE_WAIT kept", len(b.closing.ids), len(p.closing.ids))
	}
}

// A draining server of more clients than the table has rows is one server all the same.
func TestServerOfManyClientsDrains(t *testing.T) {
	c := newTestTally(t)
	const clients = 3 * maxPeers
	for i := range clients {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}),
			uint16(50000+i%10000))
		c.add(connection(sockdiag.Established, "10.0.0.1:41000", from.String(), 100))
	}
	c.settle()
	g := c.listening.all[localOf(at("10.0.0.1:41000"))]
	if g == nil || g.states.sum() != clients || len(c.peers.rows) != 0 ||
		c.peers.rest.sum() != 0 {
		t.Fatalf("%+v, %d rows, %d left out", g, len(c.peers.rows), c.peers.rest.sum())
	}
	if pid, ok := g.votes.fields(nil, c.owners).Lookup("pid"); !ok || pid != "11" {
		t.Errorf("held by %q", pid)
	}
}

// A server of very many listeners that are gone, and very many addresses and users, stays bounded.
func TestTallyIsBounded(t *testing.T) {
	c := newTestTally(t)
	for i := range 100_000 {
		local := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		s := connection(sockdiag.Established, "10.0.0.1:443", "10.9.9.9:40007", 5000)
		s.Source, s.UID = netip.AddrPortFrom(local, 443), uint32(i)
		c.add(s)
		s.Source = netip.AddrPortFrom(local, 40000)
		c.add(s)
		s.Inode, s.State = uint32(i+5000), sockdiag.BoundInactive
		c.add(s)
	}
	for what, n := range map[string]int{
		"listeners gone": len(c.listening.groups) - maxGone,
		"sources":        len(c.sources.rows) - maxSources,
		"users":          len(c.users) - maxUsers,
		"peers":          len(c.peers.rows) - maxPeers,
		"unowned":        len(c.unknown) - maxUnowned,
	} {
		if n > 0 {
			t.Errorf("%s: %d too many", what, n)
		}
	}
	if c.sources.left == 0 || c.usersLeft == 0 {
		t.Errorf("%d sources and %d users left over", c.sources.left, c.usersLeft)
	}
}

// Whatever comes, every socket is counted once and nothing is made up.
func FuzzTally(f *testing.F) {
	f.Add([]byte("a listener, a client and the rest of the alphabet"))
	f.Add([]byte{1, 0, 0, 1, 1, 2, 3, 4, 6, 1, 1, 1, 8, 2, 2, 2, 13, 3, 3, 3, 7, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c := newTestTally(t, listenOn("0.0.0.0:80", 1, nil), listenOn("[::]:81", 2, nil))
		c.peers = newPeers(4)
		connections := int64(0)
		for ; len(b) >= 4; b = b[4:] {
			ports := []string{"80", "81", "443", "39999", "40000", "49999"}
			source := fmt.Sprintf("10.0.0.%d:%s", b[1]%3, ports[int(b[1])%len(ports)])
			s := connection(sockdiag.State(b[0]%16), source,
				fmt.Sprintf("10.0.0.%d:%s", b[2]%5, ports[int(b[2])%len(ports)]),
				uint32(b[3]))
			c.add(s)
			if s.State != 0 && fieldOf(s.State) != "" && int(s.State) < len(states{}) {
				connections++
			}
		}
		c.settle()
		counted := c.peers.rest.sum()
		for _, g := range c.listening.groups {
			counted += g.states.sum()
		}
		for i := range c.peers.rows {
			counted += int64(c.peers.rows[i].sockets)
		}
		if counted != connections {
			t.Errorf("%d of %d connections counted:\n%s", counted, connections,
				c.describe())
		}
	})
}

// Counting a socket allocates nothing, once its rows are there.
func TestTallyDoesNotAllocate(t *testing.T) {
	c := newTestTally(t, listenOn("0.0.0.0:80", 1, nil))
	in := connection(sockdiag.Established, "10.0.0.1:80", "10.9.9.9:50000", 100)
	out := connection(sockdiag.Established, "10.0.0.1:40000", "10.0.0.9:5432", 101)
	if n := testing.AllocsPerRun(1000, func() { c.add(in); c.add(out) }); n != 0 {
		t.Errorf("%v allocations a pair of sockets", n)
	}
}

// BenchmarkAggregate is what a socket costs beside the dump itself.
func BenchmarkAggregate(b *testing.B) {
	c := newTestTally(b, listenOn("0.0.0.0:80", 1, nil))
	sockets := make([]*sockdiag.Socket, 8192)
	for i := range sockets {
		in, out := fmt.Sprintf("10.9.%d.%d:%d", i/256%256, i%256, 50000+i%1000),
			fmt.Sprintf("10.0.0.1:%d", 40000+i%10000)
		if sockets[i] = connection(sockdiag.Established, "10.0.0.1:80", in, uint32(i)); i%
			2 == 0 {
			sockets[i] = connection(sockdiag.Established, out,
				fmt.Sprintf("10.0.0.%d:5432", i%200), uint32(i))
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.add(sockets[i%len(sockets)])
	}
}

// Sockets that several processes share are not those of a process that could not be seen.
func TestSeveralHolders(t *testing.T) {
	var v votes
	o := someOwners()
	for i := range 30 {
		v.count(&sockdiag.Socket{Inode: uint32(i + 1)}, o.holders[i%len(o.holders)], 1)
	}
	if have, _ := v.fields(nil, o).Lookup("several"); have != "yes" {
		t.Errorf("30 sockets of %d processes: %q", len(o.holders), have)
	}
	v.count(&sockdiag.Socket{Inode: 99}, nil, 1)
	if have, _ := v.fields(nil, o).Lookup("several"); have != "" {
		t.Errorf("one of a process that was not found: %q", have)
	}
}

// Processes that are too many to be told apart were seen, and are none that could not be.
func TestBindersBeyondTheTable(t *testing.T) {
	c := newTally(nil, &listening{}, someOwners())
	for i := range maxBinders + 5 {
		c.bind(&holder{pid: i + 1}, uint16(1000+i))
	}
	if c.binders[unseen] != nil || c.binders[others] == nil || c.binders[others].Len() != 5 {
		t.Errorf("unseen %v, others %v", c.binders[unseen], c.binders[others])
	}
	c.bind(nil, 9)
	if have := c.binders[unseen]; have == nil || have.String() != "9" {
		t.Errorf("unseen %v", have)
	}
}
