//go:build linux

package lab

import (
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"
)

func TestRelistenAndBorrow(t *testing.T) {
	l := start(t)
	set(t, l, "net.core.somaxconn", "40")
	server, other := spawn(t, l, "server"), spawn(t, l, "other")
	g, _, err := server.Listen(ListenSpec{Addr: netip.MustParseAddrPort("127.0.0.1:0"),
		Backlog: 3})
	if err != nil {
		t.Fatal(err)
	}
	if q := must(server.Relisten(g, 9))(t); q.Limit != 9 {
		t.Errorf("listen() again gives %+v, want a limit of 9", q)
	}
	copied, err := other.Borrow(server, g)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if q := must(other.Relisten(copied, 1000))(t); q.Limit != 40 {
		t.Errorf("listen() on the copy gives %+v, want somaxconn", q)
	}
	if q := must(server.Queue(g))(t); q.Limit != 40 {
		t.Errorf("the owner sees %+v, want 40", q)
	}
	if _, err := other.Borrow(server, g+99); err == nil {
		t.Error("a group that is not there was copied")
	}
}

func TestPrlimit(t *testing.T) {
	l := start(t)
	a := spawn(t, l, "server")
	_, hard, err := a.Files()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Prlimit(a, 100, hard); err != nil {
		t.Fatal(err)
	}
	if soft, _, _ := a.Files(); soft != 100 {
		t.Errorf("soft limit %d, want 100", soft)
	}
	if out := must(a.FillFiles())(t); out.Errors["EMFILE"] != 1 || out.Count < 80 {
		t.Errorf("filled %+v", out)
	}
}

func TestWatch(t *testing.T) {
	a := spawn(t, start(t), "server")
	if out := must(a.Watch(20))(t); out.Count != 20 || len(out.Errors) > 0 {
		t.Errorf("watched %+v", out)
	}
	g := must(a.Bind(BindSpec{Addr: netip.MustParseAddrPort("127.0.0.1:0"), N: 3}))(t)
	if err := a.WatchGroup(g.Group); err != nil {
		t.Error(err)
	}
}

func TestMemoryOfQueuedData(t *testing.T) {
	l := start(t)
	server, client := spawn(t, l, "server"), spawn(t, l, "client")
	_, addr, err := server.Listen(ListenSpec{Addr: netip.MustParseAddrPort("127.0.0.1:0"),
		Backlog: 8})
	if err != nil {
		t.Fatal(err)
	}
	g := must(client.Connect(ConnectSpec{To: addr, N: 2}))(t).Group
	idle := must(client.Memory(g))(t)
	if idle.Received+idle.Queued != 0 {
		t.Errorf("idle connections have %+v", idle)
	}
	if n, errs, err := client.SendEach(g, 1<<22); n == 0 || len(errs) > 0 || err != nil {
		t.Errorf("sent %d, %v, %v", n, errs, err)
	}
	if m := must(client.Memory(g))(t); m.Total() <= idle.Total() {
		t.Errorf("with data queued they have %+v", m)
	}
	if _, err := client.Send(g+99, 1); err == nil {
		t.Error("sent to a group that is not there")
	}
}

func TestDatagramsWaitInTheQueue(t *testing.T) {
	l, peer := wired(t, Plug{TxQueueLen: 5})
	server, client := spawn(t, peer, "server"), spawn(t, l, "client")
	_, addr, err := server.Listen(ListenSpec{Addr: netip.MustParseAddrPort("10.9.0.2:80"),
		Backlog: 8})
	if err != nil {
		t.Fatal(err)
	}
	must(client.Connect(ConnectSpec{To: addr}))(t)
	if n := must(client.SendDatagrams(DatagramSpec{To: netip.MustParseAddrPort("10.9.0.2:9"),
		N: 10, Size: 100}))(t); n != 10 {
		t.Errorf("sent %d, want 10", n)
	}
}

func TestFillTasks(t *testing.T) {
	a := spawn(t, start(t), "maker")
	if out := must(a.FillTasks(TaskSpec{N: 5}))(t); out.Count != 6 || out.Errno != "" {
		t.Errorf("made %+v, want 5 and their maker", out)
	}
	if os.Getuid() != 0 {
		t.Skip("only root takes another user")
	}
	out, err := a.FillTasks(TaskSpec{N: 30, UID: 1<<31 - 78, Limit: 10})
	if errors.Is(err, syscall.EINVAL) {
		t.Skipf("the lab is in a user namespace: %v", err)
	}
	if err != nil || out.Count != 10 || out.Errno != "EAGAIN" {
		t.Errorf("made %+v (%v), want 10 and EAGAIN", out, err)
	}
}
