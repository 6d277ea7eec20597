package apply

import (
	"net/netip"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/plan"
)

// Local ports count once each, however many destinations share one, and those of incoming
// connections do not count.
func TestInUseOfSysctls(t *testing.T) {
	l := newScene(t)
	for _, set := range [][2]string{{"net.ipv4.ip_local_port_range", "30000 30099"},
		{"net.ipv4.ip_local_reserved_ports", "30050"}} {
		if err := l.Set(set[0], set[1]); err != nil {
			t.Fatal(err)
		}
	}
	ports := map[uint16]bool{}
	for _, port := range []uint16{30050, 8081} { // the first lies inside the range
		_, to, err := l.server.Listen(
			lab.ListenSpec{Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"),
				port), Backlog: 60})
		if err != nil {
			t.Fatal(err)
		}
		got, err := l.server.Connect(lab.ConnectSpec{To: to, N: 40})
		if err != nil || got.Count != 40 {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, local := range got.Local {
			ports[local.Port()] = true
		}
	}
	if err := netns.Do(netns.Path(l.NetNS()), func() error { return nil }); err != nil {
		nstest.Unavailable(t, err) // an ordinary user's lab is not entered from outside
	}
	held, err := netns.Hold(netns.Path(l.NetNS()))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	s := NewSystem(held).Usage()
	if n, of, err := s.InUse(sysctl(portRange)); n != int64(len(ports)) || of == "" ||
		err != nil {
		t.Errorf("%d %s, %v, want %d", n, of, err, len(ports))
	}
	for _, name := range []string{"net.ipv4.tcp_mem", "net.ipv4.tcp_max_orphans",
		"net.ipv4.tcp_max_tw_buckets", "fs.file-max", "kernel.threads-max",
		"kernel.pid_max"} {
		if n, of, err := s.InUse(sysctl(name)); n < 0 || of == "" || err != nil {
			t.Errorf("%s: %d %s, %v", name, n, of, err)
		}
	}
	if n, of, err := s.InUse(plan.Target{Kind: host.SysctlKind,
		Name: "net.core.somaxconn"}); n != 0 || of != "" || err != nil {
		t.Errorf("somaxconn: %d %s, %v", n, of, err)
	}
}
