package dial_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/dial"
	"github.com/maxconn/maxconn/internal/lab"
)

// start gives a namespace with 1,000 source ports, four source addresses and three
// destinations, none of them loopback's own, so that tcp_tw_reuse=2 does not apply.
func start(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.Start(context.Background())
	if errors.Is(err, lab.ErrUnavailable) &&
		!strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := l.Set("net.ipv4.ip_local_port_range", "20000 20999"); err != nil {
		t.Fatal(err)
	}
	for _, a := range append(sources(), to(1).Addr(), to(2).Addr(), to(3).Addr()) {
		if err := l.AddAddress("lo", netip.PrefixFrom(a, 32)); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func sources() (all []netip.Addr) {
	for i := range 4 {
		all = append(all, netip.AddrFrom4([4]byte{10, 1, 0, byte(i + 1)}))
	}
	return all
}

// keepTimeWait has every port stay in TIME_WAIT for its minute: neither a later connect()
// nor a reset that crosses the last acknowledgement on loopback (RFC 1337; a few in
// thousands, whichever dialer) ends it.
func keepTimeWait(t *testing.T, l *lab.Lab) {
	t.Helper()
	for _, s := range [][2]string{{"net.ipv4.tcp_tw_reuse", "0"},
		{"net.ipv4.tcp_rfc1337", "1"}} {
		if err := l.Set(s[0], s[1]); err != nil {
			t.Fatal(err)
		}
	}
}

func to(n byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, 0, n}), 9000)
}

func choices() []dial.Choice {
	return []dial.Choice{dial.AutoPort, dial.KernelPort, dial.ExplicitPort}
}

// The figure of the package: sources times ports to one destination, and as many again to
// each other one.
func TestLabHoldsSourcesTimesPorts(t *testing.T) {
	for _, choice := range choices() {
		t.Run(choice.String(), func(t *testing.T) {
			j := job{Choice: choice, Sources: sources(), Wait: 10 * time.Millisecond,
				Dial: []leg{{to(1), 4001}, {to(2), 1000}, {to(3), 1000},
					{to(1), 1}}}
			began := time.Now()
			r := inside(t, start(t), j)
			t.Logf("%s: 4,000 connections in %v", r.Stats.Choice, r.Legs[0].Took)
			for i, want := range []int{4000, 1000, 1000, 0} {
				if r.Legs[i].Made != want {
					t.Errorf("leg %d made %d connections, want %d: %s", i,
						r.Legs[i].Made, want, r.Legs[i].Err)
				}
			}
			checkExhausted(t, r.Legs[0])
			checkExhausted(t, r.Legs[3])
			for _, s := range sources() {
				if n := r.Legs[0].From[s.String()]; n != 1000 {
					t.Errorf("%v has %d connections, want 1000", s, n)
				}
				if n := r.Legs[1].From[s.String()]; n < 200 || n > 300 {
					t.Errorf("%v has %d of 1000 connections, want about 250", s,
						n)
				}
			}
			checkStats(t, r.Stats)
			if d := r.Stats.Destinations[1]; time.Since(began) < 10*time.Second &&
				(d.SecondsLeft == nil || *d.SecondsLeft <= 0) {
				// an emulated machine takes longer, and then nothing grows
				// any more
				t.Errorf("stats of the second destination %+v", d)
			}
		})
	}
}

func checkExhausted(t *testing.T, l legReport) {
	t.Helper()
	if !l.Exhausted || !l.NotAvail {
		t.Errorf("the error is neither both: %+v", l)
	}
	for _, word := range []string{"dial tcp 10.2.0.1:9000",
		"no source port is left for 10.2.0.1:9000 after ",
		"source addresses: 4, ports of 20000-20999: 4000, open here: 4000",
		"more source addresses"} {
		if !strings.Contains(l.Err, word) {
			t.Errorf("the error does not say %q: %s", word, l.Err)
		}
	}
}

