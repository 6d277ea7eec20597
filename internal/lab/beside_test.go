//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/maxconn/maxconn/internal/linux/netns"
)

// wired is two labs joined by a cable: 10.9.0.1 on "left", 10.9.0.2 on "right".
func wired(t *testing.T, here Plug) (*Lab, *Lab) {
	t.Helper()
	l := start(t)
	peer := must(l.Beside(t.Context()))(t)
	here.Device, here.Addresses = "left", []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")}
	there := Plug{
		Device:     "right",
		Addresses:  []netip.Prefix{netip.MustParsePrefix("10.9.0.2/24")},
		TxQueueLen: 7,
	}
	if err := l.Wire(peer, Cable{here, there}); err != nil {
		t.Fatal(err)
	}
	return l, peer
}

func TestWire(t *testing.T) {
	l, peer := wired(t, Plug{TxQueueLen: 5})
	if identity(t, l) == identity(t, peer) {
		t.Fatal("both labs are one namespace")
	}
	set(t, peer, "net.core.somaxconn", "9")
	if v := must(l.Value("net.core.somaxconn"))(t); v == "9" {
		t.Error("a setting of the one is felt in the other")
	}
	client, server := spawn(t, l, "client"), spawn(t, peer, "server")
	_, addr, err := server.Listen(ListenSpec{Addr: netip.MustParseAddrPort("10.9.0.2:80"),
		Backlog: 8})
	if err != nil {
		t.Fatal(err)
	}
	out := must(client.Connect(ConnectSpec{To: addr, N: 3}))(t)
	if out.Count != 3 || out.Local[0].Addr() != netip.MustParseAddr("10.9.0.1") {
		t.Errorf("connected %+v", out)
	}
	for lab, want := range map[*Lab]string{l: "txqueuelen=5", peer: "txqueuelen=7"} {
		s := must(lab.Observe())(t)
		if !strings.Contains(string(s.Text()), want) {
			t.Errorf("no %s in the snapshot", want)
		}
	}
}

func TestQdisc(t *testing.T) {
	l, _ := wired(t, Plug{TxQueueLen: 5})
	if err := l.Qdisc("left", "pfifo", 1000); err != nil {
		t.Fatal(err)
	}
	if s := must(l.Observe())(t); !strings.Contains(string(s.Text()),
		"kind=pfifo link=left limit=5") {
		t.Error("no pfifo of txqueuelen packets")
	}
	if err := l.Qdisc("left", "nothing", 0); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("an unknown qdisc = %v, want ENOENT", err)
	}
	if err := l.MTU("left", 1000); err != nil {
		t.Error(err)
	}
	if err := l.TxQueueLen("left", 11); err != nil {
		t.Error(err)
	}
}

func TestRouteThroughGateway(t *testing.T) {
	l, peer := wired(t, Plug{})
	far := netip.MustParsePrefix("10.20.0.1/32")
	if err := errors.Join(l.Route(far, netip.MustParseAddr("10.9.0.2")),
		peer.AddAddress("lo", far)); err != nil {
		t.Fatal(err)
	}
	server := spawn(t, peer, "server")
	_, addr, err := server.Listen(ListenSpec{Addr: netip.AddrPortFrom(far.Addr(), 80),
		Backlog: 8})
	if err != nil {
		t.Fatal(err)
	}
	if out := must(spawn(t, l, "client").Connect(ConnectSpec{To: addr}))(t); out.Count != 1 {
		t.Errorf("connected %+v", out)
	}
}

func TestBesideEnds(t *testing.T) {
	l := start(t)
	peer, other := must(l.Beside(t.Context()))(t), must(l.Beside(t.Context()))(t)
	a := spawn(t, peer, "actor")
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	if inhabited(t, must(netns.Self())(t)) && alive(a.PID()) || alive(peer.PID()) {
		t.Error("a worker of a closed lab still runs")
	}
	if err := l.Close(); err != nil || alive(other.PID()) {
		t.Errorf("closed the first lab: %v; the other lives: %v", err, alive(other.PID()))
	}
	if err := other.Close(); err != nil {
		t.Errorf("closing it again: %v", err)
	}
	if _, err := l.Beside(context.Background()); err == nil {
		t.Error("a closed lab has a lab beside it")
	}
}

func TestContextEndsLabBeside(t *testing.T) {
	l := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	peer := must(l.Beside(ctx))(t)
	cancel()
	await(t, "the lab beside is gone", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", peer.PID()))
		return err != nil
	})
}
