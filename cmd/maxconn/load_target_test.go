//go:build linux

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/lab"
)

// parties are a loader (the world's lab), a router that is its neighbour, and a victim behind it.
type parties struct {
	world
	router, victim *lab.Lab
}

func newParties(t *testing.T) parties {
	t.Helper()
	p := parties{world: newWorld(t)}
	for _, l := range []**lab.Lab{&p.router, &p.victim} {
		beside, err := p.lab.Beside(context.Background())
		p.must(err)
		*l = beside
	}
	net := func(text string) []netip.Prefix {
		return []netip.Prefix{netip.MustParsePrefix(text)}
	}
	p.must(p.lab.Wire(p.router, lab.Cable{
		Here: lab.Plug{Device: "out", Addresses: net("10.1.0.1/24")},
		There: lab.Plug{Device: "in",
			Addresses: append(net("10.1.0.2/24"), net("10.1.0.3/24")...)}}))
	p.must(p.router.Wire(p.victim, lab.Cable{
		Here:  lab.Plug{Device: "far", Addresses: net("10.2.0.1/24")},
		There: lab.Plug{Device: "in", Addresses: net("10.2.0.2/24")}}))
	p.must(p.router.Set("net.ipv4.ip_forward", "1"))
	for key, l := range map[string]*lab.Lab{"in": p.router, "all": p.router, "out": p.lab} {
		p.must(l.Set("net.ipv4.conf."+key+".rp_filter", "0"))
	}
	p.must(p.lab.Route(netip.MustParsePrefix("10.2.0.0/24"), netip.MustParseAddr("10.1.0.2")))
	p.must(p.victim.Route(netip.MustParsePrefix("10.1.0.0/24"),
		netip.MustParseAddr("10.2.0.1")))
	return p
}

// received is how many IPv4 packets the kernel of a namespace has got.
func (p parties) received(l *lab.Lab) int64 {
	p.Helper()
	return world{T: p.T, lab: l}.counter("snmp", "Ip.InReceives")
}

// neighbours are the hardware addresses that a namespace has learned.
func (p parties) neighbours(l *lab.Lab) string {
	p.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/arp", l.PID()))
	p.must(err)
	return string(text)
}

func (p parties) connect(args ...string) lab.Output {
	p.Helper()
	path, err := binary()
	p.must(err)
	argv := append([]string{path, "load", "connect"}, args...)
	out, err := p.lab.Run(p.Context(), nil,
		append(argv, "--for", "200ms", "--timeout", "1s")...)
	p.must(err)
	return out
}

// Nobody who did not ask for it gets a packet, whichever way leads there. With the declarations the
// same commands reach the victim, so the ways exist.
func TestLoadThirdParties(t *testing.T) {
	p := newParties(t)
	raw := func(args ...string) []string { return append(args, "--raw", "--device", "out") }
	ways := map[string]struct {
		args, declared []string
	}{
		"the own address by a router, answered to the victim": {
			raw("10.1.0.1:7000", "--gateway", "10.1.0.2", "--source", "10.2.0.2"),
			[]string{"--i-own-the-target", "--i-own-the-sources"}},
		"the own address by a router, from a loopback address": {
			raw("127.0.0.1:7000", "--gateway", "10.1.0.2", "--source", "10.2.0.2"),
			nil},
		"the victim by frames": {
			raw("10.2.0.2:80", "--gateway", "10.1.0.2", "--source", "10.1.0.9"),
			[]string{"--i-own-the-target", "--i-own-the-sources"}},
		"the victim by a mapped address": {
			[]string{"[::ffff:10.2.0.2]:80"}, []string{"--i-own-the-target"}},
		"the victim by its address": {[]string{"10.2.0.2:80"},
			[]string{"--i-own-the-target"}},
		"all of its network":       {[]string{"10.1.0.255:80"}, nil},
		"the victim by one number": {[]string{"167903234:80"}, nil},
		"the victim in octal":      {[]string{"012.2.0.2:80"}, nil},
		"from its address":         {[]string{"127.0.0.1:9", "--source", "10.2.0.2"}, nil},
	}
	for name, w := range ways {
		before := p.received(p.victim) + p.received(p.router)
		for n := range len(w.declared) + 1 {
			args := append(w.args, w.declared[:max(n-1, 0)]...)
			if out := p.connect(args...); out.Code != statusUsage {
				t.Errorf("%s: %q ended with %d: %s", name, args, out.Code,
					out.Stderr)
			}
		}
		if n := p.received(p.victim) + p.received(p.router) - before; n != 0 {
			t.Errorf("%s: router and victim got %d packets", name, n)
		}
	}
	for name, w := range ways { // after all others: these make answers that come late
		if w.declared == nil {
			continue
		}
		at := p.received(p.victim)
		out := p.connect(append(w.args, w.declared...)...)
		n := p.received(p.victim) - at
		if n == 0 || out.Code == statusUsage {
			t.Errorf("%s, declared: status %d, the victim got %d packets: %s",
				name, out.Code, n, out.Stderr)
		}
	}
}