func checkStats(t *testing.T, s dial.Stats) {
	t.Helper()
	if s.Ports == nil || *s.Ports != (dial.PortRange{Low: 20000, High: 20999}) ||
		s.Exhausted != 2 || len(s.Destinations) != 3 || len(s.Sources) != 4 {
		t.Fatalf("stats %+v", s)
	}
	d := s.Destinations[0]
	if d.Addr != to(1) || d.Open != 4000 || d.Free == nil || *d.Free != 0 || d.TimeWait != 0 ||
		d.Exhausted != 2 || len(d.Pairs) != 4 {
		t.Errorf("stats of the first destination %+v", d)
	}
	if d := s.Destinations[1]; d.Open != 1000 || *d.Free != 3000 {
		t.Errorf("stats of the second destination %+v", d)
	}
}

// What the plain dialer does in the same place.
func TestLabControlPlainDialer(t *testing.T) {
	r := inside(t, start(t), job{Plain: true, Dial: []leg{{to(1), 4001}}})
	if l := r.Legs[0]; l.Made != 1000 || !l.NotAvail || l.Exhausted {
		t.Errorf("net.Dialer made %d connections, want 1000: %+v", l.Made, l)
	}
	l := start(t)
	keepTimeWait(t, l)
	r = inside(t, l, job{Plain: true, Churn: true, Dial: []leg{{to(1), 4000}}})
	if l := r.Legs[0]; l.Made != 1000 || !l.NotAvail {
		t.Errorf("net.Dialer opened and closed %d connections, want 1000: %+v", l.Made, l)
	}
}

// Connections that are closed here first leave their ports in TIME_WAIT for a minute; the
// other sources have theirs.
func TestLabChurn(t *testing.T) {
	for _, choice := range choices() {
		t.Run(choice.String(), func(t *testing.T) {
			l := start(t)
			keepTimeWait(t, l)
			r := inside(t, l, job{Choice: choice, Sources: sources(), Churn: true,
				Wait: 10 * time.Millisecond,
				Dial: []leg{{to(1), 4000}, {to(1), 1}, {to(2), 1000}}})
			if r.Legs[0].Made != 4000 || r.Legs[2].Made != 1000 {
				t.Errorf("opened and closed %d and %d, want 4000 and 1000: %+v",
					r.Legs[0].Made, r.Legs[2].Made, r.Legs)
			}
			if r.Legs[0].Took+r.Legs[1].Took+r.Legs[2].Took > time.Minute/2 {
				t.Log("too slow: TIME_WAIT ends before all ports are in it")
				return
			}
			first := r.Stats.Destinations[0]
			if choice == dial.ExplicitPort {
				// TIME_WAIT is not kept for a port that is bound with SO_REUSEADDR.
				if r.Legs[1].Made != 1 {
					t.Errorf("an explicit port in TIME_WAIT was refused: %+v",
						r.Legs[1])
				}
				return
			}
			if l := r.Legs[1]; l.Made != 0 || !l.Exhausted ||
				!strings.Contains(l.Err, "open here: 0, in TIME_WAIT about 4000") {
				t.Errorf("with all ports in TIME_WAIT: %+v", l)
			}
			if first.TimeWait != 4000 || first.Open != 0 || *first.Free != 0 {
				t.Errorf("stats %+v", first)
			}
		})
	}
}

// A Dialer that without settings gets no reports of closed connections either. It finds
// their ports all the same.
func TestLabPlainConnections(t *testing.T) {
	r := inside(t, start(t), job{Wait: -1, Churn: true, Reset: true,
		Dial: []leg{{to(1), 3500}}})
	if l := r.Legs[0]; l.Made != 3500 || r.Stats.Exhausted != 0 ||
		r.Stats.Destinations[0].Open != 0 {
		t.Errorf("opened and closed %d connections from 1,000 ports, want 3,500: %+v",
			l.Made, r)
	}
	r = inside(t, start(t), job{Wait: -1, Dial: []leg{{to(1), 1001}, {to(2), 1000}}})
	if l := r.Legs[0]; l.Made != 1000 || !l.Exhausted || r.Legs[1].Made != 1000 {
		t.Errorf("held %d connections, want 1,000: %+v", l.Made, r)
	}
}

