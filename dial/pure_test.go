package dial

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestRing(t *testing.T) {
	r := newRing(72)
	for s := range int64(100) {
		for range s {
			r.add(1000 + s)
		}
	}
	if got := r.sum(1040, 1099); got != (40+99)*60/2 {
		t.Errorf("a minute has %d", got)
	}
	if got, want := r.sum(0, 2000), (28+99)*72/2; got != want {
		t.Errorf("all has %d, want the 72 seconds that are kept: %d", got, want)
	}
	r.add(1050) // late: counted in the newest second
	if got := r.sum(1099, 1099); got != 100 {
		t.Errorf("the newest second has %d", got)
	}
	r.add(5000)
	if got := r.sum(0, 5000); got != 1 {
		t.Errorf("after a long pause %d", got)
	}
	var none *ring
	if none.sum(0, 9) != 0 {
		t.Error("no ring has events")
	}
}

func TestPortSetCount(t *testing.T) {
	s := &portSet{}
	for p := 0; p < 65536; p += 3 {
		s.add(p)
	}
	for _, r := range []PortRange{{0, 65535}, {0, 0}, {1, 2}, {63, 64}, {60, 66},
		{32768, 60999}, {65535, 65535}} {
		want := 0
		for p := int(r.Low); p <= int(r.High); p++ {
			if s.has(p) {
				want++
			}
		}
		if got := s.count(r); got != want {
			t.Errorf("%v has %d, want %d", r, got, want)
		}
	}
	s.remove(3)
	if s.has(3) || !s.has(6) {
		t.Error("remove")
	}
}

// Windows cover the range, and on kernels that round down to even numbers each port is in a
// window of an even number.
func TestWindowsCoverTheRange(t *testing.T) {
	for _, r := range []PortRange{{32768, 60999}, {1024, 65535}, {1, 1}, {511, 512},
		{500, 1100}, {20001, 20003}, {65000, 65535}} {
		s := newSettings(r, &portSet{}, -1)
		seen, w := &portSet{}, windowOf(int(r.Low))
		for range windowCount {
			for _, c := range []PortRange{s.cut(w), s.even(w)} {
				if c.Low < r.Low || c.High > r.High || c.size() < 1 ||
					c.size() > 514 {
					t.Errorf("%v: window %d is %v", r, w, c)
				}
				for p := int(c.Low); p <= int(c.High); p++ {
					seen.add(p)
				}
			}
			if n := s.even(w).size(); n%2 != 0 && n != 1 && r.size() > n {
				t.Errorf("%v: window %d has %d ports", r, w, n)
			}
			w = s.next(w)
		}
		if seen.count(PortRange{0, 65535}) != r.size() || s.capacity != r.size() {
			t.Errorf("%v: windows cover %d ports, capacity %d", r,
				seen.count(PortRange{0, 65535}), s.capacity)
		}
	}
}

func TestUsable(t *testing.T) {
	outside := newSettings(PortRange{1000, 2000}.within(PortRange{32768, 60999}), &portSet{},
		-1)
	if err := outside.usable(PortRange{1000, 2000}, features{window: true}); err == nil ||
		!strings.Contains(err.Error(), "1000-2000") {
		t.Errorf("a range outside of the kernel's: %v", err)
	}
	unknown := newSettings(PortRange{}, &portSet{}, -1)
	if err := unknown.usable(PortRange{}, features{}); err != nil {
		t.Errorf("an unknown range: %v", err)
	}
	if err := unknown.usable(PortRange{1000, 2000}, features{}); !errors.Is(err,
		errors.ErrUnsupported) {
		t.Errorf("Ports on a system that cannot keep to them: %v", err)
	}
}

