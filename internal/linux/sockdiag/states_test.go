package sockdiag

import (
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fields are those that a kind of socket always has alike.
type fields struct {
	family  uint8
	state   State
	timer   Timer
	owner   bool
	inode   bool
	memory  bool
	info    bool
	v6only  bool // HasV6Only
	rq, sq  uint32
	source  string // address
	distant string
}

func (s Socket) fields() fields {
	return fields{
		s.Family, s.State, s.Timer, s.HasOwner, s.Inode != 0, s.HasMemory, s.HasInfo,
		s.HasV6Only,
		s.ReceiveQueue, s.SendQueue, s.Source.Addr().String(),
		s.Destination.Addr().String(),
	}
}

func wantFields() map[string]fields {
	const v4, v6, home = unix.AF_INET, unix.AF_INET6, "127.0.0.1"
	full := fields{v4, Established, TimerNone, true, true, true, true, false, 0, 0, home, home}
	small := fields{family: v4, source: home, distant: home}
	with := func(f fields, change func(*fields)) fields { change(&f); return f }
	return map[string]fields{
		"listen_v4": {v4, Listen, TimerNone, true, true, true, false, false, 3, 5,
			home, "0.0.0.0"},
		"listen_v6": {v6, Listen, TimerNone, true, true, true, false, true, 3, 5,
			"::", "::"},
		"established_v4": full,
		"established_v6": with(full, func(f *fields) {
			f.family, f.source, f.distant = v6, "::1", "::1"
		}),
		"established_mapped": with(full, func(f *fields) { f.family = v6 }),
		"not_accepted":       with(full, func(f *fields) { f.inode = false }),
		"syn_sent": with(full, func(f *fields) {
			f.state, f.timer, f.sq = SynSent, TimerRetransmit, 1
		}),
		"syn_recv": with(small, func(f *fields) {
			f.family, f.state, f.timer = v6, SynRecv, TimerRetransmit
		}),
		"fin_wait_2": with(full, func(f *fields) { f.state = FinWait2 }),
		"fin_wait_2_orphan": with(small, func(f *fields) {
			f.state, f.timer = FinWait2, TimerTimeWait
		}),
		"close_wait": with(full, func(f *fields) { f.state, f.rq = CloseWait, 1 }),
		"time_wait": with(small, func(f *fields) {
			f.state, f.timer = TimeWait, TimerTimeWait
		}),
		"time_wait_mapped": with(small, func(f *fields) {
			f.family, f.state, f.timer = v6, TimeWait, TimerTimeWait
		}),
		"bound_v4": {v4, BoundInactive, TimerNone, true, true, true, false, false, 0, 0,
			home, "0.0.0.0"},
		"bound_v6": {v6, BoundInactive, TimerNone, true, true, true, false, true, 0, 0,
			"::1", "::"},
		// see Socket.Destination
		"bound_after_refusal": {v4, BoundInactive, TimerNone, true, true, true, false,
			false, 0, 0, home, home},
	}
}

func TestKinds(t *testing.T) {
	want := wantFields()
	for _, scene := range scenes() {
		t.Run(scene.name, func(t *testing.T) {
			c := open(t)
			match := scene.make(t)
			s := await(t, c, everything(), func(s Socket) bool {
				return match(s) && s.fields() == want[scene.name]
			})
			if s.Cookie == 0 {
				t.Error("no cookie")
			}
			if s.HasOwner && s.Inode != 0 && s.UID != uint32(os.Getuid()) {
				t.Errorf("UID %d, want %d", s.UID, os.Getuid())
			}
			if s.HasMemory && (!s.HasDrops || s.Memory.ReceiveBuffer == 0 ||
				s.Memory.SendBuffer == 0) {
				t.Errorf("memory %+v, drops %t", s.Memory, s.HasDrops)
			}
			if s.Timer != TimerNone && s.ExpiresMillis > 60_000 {
				t.Errorf("timer fires in %d ms", s.ExpiresMillis)
			}
		})
	}
}

func TestOwner(t *testing.T) {
	c := open(t)
	p := newPair(t, unix.AF_INET, "127.0.0.1")
	for _, fd := range []int{p.listener, p.client, p.server} {
		inode, err := socketInode(fd)
		must(t, err, "fstat")
		s := await(t, c, everything(), same(t, fd))
		if s.Inode != inode || s.Source != name(t, fd) {
			t.Errorf("%s: inode %d at %s, want %d at %s", s.State, s.Inode, s.Source,
				inode, name(t, fd))
		}
	}
}

func TestDrops(t *testing.T) {
	c := open(t)
	fds := overflow(t, 3)
	listener := await(t, c, everything(), func(s Socket) bool {
		return s.Cookie == cookie(t, fds[0]) && s.Drops >= 3
	})
	if listener.ReceiveQueue != 1 || listener.SendQueue != 0 || !listener.HasDrops {
		t.Errorf("full listener with backlog 0: %+v", listener)
	}
}

func TestNothingUnasked(t *testing.T) {
	c := open(t)
	p := newPair(t, unix.AF_INET, "127.0.0.1")
	s := await(t, c, Request{Family: unix.AF_INET, States: AllStates}, same(t, p.client))
	if s.HasMemory || s.HasDrops || s.HasInfo {
		t.Errorf("memory or info without being asked for: %+v", s)
	}
}

func TestAges(t *testing.T) {
	c := open(t)
	start := time.Now()
	p := newPair(t, unix.AF_INET, "127.0.0.1")
	_, err := unix.Write(p.server, []byte("hello"))
	must(t, err, "write")
	match := same(t, p.client)
	s := await(t, c, everything(), func(s Socket) bool {
		return match(s) && s.ReceiveQueue == 5
	})
	const jiffy = 10 // ms, the longest
	limit := uint32(time.Since(start).Milliseconds()) + jiffy
	if !s.HasInfo || s.LastDataReceived > limit || s.LastDataSent > limit ||
		s.LastAckReceived > limit {
		t.Errorf("ages above %d ms: %+v", limit, s)
	}
	if s.Memory.Received < 5 {
		t.Errorf("5 bytes in the queue take %d", s.Memory.Received)
	}
}

func TestTimestamps(t *testing.T) {
	c := open(t)
	const file = "/proc/sys/net/ipv4/tcp_timestamps" // of the test's own namespace
	before, err := os.ReadFile(file)
	must(t, err, "read")
	t.Cleanup(func() { must(t, os.WriteFile(file, before, 0), "restore") })
	for value, want := range map[string]bool{"0": false, "1": true} {
		must(t, os.WriteFile(file, []byte(value), 0), "write "+file)
		p := newPair(t, unix.AF_INET, "127.0.0.1")
		if s := await(t, c, everything(), same(t, p.client)); !s.HasInfo ||
			s.Timestamps != want {
			t.Errorf("tcp_timestamps=%s: info %t, timestamps %t", value, s.HasInfo,
				s.Timestamps)
		}
	}
}

func TestBindAddressNoPort(t *testing.T) {
	c := open(t)
	listener := newListener(t, unix.AF_INET, "127.0.0.1", 8)
	for _, option := range []int{0, 1} {
		fd := newSocket(t, unix.AF_INET)
		must(t, unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT,
			option), "setsockopt")
		bind(t, fd, unix.AF_INET, "127.0.0.1:0")
		must(t, unix.Connect(fd, target(t, unix.AF_INET, "127.0.0.1", listener)), "connect")
		s := await(t, c, everything(), same(t, fd))
		if !s.HasSockopt {
			t.Skip("this kernel does not send INET_DIAG_SOCKOPT")
		}
		if s.BindAddressNoPort != (option == 1) {
			t.Errorf("IP_BIND_ADDRESS_NO_PORT %d is shown as %t", option,
				s.BindAddressNoPort)
		}
	}
}

