//go:build linux

package load

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/fastsock"
	"github.com/maxconn/maxconn/internal/load/result"
)

func TestParseSources(t *testing.T) {
	for _, c := range []struct {
		list, want string
		addresses  int64
	}{
		{"127.0.0.1", "127.0.0.1", 1},
		{"10.0.0.1-10.0.0.50", "10.0.0.1-10.0.0.50", 50},
		{" 10.0.0.1 , 10.0.0.3-10.0.0.4", "10.0.0.1 10.0.0.3-10.0.0.4", 3},
		{"10.0.0.0/24", "10.0.0.1-10.0.0.254", 254},
		{"10.0.0.77/24", "10.0.0.1-10.0.0.254", 254},
		{"10.0.0.8/31", "10.0.0.8-10.0.0.9", 2},
		{"127.0.0.0/8", "127.0.0.1-127.255.255.254", 1<<24 - 2},
		{"fd00::1-fd00::ff", "fd00::1-fd00::ff", 255},
		{"fd00::/120", "fd00::-fd00::ff", 256},
		{"::ffff:10.0.0.1", "10.0.0.1", 1},
	} {
		have, err := ParseSources(c.list)
		var words []string
		for _, r := range have {
			words = append(words, r.String())
		}
		if err != nil || strings.Join(words, " ") != c.want ||
			Addresses(have) != c.addresses {
			t.Errorf("%q: %v, %d addresses, %v", c.list, have, Addresses(have), err)
		}
	}
	if lo, err := ParseSources("lo"); err != nil ||
		!slices.Contains(lo, Range{netip.MustParseAddr("127.0.0.1"),
			netip.MustParseAddr("127.0.0.1")}) {
		t.Errorf("lo: %v %v", lo, err)
	}
	for _, bad := range []string{"", ",", "10.0.0.1,", "10.0.0.256", "10.0.0.9-10.0.0.1",
		"10.0.0.1-fd00::1", "10.0.0.1-", "10.0.0.0/33", "no-such-device", "0.0.0.0",
		"224.0.0.1", "fe80::1%lo"} {
		if have, err := ParseSources(bad); err == nil {
			t.Errorf("%q was read as %v", bad, have)
		}
	}
}

func FuzzParseSources(f *testing.F) {
	for _, seed := range []string{"127.0.0.1", "10.0.0.1-10.0.0.50,10.1.0.0/16", "fd00::/64",
		"::1-::ffff", "255.255.255.255/0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		ranges, err := ParseSources(list)
		if err != nil {
			return
		}
		for _, r := range ranges {
			if r.Last.Less(r.First) || r.First.Is4() != r.Last.Is4() {
				t.Errorf("%q: %v", list, r)
			}
			if n := r.size(); n < 1<<32 && r.at(n-1) != r.Last {
				t.Errorf("%q: the last of %v is %v", list, r, r.at(n-1))
			}
		}
	})
}

func FuzzParsePorts(f *testing.F) {
	f.Add("1024-65535")
	f.Add("80")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePorts(text)
		if err == nil && (p.First == 0 || p.Last < p.First) {
			t.Errorf("%q: %+v", text, p)
		}
		_, _ = parsePortList(text)
	})
}

