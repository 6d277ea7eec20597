package trace_test

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/labtest"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/refusal"
	"github.com/maxconn/maxconn/internal/trace"
)

func TestMain(m *testing.M) { lab.Main(); os.Exit(m.Run()) }

// scene is a lab that is traced.
type scene struct {
	*testing.T
	*lab.Lab
}

func (s scene) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s scene) spawn(name string) *lab.Actor {
	s.Helper()
	a, err := s.Spawn(name)
	s.must(err)
	return a
}

func (s scene) listen(a *lab.Actor, at string, backlog int) (lab.Group, netip.AddrPort) {
	s.Helper()
	g, addr, err := a.Listen(lab.ListenSpec{Addr: netip.MustParseAddrPort(at),
		Backlog: backlog})
	s.must(err)
	return g, addr
}

func (s scene) connect(a *lab.Actor, spec lab.ConnectSpec) lab.Opened {
	s.Helper()
	o, err := a.Connect(spec)
	s.must(err)
	return o
}

// during traces the lab while something happens, until the lines are what is awaited.
func (s scene) during(fault func(), done func([]refusal.Line) bool) ([]refusal.Line,
	refusal.Sum) {
	s.Helper()
	id, err := netns.Identify(netns.Path(s.NetNS()))
	s.must(err)
	t := trace.Start(trace.Options{Every: 20 * time.Millisecond, Spaces: []trace.Space{{
		Path: netns.Path(s.NetNS()), Name: "lab", Inode: uint32(id.Inode)}}})
	defer t.Close()
	if missing := t.Missing(); len(missing) > 0 {
		if bpf.Permitted() {
			s.Error(missing)
		}
		s.Skip(missing)
	}
	ctx, stop := context.WithTimeout(s.Context(), 30*time.Second)
	defer stop()
	var lines []refusal.Line
	fault()
	if done(nil) {
		stop()
	}
	sum, err := t.Run(ctx, func(l refusal.Line) error {
		if lines = append(lines, l); done(lines) {
			stop()
		}
		return nil
	})
	s.must(err)
	return lines, sum
}

// counted is how many of a kind there were.
func counted(lines []refusal.Line, is func(refusal.Line) bool) (n int64) {
	for _, l := range lines {
		if is(l) {
			n += l.Count
		}
	}
	return n
}

// Ports that are used up: the program, where it wanted to go, the limit; and a sum that agrees.
func TestPorts(t *testing.T) {
	s := scene{t, labtest.Start(t)}
	s.must(s.Set("net.ipv4.ip_local_port_range", "40000 40003"))
	server, client := s.spawn("server"), s.spawn("client")
	_, addr := s.listen(server, "127.0.0.1:7001", 64)
	var refused lab.Opened
	noPort := func(l refusal.Line) bool { return l.What == refusal.NoPort }
	lines, sum := s.during(func() {
		refused = s.connect(client, lab.ConnectSpec{To: addr, N: 11})
	}, func(lines []refusal.Line) bool { return counted(lines, noPort) >= 7 })
	if n := counted(lines, noPort); n != int64(refused.Errors["EADDRNOTAVAIL"]) {
		t.Errorf("%d lines for %+v", n, refused)
	}
	l := lines[0]
	if l.Errno != "EADDRNOTAVAIL" || l.Call != "connect" || l.Process != "client" ||
		l.PID != int64(client.PID()) || l.Destination != addr.String() ||
		l.Source != "127.0.0.1" || l.Limit != string(limit.EphemeralPorts) ||
		l.NetNS != "lab" || l.SeenBy != refusal.Event {
		t.Errorf("%+v", l)
	}
	if at, err := time.Parse(time.RFC3339, l.Time); err != nil ||
		time.Since(at).Abs() > time.Minute {
		t.Errorf("%s, %v", l.Time, err)
	}
	if len(sum.Refused) != 1 || sum.Refused[0].Attributed != 7 || !sum.Refusing() ||
		sum.Lost != 0 {
		t.Errorf("%+v", sum)
	}
}

// A full accept queue: what is dropped at the SYN comes from the counter of the listener, what is
// dropped at the end of a handshake from events, and both are what the kernel counts.
func TestAcceptQueue(t *testing.T) {
	s := scene{t, labtest.Start(t)}
	server, client := s.spawn("server"), s.spawn("client")
	listener, addr, err := server.Listen(lab.ListenSpec{Backlog: 64, Defer: 30,
		Addr: netip.MustParseAddrPort("127.0.0.1:7001")})
	s.must(err)
	waiting := s.connect(client, lab.ConnectSpec{To: addr, N: 5})
	_, err = server.Relisten(listener, 1)
	s.must(err)
	full := func(by refusal.SeenBy) func(refusal.Line) bool {
		return func(l refusal.Line) bool {
			return l.What == refusal.QueueFull && l.SeenBy == by
		}
	}
	lines, sum := s.during(func() {
		_, _, err := client.SendEach(waiting.Group, 1)
		s.must(err)
		s.connect(client, lab.ConnectSpec{To: addr, N: 4, NonBlocking: true})
	}, func(lines []refusal.Line) bool {
		return counted(lines, full(refusal.Event)) >= 3 &&
			counted(lines, full(refusal.Counter)) >= 4
	})
	for _, l := range lines {
		if l.What == refusal.QueueFull && (l.Process != "server" ||
			l.PID != int64(server.PID()) || l.Listener != addr.String() ||
			l.Limit != string(limit.AcceptQueue)) {
			t.Errorf("%+v", l)
		}
	}
	i := slices.IndexFunc(sum.Refused, func(m refusal.Moved) bool {
		return m.Counter == "TcpExt.ListenOverflows"
	})
	if i < 0 {
		t.Fatalf("%+v", sum)
	}
	m := sum.Refused[i]
	// The kernel goes on between the last look and the reading of events.
	if m.Attributed < 3 || m.AtListener < 4 || m.Moved > m.Attributed+m.AtListener {
		t.Errorf("%+v, %+v", m, lines)
	}
}

// Where nothing is refused, nothing is reported.
func TestNothingRefused(t *testing.T) {
	s := scene{t, labtest.Start(t)}
	server, client := s.spawn("server"), s.spawn("client")
	g, addr := s.listen(server, "127.0.0.1:7001", 600)
	lines, sum := s.during(func() {
		o := s.connect(client, lab.ConnectSpec{To: addr, N: 500})
		_, err := server.Accept(lab.AcceptSpec{Listener: g, N: o.Count})
		s.must(err)
		_, err = client.Close(o.Group, lab.CloseSpec{})
		s.must(err)
	}, func([]refusal.Line) bool { return true })
	if len(lines) > 0 || sum.Refusing() || len(sum.Refused) > 0 {
		t.Errorf("%+v, %+v", lines, sum)
	}
}