// A live host keeps its address: sources are asked for before they are used, in a way that changes
// nobody's table, and where somebody answers nothing is sent.
func TestLoadTakesNoAddress(t *testing.T) {
	p := newParties(t)
	args := []string{"10.1.0.2:80", "--raw", "--device", "out",
		"--i-own-the-target", "--i-own-the-sources"}
	before, table := p.received(p.router), p.neighbours(p.router)
	for _, sources := range []string{"10.1.0.3", "10.1.0.9,10.1.0.3", "10.1.0.3-10.1.0.9"} {
		out := p.connect(append(args, "--source", sources)...)
		if out.Code != statusUsage ||
			!strings.Contains(string(out.Stderr), "10.1.0.3 is at ") {
			t.Errorf("%s: status %d: %s", sources, out.Code, out.Stderr)
		}
	}
	if n := p.received(p.router) - before; n != 0 {
		t.Errorf("%d packets were sent", n)
	}
	if now := p.neighbours(p.router); now != table {
		t.Errorf("the neighbour's table was\n%sand is\n%s", table, now)
	}
	out := p.connect(append(args, "--source", "10.1.0.9")...)
	n := p.received(p.router) - before
	if n == 0 || !strings.Contains(p.neighbours(p.router), "10.1.0.9 ") {
		t.Errorf("a free source: status %d, %d packets: %s", out.Code, n, out.Stderr)
	}
}

// Where another host shows during a run that it has a source, the run ends.
func TestLoadGivesAnAddressBack(t *testing.T) {
	p := newParties(t)
	path, err := binary()
	p.must(err)
	done := make(chan lab.Output, 1)
	go func() {
		out, err := p.lab.Run(p.Context(), nil, path, "load", "connect", "10.1.0.2:80",
			"--raw",
			"--device", "out", "--source", "10.1.0.9", "--i-own-the-target",
			"--i-own-the-sources",
			"--for", "1h", "--json")
		if err != nil {
			t.Error(err)
		}
		done <- out
	}()
	p.await("it sends", func() bool { return p.received(p.router) > 0 })
	p.must(p.router.AddAddress("in", netip.MustParsePrefix("10.1.0.9/24")))
	_, err = p.router.Run(p.Context(), nil, path, "load", "connect", "10.1.0.77:80",
		"--source", "10.1.0.9", "--i-own-the-target", "--for", "10ms", "--timeout", "10ms")
	p.must(err) // the question for 10.1.0.77 says who asks
	out := <-done
	if out.Code != statusBinds || !strings.Contains(string(out.Stdout),
		"has the source 10.1.0.9") {
		t.Errorf("status %d: %s%s", out.Code, out.Stdout, out.Stderr)
	}
}

// Other spellings of IPv4 addresses are no names, and are not looked up.
func TestTargetSpellings(t *testing.T) {
	for name, ok := range map[string]bool{
		"127.0.0.1": true, "[::1]": true, "[::ffff:127.0.0.1]": true, "[fe80::1%lo]": true,
		"127.1": false, "0177.0.0.1": false, "0x7f.0.0.1": false, "2130706433": false,
		"0x7f000001": false, "127.0.0.1.": false, "127.0.0.256": false, "a.1": false,
		"a.0x":      false,
		"1.2.3.4.5": false, "127.0.00.1": false,
	} {
		got, err := resolve(t.Context(), name+":"+strconv.Itoa(80))
		if (err == nil) != ok || !ok &&
			!strings.Contains(err.Error(), "four decimal numbers") {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
}
