package sockdiag

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func cookies(all []Socket) map[uint64]State {
	set := make(map[uint64]State, len(all))
	for _, s := range all {
		set[s.Cookie] = s.State
	}
	return set
}

func TestFamilies(t *testing.T) {
	c := open(t)
	p4 := newPair(t, unix.AF_INET, "127.0.0.1")
	p6 := newPair(t, unix.AF_INET6, "::1")
	states := Established.Mask() | Listen.Mask()
	v4 := cookies(list(t, c, Request{Family: unix.AF_INET, States: states}))
	v6 := cookies(list(t, c, Request{Family: unix.AF_INET6, States: states}))
	both := cookies(list(t, c, Request{Family: unix.AF_UNSPEC, States: states}))
	for _, fd := range []int{p4.listener, p4.client, p4.server} {
		if v4[cookie(t, fd)] == 0 || v6[cookie(t, fd)] != 0 {
			t.Errorf("IPv4 socket on %s: in AF_INET %s, in AF_INET6 %s", name(t, fd),
				v4[cookie(t, fd)], v6[cookie(t, fd)])
		}
	}
	for _, fd := range []int{p6.listener, p6.client, p6.server} {
		if v6[cookie(t, fd)] == 0 || v4[cookie(t, fd)] != 0 {
			t.Errorf("IPv6 socket on %s: in AF_INET6 %s, in AF_INET %s", name(t, fd),
				v6[cookie(t, fd)], v4[cookie(t, fd)])
		}
	}
	maps.Copy(v4, v6)
	if !maps.Equal(v4, both) {
		t.Errorf("AF_UNSPEC lists %v, the two families %v", both, v4)
	}
}

// A Conn stays in the namespace where it was opened, no matter who uses it.
func TestNamespace(t *testing.T) {
	here := open(t)
	match := same(t, newPair(t, unix.AF_INET, "127.0.0.1").client)
	opened := make(chan *Conn)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its namespace
		defer close(opened)
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error("unshare:", err)
			return
		}
		c, err := Open()
		if err != nil {
			t.Error("Open:", err)
			return
		}
		opened <- c
	}()
	there := <-opened
	if there == nil {
		t.FailNow()
	}
	defer there.Close()
	if all := list(t, there, everything()); len(all) != 0 {
		t.Errorf("sockets in a new namespace: %+v", all)
	}
	await(t, here, everything(), match)
}

func TestStatesAreFiltered(t *testing.T) {
	c := open(t)
	orphan, wait := orphaned(t), waiting(t, unix.AF_INET, "127.0.0.1")
	half := synReceived(t)
	await(t, c, everything(), orphan)
	await(t, c, everything(), wait)
	for _, test := range []struct {
		state                    State
		orphan, wait, halfOpened bool
	}{
		{FinWait2, true, false, false},
		{TimeWait, false, true, false},
		{SynRecv, false, false, true},
		{NewSynRecv, false, false, true},
		{Established, false, false, false},
		{Listen, false, false, false},
		{BoundInactive, false, false, false},
	} {
		all := list(t, c, Request{Family: unix.AF_UNSPEC, States: test.state.Mask()})
		for _, kind := range []struct {
			name  string
			match func(Socket) bool
			want  bool
		}{{"orphan", orphan, test.orphan}, {"TIME_WAIT", wait, test.wait},
			{"half open", half, test.halfOpened}} {
			if got := len(pick(all, kind.match)) == 1; got != kind.want {
				t.Errorf("states %s: %s listed %t", test.state, kind.name, got)
			}
		}
	}
}

func TestSourcePort(t *testing.T) {
	c := open(t)
	p := newPair(t, unix.AF_INET, "127.0.0.1")
	wait := await(t, c, everything(), waiting(t, unix.AF_INET6, "::1"))
	free := newSocket(t, unix.AF_INET)
	bind(t, free, unix.AF_INET, "127.0.0.1:0")
	listed, err := ListsBound(0)
	must(t, err, "ListsBound")
	for _, test := range []struct {
		port uint16
		want int
	}{
		{name(t, p.listener).Port(), 2}, // and the accepted socket
		{name(t, p.client).Port(), 1},
		{wait.Source.Port(), 1},
		{name(t, free).Port(), map[bool]int{true: 1, false: 0}[listed]},
	} {
		for _, states := range []uint32{AllStates, AllStates &^ BoundInactive.Mask()} {
			all := list(t, c, Request{Family: unix.AF_UNSPEC, States: states,
				SourcePort: test.port})
			want := test.want
			if test.port == name(t, free).Port() && states&BoundInactive.Mask() == 0 {
				want = 0
			}
			if len(all) != want || len(pick(all, func(s Socket) bool {
				return s.Source.Port() == test.port
			})) != want {
				t.Errorf("port %d, states %#x: %d sockets, want %d: %+v", test.port,
					states, len(all), want, all)
			}
		}
	}
}

