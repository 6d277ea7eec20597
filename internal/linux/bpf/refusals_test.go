//go:build linux

package bpf_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/labtest"
	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// trial is a lab whose refusals are counted.
type trial struct {
	*testing.T
	*lab.Lab
	refusals *bpf.Refusals
}

func newTrial(t *testing.T, o bpf.RefusalOptions) trial {
	l := labtest.Start(t)
	id, err := netns.Identify(netns.Path(l.NetNS()))
	if err != nil {
		t.Fatal(err)
	}
	o.NetNS = uint32(id.Inode)
	r, err := bpf.NewRefusals(o)
	if err != nil {
		skip(t, err)
	}
	t.Cleanup(r.Close)
	for _, m := range r.Missing {
		t.Error(m)
	}
	return trial{t, l, r}
}

func (t trial) must(err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (t trial) spawn(name string) *lab.Actor {
	t.Helper()
	a, err := t.Spawn(name)
	t.must(err)
	return a
}

func (t trial) listen(a *lab.Actor, at string, backlog int) (lab.Group, netip.AddrPort) {
	t.Helper()
	g, addr, err := a.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort(at),
		Backlog: backlog})
	t.must(err)
	return g, addr
}

func (t trial) connect(a *lab.Actor, spec lab.ConnectSpec) lab.Opened {
	t.Helper()
	o, err := a.Connect(spec)
	t.must(err)
	return o
}

// read is what was counted since the last time.
func (t trial) read() (all []bpf.Refusal) {
	t.Helper()
	t.must(t.refusals.Read(func(r bpf.Refusal) { all = append(all, r) }))
	return all
}

// A range that is used up towards one destination: each EADDRNOTAVAIL that the caller got is
// counted once, with its process and where it wanted to go. Before, there is none.
func TestNoPort(t *testing.T) {
	for _, at := range []string{"127.0.0.1:7001", "[::1]:7001"} {
		x := newTrial(t, bpf.RefusalOptions{})
		x.must(x.Set("net.ipv4.ip_local_port_range", "40000 40009"))
		server, client := x.spawn("server"), x.spawn("cl\nient")
		_, addr := x.listen(server, at, 64)
		if o := x.connect(client, lab.ConnectSpec{To: addr, N: 10}); o.Count != 10 {
			t.Fatal(o)
		}
		if early := x.read(); len(early) > 0 {
			t.Errorf("%s: before: %+v", at, early)
		}
		o := x.connect(client, lab.ConnectSpec{To: addr, N: 7})
		refused := o.Errors["EADDRNOTAVAIL"]
		have := x.read()
		if len(have) != 1 || refused != 7 {
			t.Fatalf("%s: %d refused: %+v", at, refused, have)
		}
		r := have[0]
		if r.Kind != bpf.NoPort || r.Count != 7 || r.PID != uint32(client.PID()) ||
			r.Comm != "cl\nient" || r.Destination != addr ||
			r.Source.Addr() != addr.Addr() {
			t.Errorf("%s: %+v", at, r)
		}
		if again := x.read(); len(again) > 0 {
			t.Errorf("%s: told twice: %+v", at, again)
		}
	}
}

// A bound port that has a connection to the destination already.
func TestPortTaken(t *testing.T) {
	x := newTrial(t, bpf.RefusalOptions{})
	server, client := x.spawn("server"), x.spawn("client")
	_, addr := x.listen(server, "127.0.0.1:7001", 64)
	from := netip.MustParseAddrPort("127.0.0.1:45000")
	spec := lab.ConnectSpec{To: addr, N: 2, From: from, ReuseAddr: true}
	o := x.connect(client, spec)
	have := x.read()
	if o.Errors["EADDRNOTAVAIL"] != 1 || len(have) != 1 {
		t.Fatalf("%+v: %+v", o, have)
	}
	if r := have[0]; r.Kind != bpf.PortTaken || r.Count != 1 || r.Source != from ||
		r.Destination != addr || r.PID != uint32(client.PID()) {
		t.Errorf("%+v", r)
	}
}

