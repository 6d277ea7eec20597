package observe

import (
	"net/netip"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func listenOn(addr string, inode uint32, more func(*sockdiag.Socket)) listener {
	s := &sockdiag.Socket{Source: at(addr), State: sockdiag.Listen, Family: 2, Inode: inode}
	if s.Source.Addr().Is6() {
		s.Family, s.HasV6Only = familyInet6, true
	}
	if more != nil {
		more(s)
	}
	return newListener(s)
}

func v6only(s *sockdiag.Socket) { s.V6Only = true }

func TestListenerOfAConnection(t *testing.T) {
	l := newListening([]listener{
		// another address of port 80, on which nothing else follows
		listenOn("10.0.0.1:80", 1, v6only),
		listenOn("[::]:80", 2, v6only),
		listenOn("0.0.0.0:443", 3, nil),
		listenOn("127.0.0.1:443", 4, nil),
		listenOn("[::]:8080", 5, nil),
		listenOn("[fd00::1]:8080", 6, nil),
		listenOn("[::]:9090", 7, nil),
		listenOn("0.0.0.0:9090", 8, nil),
	})
	for local, want := range map[string]string{
		"10.0.0.1:80":     "10.0.0.1:80",
		"10.0.0.2:80":     "", // [::]:80 takes IPv6 only
		"[fd00::2]:80":    "[::]:80",
		"10.0.0.1:443":    "0.0.0.0:443",
		"127.0.0.1:443":   "127.0.0.1:443",
		"[::1]:443":       "",
		"10.0.0.1:8080":   "[::]:8080", // dual stack
		"[fd00::1]:8080":  "[fd00::1]:8080",
		"[fd00::2]:8080":  "[::]:8080",
		"10.0.0.1:9090":   "0.0.0.0:9090", // IPv4's own goes before dual stack
		"[::1]:9090":      "[::]:9090",
		"10.0.0.1:40000":  "",
		"[fd00::1]:40000": "",
	} {
		got := ""
		if g := l.of(at(local)); g != nil {
			got = g.local.String()
		}
		if got != want {
			t.Errorf("%s belongs to %q, want %q", local, got, want)
		}
	}
}

func TestMembersOfAGroup(t *testing.T) {
	l := newListening([]listener{
		listenOn("0.0.0.0:80", 30, nil), listenOn("0.0.0.0:80", 10, nil),
		listenOn("0.0.0.0:80", 20, nil), listenOn("0.0.0.0:81", 5, nil),
	})
	if len(l.groups) != 2 {
		t.Fatalf("%d groups", len(l.groups))
	}
	for i, want := range []string{"0.0.0.0:80", "0.0.0.0:80~2", "0.0.0.0:80~3"} {
		if got := l.groups[0].name(i); got != want ||
			l.groups[0].members[i].inode != uint32(10*(i+1)) {
			t.Errorf("member %d is %s, inode %d", i, got, l.groups[0].members[i].inode)
		}
	}
}

func TestFullestAreLookedInto(t *testing.T) {
	queue := func(n, limit uint32) func(*sockdiag.Socket) {
		return func(s *sockdiag.Socket) { s.ReceiveQueue, s.SendQueue = n, limit }
	}
	l := newListening([]listener{
		listenOn("0.0.0.0:1", 1, queue(5, 4096)), listenOn("0.0.0.0:2", 2, queue(0, 5)),
		listenOn("0.0.0.0:3", 3, queue(6, 5)), listenOn("0.0.0.0:4", 4, queue(2, 5)),
	})
	if left := l.fullest(2); left != 1 {
		t.Errorf("%d groups left", left)
	}
	for i, want := range []bool{false, false, true, true} {
		if l.groups[i].wantsAges != want {
			t.Errorf("%s: %v", l.groups[i].local, l.groups[i].wantsAges)
		}
	}
}
