package listen

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNetworks(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []struct{ network, address, dialNetwork, dialHost string }{
		{"tcp", ":0", "tcp4", "127.0.0.1"}, {"tcp", ":0", "tcp6", "::1"},
		{"tcp", "[::1]:0", "tcp6", "::1"},
		{"tcp4", ":0", "tcp4", "127.0.0.1"}, {"tcp6", ":0", "tcp6", "::1"},
		{"tcp", "localhost:0", "tcp", "localhost"},
		{"unix", filepath.Join(dir, "a"), "unix", ""},
		{"unixpacket", filepath.Join(dir, "b"), "unixpacket", ""},
	} {
		for _, shards := range []int{1, 4} {
			if shards > 1 && v.dialHost == "" {
				continue
			}
			t.Run(fmt.Sprintf("%s %s %s %d", v.network, filepath.Base(v.address),
				v.dialNetwork, shards), func(t *testing.T) {
				if v.dialNetwork == "tcp6" {
					if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
						t.Skip("no IPv6 here: ", err)
					} else {
						ln.Close()
					}
				}
				l := open(t, Config{Backlog: 64, Shards: shards, MaxConnections: 5},
					v.network, v.address)
				target := v.address
				if a, ok := l.Addr().(*net.TCPAddr); ok {
					target = net.JoinHostPort(v.dialHost, fmt.Sprint(a.Port))
				}
				for range 3 {
					c, err := net.Dial(v.dialNetwork, target)
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close()
					s := accept(t, l)
					go s.Write([]byte("x"))
					if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, v := range []struct {
		c       Config
		network string
		want    error
	}{
		{Config{Shards: 2}, "unix", errors.ErrUnsupported},
		{Config{DeferAccept: 1}, "unix", errors.ErrUnsupported},
		{Config{FastOpen: 1}, "unixpacket", errors.ErrUnsupported},
		{Config{}, "udp", net.UnknownNetworkError("udp")},
	} {
		_, err := v.c.Listen(t.Context(), v.network, filepath.Join(t.TempDir(), "socket"))
		var op *net.OpError
		if !errors.Is(err, v.want) || !errors.As(err, &op) || op.Op != "listen" {
			t.Errorf("%+v on %s: %v", v.c, v.network, err)
		}
	}
	l := open(t, Config{Shards: 2, BestEffort: true}, "unix",
		filepath.Join(t.TempDir(), "socket"))
	if len(l.shards) != 1 || len(l.Unmet()) != 1 {
		t.Errorf("%d shards, unmet %v", len(l.shards), l.Unmet())
	}
	first := open(t, Config{}, "tcp", "127.0.0.1:0")
	if _, err := (Config{}).Listen(t.Context(), "tcp", first.Addr().String()); !errors.Is(err,
		syscall.EADDRINUSE) {
		t.Errorf("an address in use: %v", err)
	}
	broken := errors.New("broken")
	if _, err := (Config{Control: func(string, string, syscall.RawConn) error {
		return broken
	}}).Listen(t.Context(), "tcp", "127.0.0.1:0"); !errors.Is(err, broken) {
		t.Errorf("Control: %v", err)
	}
}

func TestPassedOn(t *testing.T) {
	old := open(t, Config{Shards: 2, Backlog: 10}, "tcp", "127.0.0.1:0")
	files, err := old.Files()
	if err != nil {
		t.Fatal(err)
	}
	var sockets []net.Listener
	for _, f := range files {
		ln, err := net.FileListener(f)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		sockets = append(sockets, ln)
	}
	if st := old.Stats(); st.Limit != 20 {
		t.Errorf("%+v", st)
	}
	dial(t, old)
	old.Close() // takes the one that was queued
	if c, err := old.Accept(); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	l, err := Config{Backlog: 30}.Adopt(sockets...)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 10 { // no filter was left
		dial(t, l)
		accept(t, l)
	}
	if limit := l.Stats().Limit; limit != 60 {
		t.Errorf("limit %d", limit)
	}
	if _, err := old.Files(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Files after Close: %v", err)
	}
	if _, err := (Config{}).Adopt(); err == nil {
		t.Error("Adopt of nothing: no error")
	}
	if _, err := (Config{}).Adopt(l); err == nil {
		t.Error("Adopt of a Listener with two shards: no error")
	}
}

// options are the socket options that package net gives a connection.
func options(t *testing.T, c net.Conn) (values []int) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range [][2]int{{unix.SOL_SOCKET, unix.SO_KEEPALIVE},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT}, {unix.IPPROTO_TCP, unix.TCP_NODELAY}} {
		err := control(raw, func(fd int) error {
			v, err := unix.GetsockoptInt(fd, o[0], o[1])
			values = append(values, v)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return values
}

// Connections have the socket options that package net gives them.
func TestKeepAlive(t *testing.T) {
	for _, v := range []struct {
		idle   time.Duration
		config net.KeepAliveConfig
	}{
		{}, {idle: -1}, {idle: 3 * time.Second}, {idle: 1500 * time.Millisecond},
		{config: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second,
			Interval: 2 * time.Second, Count: 3}},
		{config: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -time.Hour,
			Count: -1}},
		// not enabled
		{idle: 3 * time.Second, config: net.KeepAliveConfig{Idle: 5 * time.Second,
			Interval: 2 * time.Second, Count: 3}},
	} {
		lc := net.ListenConfig{KeepAlive: v.idle, KeepAliveConfig: v.config}
		lc.SetMultipathTCP(false)
		plain, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		client, err := net.Dial("tcp", plain.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		conn, err := plain.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		l := open(t, Config{KeepAlive: v.idle, KeepAliveConfig: v.config}, "tcp",
			"127.0.0.1:0")
		dial(t, l)
		if got, want := options(t, accept(t, l)),
			options(t, conn); !slices.Equal(got, want) {
			t.Errorf("%+v: options %v, package net gives %v", v, got, want)
		}
	}
}

// A client that resets before it is accepted does no harm.
func TestResetBeforeAccept(t *testing.T) {
	l := open(t, Config{}, "tcp", "127.0.0.1:0")
	gone := dial(t, l)
	gone.(*net.TCPConn).SetLinger(0)
	gone.Close()
	here := dial(t, l)
	for {
		c := accept(t, l)
		if c.RemoteAddr().String() == here.LocalAddr().String() {
			return
		}
	}
}

// A client that says nothing is not in the accept queue until the time is over; one that
// speaks is, at once.
func TestDeferAccept(t *testing.T) {
	l := open(t, Config{DeferAccept: 10 * time.Second}, "tcp", "127.0.0.1:0")
	silent, speaks := dial(t, l), dial(t, l)
	if st := l.Stats(); st.Queued != 0 {
		t.Errorf("%+v", st)
	}
	speaks.Write([]byte("x"))
	if c := accept(t, l); c.RemoteAddr().String() != speaks.LocalAddr().String() {
		t.Errorf("accepted %v, silent is %v", c.RemoteAddr(), silent.LocalAddr())
	}
}

func TestMultipath(t *testing.T) {
	l := open(t, Config{Multipath: true, Backlog: 9}, "tcp", "127.0.0.1:0")
	dial(t, l)
	accept(t, l)
	if st := l.Stats(); st.Limit != 9 {
		t.Errorf("%+v", st)
	}
}