// await reads until a condition holds of all that was read; the test's own deadline bounds it.
func (t trial) await(what string, done func([]bpf.Refusal) bool) (all []bpf.Refusal) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all = append(all, t.read()...)
		if done(all) {
			return all
		}
		if time.Now().After(end) {
			t.Fatalf("no %s: %+v", what, all)
		}
	}
}

// sum is how many of a kind there were, and the last of them.
func sum(all []bpf.Refusal, k bpf.Kind) (n uint64, last bpf.Refusal) {
	for _, r := range all {
		if r.Kind == k {
			n, last = n+r.Count, r
		}
	}
	return n, last
}

// What a peer refuses, what times out, is closed while it connects, or disconnected, is no lack of
// ports.
func TestOtherEndsOfConnect(t *testing.T) {
	x := newTrial(t, bpf.RefusalOptions{})
	x.must(x.Set("net.ipv4.tcp_syn_retries", "1"))
	client, server := x.spawn("client"), x.spawn("server")
	nobody := netip.MustParseAddrPort("127.0.0.1:7009")
	o := x.connect(client, lab.ConnectSpec{To: nobody, N: 3})
	if o.Errors["ECONNREFUSED"] != 3 {
		t.Fatal(o)
	}
	have := x.read()
	if len(have) != 1 || have[0].Kind != bpf.ConnectError || have[0].Count != 3 ||
		have[0].Errno != syscall.ECONNREFUSED || have[0].PID != uint32(client.PID()) ||
		have[0].Destination != nobody {
		t.Errorf("%+v", have)
	}
	// SYNs to a full accept queue get no answer.
	_, full := x.listen(server, "127.0.0.1:7002", 0)
	x.connect(client, lab.ConnectSpec{To: full})
	o = x.connect(client, lab.ConnectSpec{To: full, N: 4, NonBlocking: true})
	_, err := client.Close(o.Group, lab.CloseSpec{N: 2})
	x.must(err)
	x.must(netns.Do(netns.Path(x.NetNS()), func() error { return disconnect(full) }))
	have = x.await("timeout", func(all []bpf.Refusal) bool {
		n, _ := sum(all, bpf.ConnectError)
		return n == 2
	})
	n, r := sum(have, bpf.ConnectRepeat)
	if n < 2 || r.PID != uint32(client.PID()) || r.Destination != full {
		t.Errorf("%d repeated: %+v", n, have)
	}
	if _, r := sum(have, bpf.ConnectError); r.Errno != syscall.ETIMEDOUT ||
		r.PID != uint32(client.PID()) || r.Comm != "client" {
		t.Errorf("%+v", r)
	}
	for _, k := range []bpf.Kind{bpf.NoPort, bpf.PortTaken} {
		if n, r := sum(have, k); n > 0 {
			t.Errorf("%+v", r)
		}
	}
}

// disconnect begins to connect and gives it up by connect() to AF_UNSPEC.
func disconnect(to netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	if err != unix.EINPROGRESS {
		return err
	}
	var unspecified [16]byte
	if _, _, errno := unix.Syscall(unix.SYS_CONNECT, uintptr(fd),
		uintptr(unsafe.Pointer(&unspecified)), 16); errno != 0 {
		return errno
	}
	return nil
}

// overflows is the kernel's counter of the lab.
func (t trial) overflows() (n uint64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/netstat", t.PID()))
	t.must(err)
	t.must(procfs.ParseCounters(text, func(_, name, value string) {
		if name == "ListenOverflows" {
			n, err = strconv.ParseUint(value, 10, 64)
			t.must(err)
		}
	}))
	return n
}