func TestV6Only(t *testing.T) {
	c := open(t)
	for _, option := range []int{0, 1} {
		fd := newSocket(t, unix.AF_INET6)
		must(t, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, option),
			"setsockopt")
		bind(t, fd, unix.AF_INET6, "[::]:0")
		must(t, unix.Listen(fd, 1), "listen")
		if s := await(t, c, everything(), same(t, fd)); !s.HasV6Only ||
			s.V6Only != (option == 1) {
			t.Errorf("IPV6_V6ONLY %d is shown as %t, sent %t", option, s.V6Only,
				s.HasV6Only)
		}
	}
}

// A listener on [::] takes an IPv4 connection: the accepted socket is AF_INET6.
func TestMapped(t *testing.T) {
	c := open(t)
	listener := newListener(t, unix.AF_INET6, "::", 8)
	client := connect(t, unix.AF_INET, "127.0.0.1", listener)
	server := accept(t, listener)
	s := await(t, c, everything(), same(t, server))
	home := netip.MustParseAddr("127.0.0.1")
	if s.Family != unix.AF_INET6 || s.Source.Addr() != home ||
		s.Destination != name(t, client) {
		t.Errorf("accepted over IPv4 on [::]: %+v", s)
	}
	if s.HasCgroup && s.CgroupID == 0 {
		t.Error("cgroup 0")
	}
}

func TestStateNames(t *testing.T) {
	var names []string
	for s := range State(15) {
		names = append(names, s.String())
	}
	const want = "STATE_0 ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT_1 FIN_WAIT_2 TIME_WAIT " +
		"CLOSE CLOSE_WAIT LAST_ACK " +
		"LISTEN CLOSING NEW_SYN_RECV BOUND STATE_14"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if AllStates != 0x3ffe {
		t.Errorf("AllStates %#x", AllStates)
	}
}