// Every tuple is handed out once, no matter who asks, and none of a port that is reserved.
func TestSpace(t *testing.T) {
	s := Spec{
		Mode:    result.Hold,
		Threads: 3,
		Ports: Ports{First: 1000, Last: 1100,
			Without: []Ports{{First: 1010, Last: 1019}}},
	}
	var err error
	if s.Sources, err = ParseSources("127.0.0.1,127.0.1.1-127.0.1.3"); err != nil {
		t.Fatal(err)
	}
	sp := newSpace(s, []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:80"),
		netip.MustParseAddrPort("127.0.0.1:81")})
	type tuple struct{ from, to netip.AddrPort }
	seen := map[tuple]bool{}
	cursors := []*cursor{{space: sp}, {space: sp}, {space: sp}}
	for len(cursors) > 0 {
		for i := 0; i < len(cursors); i++ {
			c := cursors[i]
			if !c.step() {
				cursors = slices.Delete(cursors, i, i+1)
				continue
			}
			k := tuple{c.from.AddrPort(), c.to.AddrPort()}
			if seen[k] || s.Ports.skips(k.from.Port()) {
				t.Fatalf("%v again, or reserved", k)
			}
			seen[k] = true
		}
	}
	if want := 91 * 4 * 2; len(seen) != want || s.Ports.count() != 91 {
		t.Errorf("%d tuples, want %d", len(seen), want)
	}
	// Shares of worker processes are disjoint, too.
	shared := map[tuple]bool{}
	for share := range uint64(4) {
		s.share, s.of = share, 4
		c := &cursor{space: newSpace(s,
			[]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:80"),
				netip.MustParseAddrPort("127.0.0.1:81")})}
		for c.step() {
			shared[tuple{c.from.AddrPort(), c.to.AddrPort()}] = true
		}
	}
	if !maps.Equal(seen, shared) {
		t.Errorf("shares have %d tuples, all have %d", len(shared), len(seen))
	}
}

func TestDescriptors(t *testing.T) {
	var d descriptors
	for _, fd := range []int{3, 64, 63, 200} {
		d.add(fd)
	}
	d.drop(63)
	d.drop(1000)
	var order []int
	d.each(func(fd int) { order = append(order, fd) })
	if !slices.Equal(order, []int{200, 64, 3}) || d.n != 3 || d.has(63) || !d.has(200) {
		t.Errorf("%v, %d", order, d.n)
	}
	if a, b := d.after(3), d.after(200); a != 64 || b != 3 {
		t.Errorf("after 3 comes %d, after 200 %d", a, b)
	}
}