func TestChoiceSettles(t *testing.T) {
	modern, old, oldest := features{true, true, true}, features{true, false, true},
		features{false, false, true}
	for _, c := range []struct {
		wish                   Choice
		has                    features
		pool, ranged, narrowed bool
		want                   Choice
	}{
		{AutoPort, old, true, true, true, ExplicitPort},
		{AutoPort, old, false, true, true, ExplicitPort},
		{MovingWindow, old, false, true, true, ExplicitPort},
		{KernelPort, old, false, true, true, ExplicitPort},
		{KernelPort, modern, false, true, true, KernelPort},
		{AutoPort, modern, true, true, true, MovingWindow},
		{AutoPort, modern, true, true, false, MovingWindow},
		{AutoPort, modern, false, true, false, MovingWindow},
		{AutoPort, modern, true, false, false, KernelPort},
		{AutoPort, old, true, true, false, KernelPort},
		{AutoPort, oldest, true, true, false, ExplicitPort},
		{AutoPort, oldest, false, true, false, KernelPort},
		{MovingWindow, old, true, true, false, KernelPort},
		{ExplicitPort, modern, true, true, false, ExplicitPort},
		{ExplicitPort, features{}, true, true, false, KernelPort},
		{KernelPort, modern, true, true, false, KernelPort},
		{AutoPort, features{}, true, false, false, KernelPort},
	} {
		if got := c.wish.settle(c.has, c.pool, c.ranged, c.narrowed); got != c.want {
			t.Errorf("%v with %+v, pool %v, range known %v, narrowed %v: %v, want %v",
				c.wish, c.has, c.pool, c.ranged, c.narrowed, got, c.want)
		}
	}
}

// The source with most ports left is taken; TIME_WAIT counts against it, and only the
// kernel's word rules it out.
func TestChooseByWhatIsLeft(t *testing.T) {
	now := time.Unix(1e9, 0)
	set := newSettings(PortRange{1000, 1099}, &portSet{}, 0)
	dest := newDestination(netip.MustParseAddrPort("192.0.2.1:80"), &Dialer{})
	a := &source{addr: netip.MustParseAddr("192.0.2.10")}
	b := &source{addr: netip.MustParseAddr("192.0.2.11")}
	all := []*source{a, b}
	for range 200 {
		dest.choose(all, set, now)
	}
	if dest.pairs[a].open != 100 || dest.pairs[b].open != 100 ||
		dest.choose(all, set, now) != nil {
		t.Fatalf("open %d and %d of 100", dest.pairs[a].open, dest.pairs[b].open)
	}
	for range 100 {
		dest.keep(dest.pairs[a], 1000, now)
		dest.release(dest.pairs[a], 1000, true, now)
	}
	p := dest.choose(all, set, now)
	if p == nil || p.source != a {
		t.Fatal("an estimate of TIME_WAIT has ruled a source out")
	}
	dest.exhaust(p, set, now)
	if dest.choose(all, set, now) != nil || dest.choose(all, set, now.Add(restTime)) == nil {
		t.Error("a full pair rests for 100 ms")
	}
	s := dest.stats(all, set, now)
	if s.TimeWait != 100 || *s.Free != 0 || s.Open != 101 || s.Growth != 10 ||
		*s.SecondsLeft != 0 {
		t.Errorf("stats %+v", s)
	}
	later := now.Add(timeWaitSeconds * time.Second)
	if s := dest.stats(all, set, later); s.TimeWait != 0 || *s.Free != 99 || s.Growth != -10 ||
		s.SecondsLeft != nil {
		t.Errorf("a minute later %+v", s)
	}
}

func TestTimeWaitIsShortWhereItIsReused(t *testing.T) {
	for _, c := range []struct {
		reuse int
		to    string
		want  int64
	}{{0, "192.0.2.1", 60}, {1, "192.0.2.1", 1}, {2, "192.0.2.1", 60}, {2, "127.0.0.1", 1},
		{2, "::1", 1}, {-1, "127.0.0.1", 60}} {
		p := &pair{source: &source{}}
		if got := p.blockSeconds(newSettings(PortRange{}, &portSet{}, c.reuse),
			netip.MustParseAddr(c.to)); got != c.want {
			t.Errorf("tcp_tw_reuse=%d to %s: %d s, want %d", c.reuse, c.to, got, c.want)
		}
	}
}

