package live

import (
	"fmt"
	"math/rand"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

var start = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

var web = netip.MustParseAddrPort("10.0.0.1:80")

// facts is a snapshot of lines.
func facts(t testing.TB, lines ...string) host.Snapshot {
	t.Helper()
	s, err := host.Parse([]byte("maxconn.snapshot/1\n" + strings.Join(lines, "\n") + "\nend\n"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// entered is a survey of a namespace.
func entered(t testing.TB, s *State, now time.Time, snapshot host.Snapshot) {
	t.Helper()
	r, gauges := diagnose.CheckAll(snapshot, diagnose.Options{})
	if !s.Enter(now, Survey{Key: "a", Name: "host", Own: true, Snapshot: snapshot, Report: r,
		Gauges: gauges}) {
		t.Fatal("no room for the first namespace")
	}
}

const webListener = "listener 10.0.0.1:80 = family=4 queue=0 limit=4 drops=0 uid=0 inode=1 pid=7 " +
	"process=web"

func looked(s *State, now float64, used, drops uint32, overflows int64) {
	q := Queue{Listener: web, Cookie: 1, Used: used, Limit: 4, Drops: drops}
	s.Look("a", at(now), []Queue{q},
		map[host.Fact]int64{overflowsFact: overflows})
}

var overflowsFact = host.Counter("TcpExt.ListenOverflows")

func listenerOf(t *testing.T, s *State, now float64, scraper string) Listener {
	t.Helper()
	v := s.View(at(now), scraper)
	if len(v.Spaces) != 1 || len(v.Spaces[0].Listeners) != 1 {
		t.Fatalf("%+v, want one listener", v.Spaces)
	}
	return v.Spaces[0].Listeners[0]
}

// Each scraper gets the highest queue since it asked before, also where others ask meanwhile.
func TestPeaksOfEachScraper(t *testing.T) {
	s := New(Options{})
	entered(t, s, at(0), facts(t, webListener))
	looked(s, 0, 0, 0, 0)
	listenerOf(t, s, 1, "first")
	listenerOf(t, s, 1, "second")
	looked(s, 2, 3, 0, 0)
	looked(s, 2.1, 1, 0, 0)
	for _, c := range []struct {
		now     float64
		scraper string
		want    int64
	}{
		{3, "first", 3}, {3.5, "first", 1}, {4, "second", 3}, {5, "second", 1},
		{6, "third", 3}, {7, "third", 1}, // who is new gets those of the last minute
		{8, "", 3}, {9, "", 3}, // nobody in particular takes nothing from anybody
	} {
		if l := listenerOf(t, s, c.now, c.scraper); l.Peak != c.want || l.Queue != 1 {
			t.Errorf("at %v %q has queue %d, peak %d, want 1 and %d", c.now, c.scraper,
				l.Queue, l.Peak, c.want)
		}
	}
	looked(s, 100, 0, 0, 0)
	if l := listenerOf(t, s, 101, ""); l.Peak != 0 {
		t.Errorf("the peak of a minute ago is %d still", l.Peak)
	}
}

// An overflow that no look has met shows: the kernel has counted it, and whose it was.
func TestOverflowBetweenLooks(t *testing.T) {
	s := New(Options{})
	entered(t, s, at(0), facts(t, webListener))
	looked(s, 0, 0, 3, 10) // of before
	listenerOf(t, s, 1, "p")
	looked(s, 1.1, 0, 8, 15)
	l := listenerOf(t, s, 2, "p")
	if l.Peak != 5 || l.Queue != 0 || l.Dropped != 5 {
		t.Errorf("%+v, want a peak of 5 and 5 dropped", l)
	}
	if n := s.View(at(2), "").Spaces[0].Refused[limit.AcceptQueue]; n != 5 {
		t.Errorf("%d refusals, want 5: those before the start do not count", n)
	}
	// control: drops without an overflow say nothing of the queue
	looked(s, 2.1, 0, 8, 15)
	listenerOf(t, s, 2.2, "p")
	looked(s, 2.3, 0, 9, 15)
	if l := listenerOf(t, s, 3, "p"); l.Peak != 0 || l.Dropped != 6 {
		t.Errorf("%+v, want no peak and 6 dropped", l)
	}
}

// A counter that begins anew, as that of a new socket, is never subtracted.
func TestCountersBeginAnew(t *testing.T) {
	s := New(Options{})
	entered(t, s, at(0), facts(t, webListener))
	looked(s, 0, 0, 100, 100)
	looked(s, 1, 0, 2, 1)
	looked(s, 2, 0, 3, 4)
	if l := listenerOf(t, s, 2, ""); l.Dropped != 1 {
		t.Errorf("dropped %d, want 1", l.Dropped)
	}
	if n := s.View(at(2), "").Spaces[0].Refused[limit.AcceptQueue]; n != 3 {
		t.Errorf("refused %d, want 3", n)
	}
	s.Look("a", at(3), []Queue{{Listener: web, Cookie: 2, Limit: 4, Drops: 6}}, nil)
	if l := listenerOf(t, s, 3, ""); l.Dropped != 7 {
		t.Errorf("dropped %d, want 7: a socket opened since the last look counts whole",
			l.Dropped)
	}
}

// A host of many destinations that change all the time makes few series, and memory does not grow.
func TestChurn(t *testing.T) {
	s := New(Options{})
	r := rand.New(rand.NewSource(1))
	seen := map[string]bool{}
	for i := range 120 {
		lines := []string{webListener,
			"sysctl net.ipv4.ip_local_port_range = 32768 60999",
			"sysctl net.ipv4.ip_local_reserved_ports = "}
		for range 256 {
			lines = append(lines, fmt.Sprintf(
				"outbound 10.0.0.1->10.%d.%d.%d:443 = "+
					"ESTABLISHED=%d ranged=1 pid=7 process=web", r.Intn(200),
				r.Intn(200), r.Intn(200), 1+r.Intn(20)))
		}
		entered(t, s, at(float64(i)), facts(t, lines...))
		v := s.View(at(float64(i)), "p")
		if n := len(v.Spaces[0].Destinations); n > 32 {
			t.Fatalf("%d destinations are shown", n)
		}
		if v.Left[Peers] < 200 {
			t.Fatalf("%d destinations are said to be left out", v.Left[Peers])
		}
		for _, d := range v.Spaces[0].Destinations {
			seen[d.Address] = true
		}
	}
	if len(seen) > 64 {
		t.Errorf("%d destinations made a series within two minutes", len(seen))
	}
	n := s.spaces["a"]
	if len(n.trends) > 32*30 || len(n.tables[Peers].at) > 32 {
		t.Errorf("%d trends, %d seats", len(n.trends), len(n.tables[Peers].at))
	}
}

// A destination that comes near its ceiling is shown however many others there are.
func TestFullOneGetsASeat(t *testing.T) {
	s := New(Options{})
	lines := []string{"sysctl net.ipv4.ip_local_port_range = 40000 40099",
		"sysctl net.ipv4.ip_local_reserved_ports = ", "sysctl net.ipv4.tcp_tw_reuse = 2",
		"system bound-sockets = listed", "ports bound = ", "ports listening = 22",
		"source 10.0.0.1 = sockets=200 destinations=100 ports=99 shared=99 opposite=40"}
	for i := range 100 {
		lines = append(lines, fmt.Sprintf("outbound 10.0.0.1->10.0.1.%d:443 = "+
			"ESTABLISHED=2 ranged=2", i))
	}
	entered(t, s, at(0), facts(t, lines...))
	lines = append(lines, "outbound 10.0.0.1->10.9.9.9:5432 = ESTABLISHED=90 ranged=90")
	entered(t, s, at(1), facts(t, lines...))
	v := s.View(at(1), "")
	found := false
	for _, d := range v.Spaces[0].Destinations {
		found = found || d.Address == "10.9.9.9:5432" && d.Established == 90 &&
			d.Ceiling == 100
	}
	if !found || len(v.Spaces[0].Destinations) != 32 {
		t.Errorf("%+v", v.Spaces[0].Destinations)
	}
}

// However many namespaces, listeners and limits: no more series than allowed, and what is left out
// is counted; the fullest stay.
func TestFit(t *testing.T) {
	s := New(Options{Series: 1000})
	for i := range 80 {
		var lines []string
		for j := range 50 {
			lines = append(lines, fmt.Sprintf(
				"listener 10.0.0.1:%d = family=4 queue=%d "+
					"limit=9 inode=%d pid=7 process=web", 1000+j, j%10, j+1))
		}
		snapshot := facts(t, lines...)
		r, gauges := diagnose.CheckAll(snapshot, diagnose.Options{})
		s.Enter(at(0), Survey{Key: fmt.Sprint(i), Name: "ns", Own: i == 5,
			Snapshot: snapshot, Report: r, Gauges: gauges})
	}
	v := s.View(at(1), "")
	total := 0
	names := map[string]bool{}
	for _, n := range v.Spaces {
		total += n.series()
		if names[n.Name] {
			t.Errorf("two namespaces are called %s", n.Name)
		}
		names[n.Name] = true
	}
	if total > 1000 || v.Left[Listeners] == 0 || v.Left[Spaces] == 0 {
		t.Errorf("%d series, left out %v", total, v.Left)
	}
	if len(v.Spaces) == 0 || !v.Spaces[0].Own {
		t.Errorf("the own namespace is not the first")
	}
}

// What cannot be read is counted and never zero; a namespace that fails shows nothing old.
func TestUnseen(t *testing.T) {
	s := New(Options{})
	v := s.View(at(0), "")
	if len(v.Spaces) != 0 || !v.Surveyed.IsZero() {
		t.Errorf("%+v, want nothing", v)
	}
	entered(t, s, at(0), facts(t, webListener, "listener * ! permission denied"))
	if v := s.View(at(1), ""); v.Unreadable["permission"] == 0 || v.Left[Snapshot] == 0 {
		t.Errorf("unreadable %v, left %v", v.Unreadable, v.Left)
	}
	s.Failed(at(60), "a", "host", "the namespace has ended")
	if n := s.View(at(2), "").Spaces[0]; n.Why == "" || len(n.Rows)+len(n.Listeners) > 0 {
		t.Errorf("%+v, want only why", n)
	}
	s.Gone(at(60), "a")
	if v := s.View(at(3), ""); len(v.Spaces) != 0 {
		t.Errorf("%+v", v.Spaces)
	}
	s.Look("a", at(4), []Queue{{Listener: web}}, nil) // a look that comes late
	s.Keep(at(60), nil, 3, map[string]int{"permission denied": 2})
	if v := s.View(at(5), ""); v.Left[Spaces] != 3 || v.Unreadable["permission"] != 2 {
		t.Errorf("%+v", v)
	}
}

// A clock that jumps, forwards or back, harms nothing.
func TestClockJumps(t *testing.T) {
	s := New(Options{})
	for i, now := range []float64{0, 1, 1e6, 1e6 + 1, -1e6, 2} {
		entered(t, s, at(now), facts(t, webListener))
		looked(s, now, uint32(i%3), 0, int64(i))
		listenerOf(t, s, now, "p")
	}
}

// No label holds a pid, so that a process that starts anew goes on in its series.
func TestSubjectsHoldNoPID(t *testing.T) {
	for _, sub := range []limit.Subject{
		{Kind: limit.Process, Name: "web (pid 4711)", Process: "web", PID: 4711},
		{Kind: limit.Process, Name: "a process (pid 4711)", PID: 4711},
		{Kind: limit.Listener, Name: "10.0.0.1:80, web (pid 4711)", Listener: "10.0.0.1:80",
			PID: 4711},
		{Name: "something (pid 4711)", PID: 4711},
	} {
		if text := subjectOf(sub, FullDestinations); strings.Contains(text, "4711") ||
			text == "" {
			t.Errorf("%+v is called %q", sub, text)
		}
	}
	peer := limit.Subject{Kind: limit.Peer, Source: "10.0.0.1", Destination: "10.0.0.9:5432"}
	for d, want := range map[Destinations]string{
		FullDestinations: "10.0.0.1 -> 10.0.0.9:5432", PortsOnly: "10.0.0.1 -> :5432",
	} {
		if have := subjectOf(peer, d); have != want {
			t.Errorf("%s: %q, want %q", d, have, want)
		}
	}
}

// Every hundred thousandth listener is as good as the first: what is watched is bounded.
func TestManyListeners(t *testing.T) {
	s := New(Options{})
	entered(t, s, at(0), facts(t, webListener))
	for i := range 5 {
		var queues []Queue
		for j := range 20000 {
			queues = append(queues, Queue{
				Listener: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1,
					byte(j >> 8), byte(j)}), uint16(i+1)),
				Cookie: uint64(i*20000 + j), Limit: 4, Drops: 1})
		}
		s.Look("a", at(float64(i)), queues, nil)
	}
	n := s.spaces["a"]
	if len(n.queues) > mostQueues || len(n.drops) > 4*mostQueues || n.unwatched < 18000 {
		t.Errorf("%d queues, %d sockets, %d left out", len(n.queues), len(n.drops),
			n.unwatched)
	}
}

// eventWords are the events of a state, the oldest first.
func eventWords(s *State) (words []string) {
	for _, e := range s.View(at(1000), "").Events {
		words = append([]string{e.Space + " " + e.What}, words...)
	}
	return words
}

// What somebody changes is an event, what the kernel counts is none; so is what begins and ends,
// and a namespace that comes and goes, but for those that were there from the start.
func TestEvents(t *testing.T) {
	s := New(Options{})
	survey := func(second float64, key string, lines ...string) {
		snapshot := facts(t, lines...)
		r, gauges := diagnose.CheckAll(snapshot, diagnose.Options{})
		s.Enter(at(second), Survey{Key: key, Name: key, Snapshot: snapshot, Report: r,
			Gauges: gauges})
		s.Surveyed(at(second), time.Second)
	}
	full := strings.Replace(webListener, "queue=0", "queue=5 oldest=10s youngest=2s", 1)
	wider := strings.Replace(webListener, "limit=4", "limit=400", 1)
	survey(0, "a", "sysctl net.core.somaxconn = 128", "sysctl fs.file-nr = 1 0 9", webListener)
	survey(1, "a", "sysctl net.core.somaxconn = 4096", "sysctl fs.file-nr = 2 0 9", full,
		"counter TcpExt.ListenOverflows = 9")
	survey(2, "a", "sysctl net.core.somaxconn = 4096", "sysctl fs.file-nr = 3 0 9", wider)
	survey(3, "b")
	s.Failed(at(4), "b", "b", "permission denied")
	s.Failed(at(5), "b", "b", "permission denied")
	s.Gone(at(6), "b")
	want := []string{
		"a began: critical accept-queue at 10.0.0.1:80, 5 of 5",
		"a changed: net.core.somaxconn from 128 to 4096",
		"a ended: critical accept-queue at 10.0.0.1:80, 0 of 401",
		"a changed: queue limit of 10.0.0.1:80 from 4 to 400",
		"b came: network namespace b",
		"b not surveyed: permission denied",
		"b went: network namespace b",
	}
	if got := eventWords(s); !slices.Equal(got, want) {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// When a limit binds is said from half of the ceiling on, where the use rises; a clock that was put
// back or forward makes no other figure, and no trend that is longer.
func TestBindsIn(t *testing.T) {
	point := func(second float64, used int64) Point { return Point{at(second), used} }
	for _, c := range []struct {
		name  string
		trend []Point
		want  time.Duration
		ok    bool
	}{
		{"one survey", []Point{point(0, 60)}, 0, false},
		{"it rises", []Point{point(0, 50), point(10, 60)}, 40 * time.Second, true},
		{"it rose long ago", []Point{point(0, 20), point(30, 60), point(50, 60)}, 0, false},
		{"few surveys", []Point{point(0, 50), point(60, 60)}, 240 * time.Second, true},
		{"less than half", []Point{point(0, 10), point(10, 49)}, 0, false},
		{"it falls", []Point{point(0, 90), point(10, 80)}, 0, false},
		{"it is full", []Point{point(0, 100)}, 0, true},
		{"the clock was put back", []Point{point(100, 50), point(10, 60)}, 0, false},
	} {
		var tr trend
		for _, p := range c.trend {
			tr.add(p.At, p.Used)
		}
		r := Row{Ceiling: 100, Used: c.trend[len(c.trend)-1].Used, Trend: tr.used}
		if d, ok := r.BindsIn(); d != c.want || ok != c.ok {
			t.Errorf("%s: %v, %v, want %v, %v", c.name, d, ok, c.want, c.ok)
		}
	}
}