// An address that the host loses is dropped at the first dial that meets it, and comes back
// with Refresh.
func TestLabAddressVanished(t *testing.T) {
	for _, choice := range choices() {
		t.Run(choice.String(), func(t *testing.T) {
			r := inside(t, start(t),
				job{Choice: choice, Sources: sources()[:2],
					Wait:   10 * time.Millisecond,
					Dial:   []leg{{to(1), 100}, {to(1), 100}, {to(1), 100}},
					Remove: "10.1.0.2/32", Restore: true})
			// after Refresh the emptier one gets all until they are even
			for i, n := range []int{50, 0, 100} {
				got := r.Legs[i].From["10.1.0.2"]
				if r.Legs[i].Made != 100 || got < n-15 || got > n+1 {
					t.Errorf("leg %d: %d of %d connections from the "+
						"address, want %d of 100: %s", i, got,
						r.Legs[i].Made, n, r.Legs[i].Err)
				}
			}
		})
	}
}

// An address that comes back is found again a second later, without Refresh.
func TestLabAddressReturns(t *testing.T) {
	r := inside(t, start(t), job{
		Sources: sources()[1:2],
		Dial:    []leg{{to(1), 10}, {to(1), 1}, {to(1), 10}},
		Remove:  "10.1.0.2/32",
		Return:  true,
	})
	if !r.Legs[1].NoSource || r.Legs[2].Made != 10 || r.Stats.Sources[0].Gone {
		t.Errorf("%+v", r)
	}
}

// A range that is widened while dials wait for a port is used by them.
func TestLabRangeIsWidened(t *testing.T) {
	for _, choice := range choices() {
		t.Run(choice.String(), func(t *testing.T) {
			r := inside(t, start(t),
				job{Choice: choice, Sources: sources()[:1], Wait: time.Minute,
					Dial:  []leg{{to(1), 1000}, {to(1), 200}},
					Widen: "20000 21999"})
			if r.Legs[0].Made != 1000 || r.Legs[1].Made != 200 ||
				r.Stats.Exhausted != 0 {
				t.Errorf("%+v", r.Legs)
			}
		})
	}
}

func TestLabAllAddressesVanished(t *testing.T) {
	r := inside(t, start(t), job{Sources: sources()[1:2], Dial: []leg{{to(1), 1}, {to(1), 1}},
		Remove: "10.1.0.2/32"})
	if l := r.Legs[1]; l.Made != 0 || !l.NoSource || !l.NotAvail || l.Exhausted ||
		!strings.Contains(l.Err, "Refresh") {
		t.Errorf("after the only address was lost: %+v", l)
	}
	if s := r.Stats.Sources; len(s) != 1 || !s[0].Gone {
		t.Errorf("stats %+v", s)
	}
}

func TestLabDevicePool(t *testing.T) {
	r := inside(t, start(t), job{Device: "lo", Dial: []leg{{to(1), 800}}})
	if l := r.Legs[0]; l.Made != 800 || len(l.From) != 8 || l.From["127.0.0.1"] < 50 {
		t.Errorf("the 8 addresses of lo: %+v", l)
	}
}