// crowd makes more sockets than one datagram holds.
func crowd(tb testing.TB) (listener, sockets int) {
	tb.Helper()
	const connections = 400
	listener = newListener(tb, unix.AF_INET, "127.0.0.1", connections)
	for range connections {
		connect(tb, unix.AF_INET, "127.0.0.1", listener)
	}
	return listener, 2*connections + 1
}

func TestAbandoned(t *testing.T) {
	c := open(t)
	_, sockets := crowd(t)
	enough := errors.New("enough")
	r := Request{Family: unix.AF_INET, States: Established.Mask() | Listen.Mask()}
	whole := len(list(t, c, r))
	if whole < sockets {
		t.Fatalf("%d sockets listed, %d made", whole, sockets)
	}
	for _, stop := range []int{1, 2, whole / 2, whole - 1, whole} {
		seen := 0
		err := c.Dump(r, func(*Socket) error {
			if seen++; seen == stop {
				return enough
			}
			return nil
		})
		if err != enough || seen != stop {
			t.Fatalf("abandoned at %d: %d seen, %v", stop, seen, err)
		}
		if again := len(list(t, c, r)); again != whole {
			t.Fatalf("after a dump abandoned at %d: %d sockets, want %d", stop, again,
				whole)
		}
	}
}

func TestCloseAbandoned(t *testing.T) {
	c := open(t)
	crowd(t)
	enough := errors.New("enough")
	if err := c.Dump(everything(), func(*Socket) error { return enough }); err != enough {
		t.Fatal(err)
	}
	must(t, c.Close(), "Close")
	err := c.Dump(everything(), func(*Socket) error { return nil })
	var typed *Error
	if !errors.Is(err, unix.EBADF) || !errors.As(err, &typed) {
		t.Errorf("Dump after Close: %v", err)
	}
	if err := c.Close(); !errors.Is(err, unix.EBADF) {
		t.Errorf("second Close: %v", err)
	}
}

func TestNoAllocation(t *testing.T) {
	c := open(t)
	_, sockets := crowd(t)
	for _, r := range []Request{everything(), {Family: unix.AF_INET, States: AllStates}} {
		seen := 0
		count := func(*Socket) error { seen++; return nil }
		allocations := testing.AllocsPerRun(5, func() {
			seen = 0
			must(t, c.Dump(r, count), "Dump")
		})
		// The runtime counts for the whole process: a few may be its own, one a
		// socket would be hundreds.
		if allocations > float64(sockets)/100 || seen < sockets {
			t.Errorf("%s: %v allocations for %d sockets, of at least %d", r,
				allocations, seen, sockets)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	c := open(t)
	for family, want := range map[uint8]error{
		unix.AF_APPLETALK: unix.ENOENT, // no handler
		255:               unix.EINVAL, // no such family
	} {
		err := c.Dump(Request{Family: family, States: AllStates}, func(*Socket) error {
			return nil
		})
		var typed *Error
		if !errors.Is(err, want) || !errors.As(err, &typed) {
			t.Errorf("family %d: %v, want %v", family, err, want)
		}
		list(t, c, everything())
	}
}

func TestNoStates(t *testing.T) {
	if all := list(t, open(t), Request{Family: unix.AF_UNSPEC}); len(all) != 0 {
		t.Errorf("no states asked for: %+v", all)
	}
}

func TestListsBound(t *testing.T) {
	c := open(t)
	crowd(t)
	fd := newSocket(t, unix.AF_INET)
	bind(t, fd, unix.AF_INET, "127.0.0.1:0")
	lazy := newSocket(t, unix.AF_INET)
	must(t, unix.SetsockoptInt(lazy, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1),
		"setsockopt")
	bind(t, lazy, unix.AF_INET, "127.0.0.1:0")
	own := same(t, fd)
	for _, port := range []uint16{0, 20001} {
		lists, err := ListsBound(port)
		must(t, err, "ListsBound")
		all := list(t, c, Request{Family: unix.AF_UNSPEC, States: BoundInactive.Mask()})
		if got := slices.ContainsFunc(all, own); got != lists {
			t.Errorf("ListsBound(%d) is %t, bound socket listed %t", port, lists, got)
		}
		if len(pick(all, same(t, lazy))) != 0 {
			t.Error("a socket without a port is listed")
		}
		if left := pick(all, func(s Socket) bool {
			return s.Source.Addr().As4() == probeAddress()
		}); len(left) != 0 {
			t.Errorf("ListsBound left %+v", left)
		}
		if all := list(t, c, Request{Family: unix.AF_UNSPEC,
			States: AllStates &^ BoundInactive.Mask()}); slices.ContainsFunc(all, own) {
			t.Error("a bound socket is listed without being asked for")
		}
	}
}

func TestListsBoundPortTaken(t *testing.T) {
	lab(t)
	fd := newSocket(t, unix.AF_INET)
	bind(t, fd, unix.AF_INET, "0.0.0.0:20002")
	_, err := ListsBound(20002)
	var typed *Error
	if !errors.Is(err, unix.EADDRINUSE) || !errors.As(err, &typed) {
		t.Errorf("ListsBound on a port that is taken: %v", err)
	}
}
