//go:build linux

package route

import (
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { nstest.Main(m) }

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func network(text string) *net.IPNet {
	_, n, err := net.ParseCIDR(text)
	if err != nil {
		panic(err)
	}
	return n
}

// build makes a device with addresses, and a network that is routed as local.
func build(t *testing.T) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	try(t, err)
	try(t, netlink.LinkSetUp(lo))
	dev := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "dev"}, PeerName: "peer"}
	try(t, netlink.LinkAdd(dev))
	try(t, netlink.LinkSetUp(dev))
	for a, l := range map[string]netlink.Link{"10.0.0.5/24": dev, "fd00::5/128": lo} {
		addr, err := netlink.ParseAddr(a)
		try(t, err)
		try(t, netlink.AddrAdd(l, addr))
	}
	try(t, netlink.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index,
		Table: unix.RT_TABLE_LOCAL,
		Type:  unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST, Dst: network("198.51.100.0/24")}))
	// An IPv6 address counts when a work queue has come to it (net/ipv6/addrconf.c
	// addrconf_dad_work).
	end := time.Now().Add(10 * time.Second)
	for !isLocal("fd00::5") && time.Now().Before(end) {
		time.Sleep(time.Millisecond)
	}
}

func isLocal(address string) bool {
	found, err := netlink.RouteGet(net.ParseIP(address))
	return err == nil && len(found) == 1 && found[0].Type == unix.RTN_LOCAL
}

func TestLocal(t *testing.T) {
	nstest.Run(t, func() {
		build(t)
		rows, err := Local()
		try(t, err)
		for _, want := range []Row{
			{netip.MustParsePrefix("127.0.0.0/8"), false, "lo"},
			{netip.MustParsePrefix("10.0.0.5/32"), false, "dev"},
			{netip.MustParsePrefix("10.0.0.255/32"), true, "dev"},
			{netip.MustParsePrefix("198.51.100.0/24"), false, "lo"},
			{netip.MustParsePrefix("::1/128"), false, "lo"},
			{netip.MustParsePrefix("fd00::5/128"), false, "lo"},
		} {
			if !slices.Contains(rows, want) {
				t.Errorf("no %+v in %+v", want, rows)
			}
		}
	})
}

// A rule before that of the table "local" sends an own address elsewhere.
func TestStays(t *testing.T) {
	nstest.Run(t, func() {
		build(t)
		for a, want := range map[string]bool{
			"127.0.0.1": true, "10.0.0.5": true, "198.51.100.7": true, "::1": true,
			"fd00::5":  true,
			"10.0.0.6": false, "10.0.0.255": false, "192.0.2.1": false,
			"fd00::6": false,
		} {
			if got, err := Stays(netip.MustParseAddr(a), netip.Addr{}); err != nil ||
				got != want {
				t.Errorf("%s stays: %v, %v", a, got, err)
			}
		}
		dev, err := netlink.LinkByName("dev")
		try(t, err)
		try(t, netlink.RouteAdd(&netlink.Route{LinkIndex: dev.Attrs().Index, Table: 100,
			Dst: network("198.51.100.7/32")}))
		local := netlink.NewRule()
		local.Priority, local.Table, local.Family = 200, unix.RT_TABLE_LOCAL,
			netlink.FAMILY_V4
		try(t, netlink.RuleAdd(local))
		early := netlink.NewRule()
		early.Priority, early.Table, early.Family = 100, 100, netlink.FAMILY_V4
		try(t, netlink.RuleAdd(early))
		ofSource := netlink.NewRule()
		ofSource.Priority, ofSource.Table, ofSource.Family = 101, 101, netlink.FAMILY_V4
		ofSource.Src = network("10.0.0.5/32")
		try(t, netlink.RuleAdd(ofSource))
		try(t, netlink.RouteAdd(&netlink.Route{LinkIndex: dev.Attrs().Index, Table: 101,
			Dst: network("198.51.100.9/32")}))
		first := netlink.NewRule()
		first.Priority, first.Table, first.Family = 0, unix.RT_TABLE_LOCAL,
			netlink.FAMILY_V4
		try(t, netlink.RuleDel(first))
		for a, want := range map[string]bool{"198.51.100.7": false, "198.51.100.8": true} {
			if got, err := Stays(netip.MustParseAddr(a), netip.Addr{}); err != nil ||
				got != want {
				t.Errorf("with a rule, %s stays: %v, %v", a, got, err)
			}
		}
		to := netip.MustParseAddr("198.51.100.9")
		for from, want := range map[string]bool{"10.0.0.5": false, "198.51.100.1": true} {
			if got, err := Stays(to, netip.MustParseAddr(from)); err != nil ||
				got != want {
				t.Errorf("with a rule, from %s it stays: %v, %v", from, got, err)
			}
		}
	})
}