// Programs that bind a port plainly take it from everybody.
func TestLabPoisonedPorts(t *testing.T) {
	var hundred, all []netip.AddrPort
	for i := range 1000 {
		p := netip.AddrPortFrom(sources()[0], uint16(20000+i))
		all = append(all, p)
		if i < 100 {
			hundred = append(hundred, p)
		}
	}
	j := job{
		Sources: sources(),
		Wait:    10 * time.Millisecond,
		Bind:    hundred,
		Dial:    []leg{{to(1), 4001}},
	}
	if r := inside(t, start(t), j); r.Legs[0].Made != 3600 || !r.Legs[0].Exhausted {
		t.Errorf("with 100 ports bound by others %d connections, want 4 x 900: %s",
			r.Legs[0].Made, r.Legs[0].Err)
	}
	j = job{
		Choice:  dial.ExplicitPort,
		Sources: sources(),
		Wait:    10 * time.Millisecond,
		Bind:    all,
		Dial:    []leg{{to(1), 100}},
	}
	r := inside(t, start(t), j)
	if l := r.Legs[0]; l.Made != 100 || l.From["10.1.0.1"] != 0 {
		t.Errorf("with all ports of one address bound by others: %+v", l)
	}
	if s := r.Stats.Sources[0]; s.InUse == 0 || s.Gone || r.Stats.Rotated == 0 {
		t.Errorf("EADDRINUSE was not counted: %+v", r.Stats)
	}
}

// Reserved ports are nobody's.
func TestLabReservedPorts(t *testing.T) {
	l := start(t)
	if err := l.Set("net.ipv4.ip_local_reserved_ports", "20000-20899"); err != nil {
		t.Fatal(err)
	}
	for _, choice := range choices() {
		r := inside(t, l, job{
			Choice:  choice,
			Sources: sources()[:1],
			Wait:    time.Millisecond,
			Dial:    []leg{{to(1), 101}},
		})
		if r.Legs[0].Made != 100 || !r.Legs[0].Exhausted {
			t.Errorf("%v: %d connections, want the 100 ports that are not reserved: %s",
				choice, r.Legs[0].Made, r.Legs[0].Err)
		}
	}
	if err := l.Set("net.ipv4.ip_local_reserved_ports", "20000-20999"); err != nil {
		t.Fatal(err)
	}
	r := inside(t, l, job{Sources: sources(), Dial: []leg{{to(1), 1}}})
	if e := r.Legs[0].Err; !strings.Contains(e, "ip_local_reserved_ports has them all") {
		t.Error("with every port reserved:", e)
	}
}

// Odd ranges, and ranges that no window divides: every port is used. Where the kernel has
// no windows it may leave out one port of an odd range for each source; of three ports it
// always does before 6.8, windows or not (__inet_hash_connect).
func TestLabOddRanges(t *testing.T) {
	for _, ends := range [][2]uint16{{20000, 20000}, {20001, 20003}, {20000, 20512},
		{20479, 20480}, {20005, 21031}} {
		r := dial.PortRange{Low: ends[0], High: ends[1]}
		l := start(t)
		if err := l.Set("net.ipv4.ip_local_port_range",
			fmt.Sprintf("%d %d", r.Low, r.High)); err != nil {
			t.Fatal(err)
		}
		out := inside(t, l, job{Sources: sources()[:2], Wait: time.Millisecond,
			Dial: []leg{{to(1), 3000}}})
		want, made := 2*size(r), out.Legs[0].Made
		if made > want || made < want &&
			(out.Stats.Choice == "window" && size(r) > 3 || size(r)%2 == 0 ||
				made < want-2) {
			t.Errorf("%v: %d connections, want %d (%s)", r, made, want,
				out.Stats.Choice)
		}
	}
}

func size(r dial.PortRange) int { return int(r.High) - int(r.Low) + 1 }

// connect() says EADDRNOTAVAIL also when the host has no address of the family: that is no
// lack of ports.
func TestLabNoAddressOfTheFamily(t *testing.T) {
	l := start(t)
	if err := l.Set("net.ipv6.conf.all.disable_ipv6", "1"); err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	six := netip.AddrPortFrom(netip.IPv6Loopback(), 9000)
	r := inside(t, l, job{NoServer: true, Dial: []leg{{six, 1}}})
	if e := r.Legs[0]; !e.NoSource || !e.NotAvail || e.Exhausted || r.Stats.Rotated != 0 {
		t.Errorf("error %+v", e)
	}
	r = inside(t, l, job{NoServer: true, Plain: true, Dial: []leg{{six, 1}}})
	if e := r.Legs[0]; !e.NotAvail {
		t.Errorf("net.Dialer's error %+v", e)
	}
}