func TestServes(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"192.0.2.1", "192.0.2.2", true}, {"192.0.2.1", "2001:db8::1", false},
		{"2001:db8::1", "2001:db8::2", true}, {"2001:db8::1", "192.0.2.1", false},
		{"fe80::1%eth0", "2001:db8::1", false}, {"fe80::1%eth0", "fe80::2%eth0", true},
		{"fe80::1%eth0", "fe80::2%eth1", false},
	} {
		if got := (&source{addr: netip.MustParseAddr(c.from)}).serves(
			netip.MustParseAddr(c.to)); got != c.want {
			t.Errorf("%s to %s: %v", c.from, c.to, got)
		}
	}
}

// Destinations that nothing is left of are forgotten, so memory does not grow with what was
// ever dialled.
func TestDestinationsAreForgotten(t *testing.T) {
	d := &Dialer{}
	c := must(d.start())(t)
	for i := range 10000 {
		c.exit(c.enter(netip.AddrPortFrom(
			netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 80)))
	}
	if n := len(c.destinations); n > 200 {
		t.Errorf("%d destinations are remembered", n)
	}
}

// Addresses that come and go do not add up: those that have left the pool are forgotten
// once nothing is left of them.
func TestSourcesAreForgotten(t *testing.T) {
	d := &Dialer{}
	c := must(d.start())(t)
	dest := c.enter(netip.MustParseAddrPort("192.0.2.1:80"))
	held := netip.MustParseAddr("10.9.9.9")
	for i := range 1000 {
		d.Sources = []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
		if i == 0 {
			d.Sources = []netip.Addr{held}
		}
		if err := c.refresh(); err != nil {
			t.Fatal(err)
		}
		p := dest.choose(c.pool.Load().v4, c.set.Load(), time.Now())
		if i > 0 {
			dest.drop(p)
		}
	}
	if len(c.sources) != 2 || c.sources[held] == nil || len(dest.pairs) != 2 {
		t.Errorf("%d sources and %d pairs are remembered, want those in the pool "+
			"and in use", len(c.sources), len(dest.pairs))
	}
}

func TestParse(t *testing.T) {
	if r, err := parseRange("32768\t60999\n"); err != nil || r != (PortRange{32768, 60999}) {
		t.Error(r, err)
	}
	for _, bad := range []string{"", "1", "1 2 3", "2 1", "x 1", "1 x", "1 65536", "-1 5"} {
		if r, err := parseRange(bad); err == nil {
			t.Errorf("parseRange(%q) = %v", bad, r)
		}
	}
	s, err := parseReserved("8080,9000-9010\n")
	if err != nil || s.count(PortRange{0, 65535}) != 12 || !s.has(9010) || s.has(9011) {
		t.Error(s.count(PortRange{0, 65535}), err)
	}
	if s, err := parseReserved("\n"); err != nil || s.count(PortRange{0, 65535}) != 0 {
		t.Error(err)
	}
	for _, bad := range []string{"a", "1,", "1-", "1-b", "70000", "-5"} {
		if _, err := parseReserved(bad); err == nil {
			t.Errorf("parseReserved(%q) has no error", bad)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("32768\t60999\n")
	f.Add("1 65535")
	f.Add("0 0")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseRange(text)
		if err != nil {
			return
		}
		again, err := parseRange(strings.Replace(r.String(), "-", " ", 1))
		if r.size() < 1 || err != nil || again != r {
			t.Errorf("%q gives %v, which gives %v, %v", text, r, again, err)
		}
		if s := newSettings(r, &portSet{}, 0); s.capacity != r.size() {
			t.Errorf("%v: capacity %d", r, s.capacity)
		}
	})
}

func FuzzParseReserved(f *testing.F) {
	f.Add("8080,9000-9010\n", uint16(1024), uint16(65535))
	f.Add("", uint16(0), uint16(0))
	f.Add("0-65535", uint16(5), uint16(5))
	f.Fuzz(func(t *testing.T, text string, low, high uint16) {
		s, err := parseReserved(text)
		if err != nil || low > high {
			return
		}
		want := 0
		for p := int(low); p <= int(high); p++ {
			if !s.has(p) {
				want++
			}
		}
		if got := newSettings(PortRange{max(low, 1), high}, s, 0).capacity; low > 0 &&
			got != want {
			t.Errorf("%q within %d-%d: capacity %d, want %d", text, low, high, got,
				want)
		}
	})
}