// The end of a handshake meets a full accept queue: as often as the kernel counts, of the listener
// and with the client. A listener that waits for data lets handshakes of others end in between.
func TestAcceptQueueAtTheFinalACK(t *testing.T) {
	for _, at := range []string{"127.0.0.1:7001", "[::1]:7001"} {
		x := newTrial(t, bpf.RefusalOptions{})
		server, client := x.spawn("server"), x.spawn("client")
		listener, addr, err := server.Listen(lab.ListenSpec{Backlog: 64, Defer: 30,
			Addr: netip.MustParseAddrPort(at)})
		x.must(err)
		o := x.connect(client, lab.ConnectSpec{To: addr, N: 5})
		_, err = server.Relisten(listener, 1)
		x.must(err)
		if early := x.read(); o.Count != 5 || len(early) > 0 {
			t.Fatalf("%+v: %+v", o, early)
		}
		_, _, err = client.SendEach(o.Group, 1)
		x.must(err)
		least := x.overflows()
		have := x.await("overflow", func(all []bpf.Refusal) bool {
			n, _ := sum(all, bpf.AcceptQueue)
			return n >= 3
		})
		n, r := sum(have, bpf.AcceptQueue)
		if most := x.overflows(); n < least || n > most || least < 3 {
			t.Errorf("%s: %d events, the kernel counts %d to %d", at, n, least, most)
		}
		if r.Source != addr || r.Queue != 2 || r.Most != 1 || r.Inode == 0 ||
			r.Client.Addr() != addr.Addr() || !slices.Contains(o.Local, r.Client) {
			t.Errorf("%s: %+v, clients %v", at, r, o.Local)
		}
		if held := holders(t, r.NetNS, r.Inode); !slices.Contains(held,
			uint32(server.PID())) {
			t.Errorf("%s: held by %v, not by %d", at, held, server.PID())
		}
	}
}

// holders are the processes that hold a socket.
func holders(t *testing.T, netns, inode uint32) (pids []uint32) {
	t.Helper()
	if err := owners(t, netns).Each(func(h bpf.Held) {
		if h.Inode == inode {
			pids = append(pids, h.PID)
		}
	}, func(bpf.Table) {}); err != nil {
		t.Fatal(err)
	}
	return pids
}

// Clients that get no SYN-ACK, and segments that are dropped for a reason that was asked for.
func TestSynacksAndReasons(t *testing.T) {
	x := newTrial(t, bpf.RefusalOptions{Reasons: []string{"NO_SOCKET", "NO_SUCH_REASON"}})
	server, client := x.spawn("server"), x.spawn("client")
	nobody := netip.MustParseAddrPort("127.0.0.1:7009")
	x.connect(client, lab.ConnectSpec{To: nobody, N: 3})
	have := x.read()
	if n, r := sum(have, bpf.Dropped); n != 3 || r.Reason != "NO_SOCKET" ||
		r.Destination != nobody {
		t.Errorf("%d dropped: %+v", n, have)
	}
	_, addr := x.listen(server, "127.0.0.1:7001", 5)
	if _, err := client.RawSYN(lab.SYNSpec{To: addr, N: 3}); err != nil {
		t.Skip("no raw sockets: ", err)
	}
	have = x.await("SYN-ACK repeated", func(all []bpf.Refusal) bool {
		n, _ := sum(all, bpf.SynackRepeat)
		return n >= 3
	})
	if _, r := sum(have, bpf.SynackRepeat); r.Source != addr || r.Inode == 0 ||
		!netip.MustParsePrefix("198.18.0.0/15").Contains(r.Client.Addr()) {
		t.Errorf("%+v", r)
	}
}

// A process without descriptors, only where that was asked for.
func TestNoFile(t *testing.T) {
	for _, asked := range []bool{true, false} {
		x := newTrial(t, bpf.RefusalOptions{Files: asked})
		client := x.spawn("client")
		x.must(client.Limit(20))
		o, err := client.FillFiles()
		x.must(err)
		refused := uint64(o.Errors["EMFILE"])
		n, r := sum(x.read(), bpf.NoFile)
		if asked && (n < refused || refused == 0 || r.PID != uint32(client.PID()) ||
			r.Errno != syscall.EMFILE || r.Comm != "client") || !asked && n != 0 {
			t.Errorf("asked %v, %d refused: %d %+v", asked, refused, n, r)
		}
	}
}

// The totals are the sum of what was told, and nothing was lost.
func TestTotals(t *testing.T) {
	x := newTrial(t, bpf.RefusalOptions{})
	client := x.spawn("client")
	for port := range uint16(40) {
		to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 7100+port)
		x.connect(client, lab.ConnectSpec{To: to, N: 5})
	}
	n, _ := sum(x.read(), bpf.ConnectError)
	all, err := x.refusals.Totals()
	x.must(err)
	if want := (bpf.Total{Counted: 200}); n != 200 || all[bpf.ConnectError] != want {
		t.Errorf("%d told, %+v", n, all)
	}
}