func TestBadSpecs(t *testing.T) {
	to := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9")}
	for name, s := range map[string]Spec{
		"no target":         {Mode: result.Churn},
		"no mode":           {Mode: "what", Targets: to},
		"no number":         {Mode: result.Hold, Targets: to},
		"negative":          {Mode: result.Churn, Targets: to, Connections: -1},
		"a rate below zero": {Mode: result.Churn, Targets: to, Rate: -1},
		"way to close":      {Mode: result.Churn, Targets: to, Close: "slam"},
		"families": {
			Mode:    result.Churn,
			Targets: to,
			Sources: []Range{{netip.IPv6Loopback(), netip.IPv6Loopback()}},
		},
		"silent talk": {Mode: result.Talk, Targets: to, Connections: 1},
		"no program":  {Mode: result.Churn, Targets: to, Processes: true},
		"threads":     {Mode: result.Churn, Targets: to, Threads: 1000},
	} {
		if r, err := Connect(t.Context(), s); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if _, err := Serve(t.Context(), ServeSpec{}); err == nil {
		t.Error("serve nowhere")
	}
}

func TestSeriesIsBounded(t *testing.T) {
	var all []result.Sample
	for i := range 100 {
		all = append(all, result.Sample{Seconds: float64(i + 1),
			Established: int64((i + 1) * 10),
			PerSecond:   10})
	}
	half := halved(all)
	if len(half) != 50 || half[49].Seconds != 100 || half[20].PerSecond != 10 ||
		half[0].PerSecond != 10 {
		t.Errorf("%d: %+v ... %+v", len(half), half[0], half[len(half)-1])
	}
}

func TestLatency(t *testing.T) {
	l := newLatency()
	for i := range int64(1000) {
		l.record(i * int64(time.Millisecond))
	}
	l.record(2 * longest)
	s := l.summed()
	near := func(a, b float64) bool { return a > 0.98*b && a < 1.02*b }
	if s.Seen != 1001 || !near(s.P50, 500e3) || !near(s.P99, 990e3) || !near(s.Max, 999e3) {
		t.Errorf("%+v", s)
	}
	var n int64
	for _, b := range s.Buckets {
		n += b.Count
	}
	if n != 1000 {
		t.Errorf("%d in buckets %+v", n, s.Buckets)
	}
}

func BenchmarkRecord(b *testing.B) {
	l := newLatency()
	for i := range b.N {
		l.record(int64(i&0xfffff) + 20_000)
	}
}

// A run as a library: no signals, no command line, a series; every kernel socket is gone
// afterwards.
func TestPairAsLibrary(t *testing.T) {
	var samples int
	r, err := Pair(t.Context(), Spec{
		Mode:     result.Churn,
		Duration: 200 * time.Millisecond,
		Threads:  1,
		Every:    20 * time.Millisecond,
		Progress: func(result.Sample) { samples++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Established == 0 || r.Established != r.Attempted || !r.GoalMet || samples == 0 ||
		len(r.Series) <= samples-1 || r.CPU == nil || r.Connect.Seen != r.Established {
		t.Errorf("%+v", r)
	}
	r, err = Pair(t.Context(), Spec{Mode: result.Hold, Connections: 300, Threads: 2})
	if err != nil || r.Held != 300 || r.PeakOpen != 300 || !r.GoalMet {
		t.Errorf("%+v %v", r, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	r, err = Pair(ended, Spec{Mode: result.Hold, Connections: 1 << 30})
	if err != nil || r.Stopped != "interrupted" || r.GoalMet {
		t.Errorf("%+v %v", r, err)
	}
}

// A memory floor that is met stops the opening and is named.
func TestMemoryGuard(t *testing.T) {
	r, err := Pair(t.Context(), Spec{Mode: result.Hold, Connections: 1 << 30, Rate: 1000,
		KeepFree: 1 << 50})
	if err != nil || r.Stopped != "memory" || r.BoundBy != "connection-memory" || r.GoalMet ||
		r.Established > 5000 {
		t.Errorf("%+v %v", r, err)
	}
}

func TestForecast(t *testing.T) {
	s := Spec{
		Mode:        result.Hold,
		Connections: 1_000_000,
		Targets:     []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:7000")},
		Ports:       Ports{First: 40000, Last: 40999},
		KeepFree:    1,
	}
	var err error
	if s.Sources, err = ParseSources("127.0.0.1-127.0.0.5"); err != nil {
		t.Fatal(err)
	}
	f, err := Foresee(t.Context(), s, false)
	if err != nil {
		t.Fatal(err)
	}
	ports, ok := f.Of("ephemeral-ports")
	if low, bound := f.Tightest(6000); !ok || ports.Connections != 5000 || !bound ||
		low.Limit != "ephemeral-ports" || f.Ends != 2 ||
		f.Bytes != 2_000_000*limit.BytesPerEnd {
		t.Errorf("%+v", f)
	}
	if _, bound := f.Tightest(5000); bound {
		t.Errorf("5000 do not fit: %+v", f)
	}
	s.OneTable = true
	if f, err = Foresee(t.Context(), s, true); err != nil {
		t.Fatal(err)
	}
	files, ok := f.Of("process-files")
	if _, ports := f.Of("ephemeral-ports"); !ok || ports ||
		files.Connections >= int64(fastsock.FileLimit())/2 {
		t.Errorf("%+v", f)
	}
}

// So many connections are made however long that takes; without a number it takes ten seconds.
func TestCountIsNotCutOff(t *testing.T) {
	for connections, want := range map[int64]time.Duration{0: defaultTime, 500: 0} {
		s, err := Spec{Mode: result.Churn, Connections: connections}.completed(true)
		if err != nil || s.Duration != want {
			t.Errorf("%d connections: for %v, %v", connections, s.Duration, err)
		}
		r, err := newRun("pair", s)
		if err != nil {
			t.Fatal(err)
		}
		defer r.close()
		if (r.until == int64(want)) != (want > 0) {
			t.Errorf("%d connections: until %v", connections, time.Duration(r.until))
		}
	}
}

// waiting is a client with one connection that waits for an answer, and the other end of it.
func waiting(t *testing.T) (c *client, server int) {
	t.Helper()
	r, err := newRun("connect", Spec{Mode: result.Churn, Timeout: time.Second, Expect: 4,
		NoHistogram: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	l, e := listenAt(netip.MustParseAddrPort("127.0.0.1:0"), listening{backlog: 8})
	if e != 0 {
		t.Fatal(e)
	}
	t.Cleanup(func() { fastsock.Close(l) })
	to, _ := fastsock.Local(l)
	fd, _ := fastsock.Socket(to.Family())
	_ = fastsock.Connect(fd, &to)
	if server, e = fastsock.Accept(l); e != 0 {
		t.Fatal(e)
	}
	t.Cleanup(func() { fastsock.Close(server) })
	epoll, e := fastsock.NewEpoll(batch)
	if e != 0 {
		t.Fatal(e)
	}
	t.Cleanup(epoll.Close)
	c = &client{
		worker: &worker{run: r, tally: r.count(), epoll: epoll},
		slots:  make([]slot, 1),
		free:   []int32{0},
		buffer: make([]byte, 64),
	}
	c.open.Add(1)
	c.park(slot{fd: int32(fd), stage: answer}, fastsock.Readable)
	return c, server
}

// Time in which this program did not run is not the server's: after a stall of any length
// the answer is still waited for. Time in which it looked in vain is.
func TestStallIsNoTimeout(t *testing.T) {
	c, server := waiting(t)
	c.clock = int64(time.Hour)
	c.listen()
	c.sweep()
	if n := c.failures.total(); n != 0 || c.busy != 1 {
		t.Fatalf("%d failures after an hour's sleep: %+v", n, c.failures.list())
	}
	if _, e := fastsock.Send(server, []byte("pong")); e != 0 {
		t.Fatal(e)
	}
	if n, e := c.epoll.Wait(time.Minute, c.happened); n != 1 || e != 0 ||
		c.answered.Load() != 1 || c.busy != 0 {
		t.Errorf("%d events, %v, %d answers", n, e, c.answered.Load())
	}

	c, _ = waiting(t)
	for range 10 {
		c.clock += sweepEvery
		c.listen()
	}
	c.sweep()
	if have := c.failures.list(); len(have) != 1 || have[0].Phase != result.AtAnswer ||
		have[0].Errno != "ETIMEDOUT" || c.busy != 0 {
		t.Errorf("%+v", have)
	}
}

// An answer that is here when the run ends was not lost.
func TestAnswersAtTheEnd(t *testing.T) {
	c, server := waiting(t)
	c.spec.Mode, c.spec.Send = result.Talk, []byte("ping")
	s := c.slots[0]
	c.keep(&s, 0)
	c.talkers.Add(1)
	c.startTalking()
	if wait := c.talking.ask(c, -1); wait != 0 {
		t.Fatal(wait)
	}
	if _, e := fastsock.Send(server, []byte("pong")); e != 0 {
		t.Fatal(e)
	}
	c.closeAll()
	if c.answered.Load() != 1 || c.failures.total() != 0 {
		t.Errorf("%d answers, %+v", c.answered.Load(), c.failures.list())
	}
}

// An event of a listener that was given up earlier in the same round is none.
func TestListenerIsGivenUp(t *testing.T) {
	r, err := newRun("serve", Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	s := &server{worker: &worker{run: r, tally: r.count()}}
	if n := s.accept(1 << 20); n != 0 || r.failures.total() != 0 || s.paused {
		t.Errorf("%d accepted, %+v", n, r.failures.list())
	}
}

// Files are shared by the whole host: what others need is left to them.
func TestForecastOfFiles(t *testing.T) {
	f, files := Forecast{}, limit.Gauge{Limit: limit.Find(limit.SystemFiles),
		Ceiling: 1_600_000, Used: 100_000}
	f.shared(files, 2, 1, true)
	c, ok := f.Of("system-files")
	if !ok || c.Connections != 700_000 || !c.Spared {
		t.Errorf("%+v", c)
	}
	if low, bound := f.Tightest(800_000); bound {
		t.Errorf("%+v binds a process that is spared", low)
	}
	f = Forecast{}
	f.shared(files, 2, 1, false)
	if low, bound := f.Tightest(800_000); !bound || low.Connections != 700_000 {
		t.Errorf("%+v", f)
	}
}

// A user without sockets has no gauge in the catalogue, and yet a bound on what may be
// watched with epoll.
func TestForecastOfWatches(t *testing.T) {
	s, err := host.Parse(
		[]byte("maxconn.snapshot/1\nsysctl fs.epoll.max_user_watches = 1000000\nend\n"))
	if err != nil {
		t.Fatal(err)
	}
	f := Forecast{Ends: 2}
	f.watches(s)
	besides := 4 * (1_000_000/fileLimit() + 1) // the workers' own
	if c, ok := f.Of("epoll-watches"); !ok || c.Connections != (1_000_000-besides)/2 {
		t.Errorf("%+v, %d are watched besides", c, besides)
	}
	f = Forecast{Ends: 2}
	f.watches(host.Snapshot{})
	if c, ok := f.Of("epoll-watches"); ok {
		t.Errorf("from a host that does not say: %+v", c)
	}
}

// What is left free fits the machine.
func TestKeepFree(t *testing.T) {
	const GiB = int64(1) << 30
	for total, want := range map[int64]int64{GiB / 2: GiB / 8, 4 * GiB: GiB / 2,
		64 * GiB: 4 * GiB} {
		if have := keepFree(Memory{Total: total}); have != want {
			t.Errorf("of %d bytes %d are kept free, want %d", total, have, want)
		}
	}
}

// A ticket that is given back is found, also when others have asked in vain meanwhile.
func TestTicketsAreNotLost(t *testing.T) {
	r, err := newRun("pair", Spec{Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.ticket(); !ok {
		t.Fatal("the first of one ticket is not there")
	}
	for range 3 {
		if _, ok := r.ticket(); ok {
			t.Fatal("more tickets than connections")
		}
	}
	r.next.Add(-1)
	if _, ok := r.ticket(); !ok {
		t.Error("the ticket that was given back is lost")
	}
}

// Of is the ceiling of a limit, if it was foreseen.
func (f Forecast) Of(id limit.ID) (Ceiling, bool) {
	for _, c := range f.Ceilings {
		if c.Limit == id {
			return c, true
		}
	}
	return Ceiling{}, false
}

// The last ticket and the last tuple meet, whichever lane ends first.
func TestNoTupleIsLost(t *testing.T) {
	for _, first := range []string{"the lane with a tuple ends", "the ticket comes back"} {
		sp := newSpace(Spec{Ports: Ports{First: 1, Last: 2}, Threads: 1},
			[]netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:80")})
		r := &run{space: sp, limit: 2, until: 1}
		r.next.Store(2) // the tickets are given away
		lane := func() *client {
			return &client{worker: &worker{run: r, opening: true},
				cursor: cursor{space: sp}}
		}
		has, lacks := lane(), lane()
		has.cursor.next, has.cursor.end = 2, 3
		var opens *client
		if first == "the ticket comes back" {
			if lacks.giveBack(true) || has.handOver() {
				t.Errorf("%s: a lane ends with a tuple beside a ticket", first)
			}
			opens = has
		} else {
			if !has.handOver() || !lacks.giveBack(true) {
				t.Errorf("%s: the tuple is not taken over", first)
			}
			opens = lacks
		}
		if !opens.mayOpen() || !opens.cursor.step() || opens.cursor.next != 3 {
			t.Errorf("%s: the tuple is lost", first)
		}
	}
}
