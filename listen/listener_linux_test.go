package listen

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNetworks(t *testing.T) {
	dir := t.TempDir()
	for _, v := range []struct{ network, address, dialNetwork, dialHost string }{
		{"tcp", ":0", "tcp4", "127.0.0.1"}, {"tcp", ":0", "tcp6", "::1"}, {"tcp", "[::1]:0", "tcp6", "::1"},
		{"tcp4", ":0", "tcp4", "127.0.0.1"}, {"tcp6", ":0", "tcp6", "::1"}, {"tcp", "localhost:0", "tcp", "localhost"},
		{"unix", filepath.Join(dir, "a"), "unix", ""}, {"unixpacket", filepath.Join(dir, "b"), "unixpacket", ""},
	} {
		for _, shards := range []int{1, 4} {
			if shards > 1 && v.dialHost == "" {
				continue
			}
			t.Run(fmt.Sprintf("%s %s %s %d", v.network, filepath.Base(v.address), v.dialNetwork, shards), func(t *testing.T) {
				if v.dialNetwork == "tcp6" {
					if ln, err := net.Listen("tcp6", "[::1]:0"); err != nil {
						t.Skip("no IPv6 here: ", err)
					} else {
						ln.Close()
					}
				}
				l := open(t, Config{Backlog: 64, Shards: shards, MaxConnections: 5}, v.network, v.address)
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
	l := open(t, Config{Shards: 2, BestEffort: true}, "unix", filepath.Join(t.TempDir(), "socket"))
	if len(l.shards) != 1 || len(l.Unmet()) != 1 {
		t.Errorf("%d shards, unmet %v", len(l.shards), l.Unmet())
	}
	first := open(t, Config{}, "tcp", "127.0.0.1:0")
	if _, err := (Config{}).Listen(t.Context(), "tcp", first.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("an address in use: %v", err)
	}
	broken := errors.New("broken")
	if _, err := (Config{Control: func(string, string, syscall.RawConn) error { return broken }}).Listen(t.Context(), "tcp", "127.0.0.1:0"); !errors.Is(err, broken) {
		t.Errorf("Control: %v", err)
	}
}

// Close unblocks Accept and Serve in every state, twice too.
func TestCloseWhileAccepting(t *testing.T) {
	for _, shards := range []int{1, 4} {
		l := open(t, Config{Shards: shards}, "tcp", "127.0.0.1:0")
		var wait sync.WaitGroup
		for range 3 {
			wait.Go(func() {
				if c, err := l.Accept(); c != nil || !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept = %v, %v", c, err)
				}
			})
			wait.Go(func() {
				if err := l.Serve(func(c net.Conn) { c.Close() }); err != nil {
					t.Errorf("Serve = %v", err)
				}
			})
			wait.Go(func() {
				if err := l.Close(); err != nil {
					t.Errorf("Close = %v", err)
				}
			})
		}
		wait.Wait()
		if _, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial after Close: %v", err)
		}
	}
}

// All that was queued when Close was called is handed out, and works.
func TestCloseDrains(t *testing.T) {
	for _, shards := range []int{1, 4} {
		const clients = 200
		l := open(t, Config{Shards: shards, Backlog: clients}, "tcp", "127.0.0.1:0")
		var conns []net.Conn
		for range clients {
			conns = append(conns, dial(t, l))
		}
		if shards > 1 { // some are in the hands of the merging goroutines
			if _, err := accept(t, l).Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		served := 0
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			served++
			c.Write([]byte("x"))
			c.Close()
		}
		whole := 0
		for _, c := range conns {
			if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
				whole++
			}
		}
		want := clients
		if shards > 1 {
			want-- // taken before Close
		}
		if served != want || whole != clients || l.Stats().RefusedClose != 0 {
			t.Errorf("%d shards: %d handed out, %d clients served, %+v", shards, served, whole, l.Stats())
		}
	}
}

// Clients come all the time while the listener closes. A connection that came about is served: none is reset.
func TestCloseUnderLoad(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, shards := range []int{1, 4} {
			l, err := Config{Shards: shards}.Listen(t.Context(), "tcp", address)
			if errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EAFNOSUPPORT) {
				t.Log("no IPv6 here: ", err)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("served")) })}
			ended := make(chan error)
			go func() { ended <- server.Serve(l) }()
			served, lost := loadWhile(l.Addr().String(), func() {
				await(t, "there is load", func() bool { return l.Stats().Accepted > 200 })
				l.Close()
				if err := <-ended; !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			})
			server.Close()
			if len(lost) > 0 || served != int(l.Stats().Accepted) {
				t.Errorf("%s, %d shards: served %d, accepted %d, lost %d, %v", address, shards, served, l.Stats().Accepted, len(lost), lost)
			}
		}
	}
}

// What package net loses in the same place is logged: it depends on what happens to be queued.
func TestCloseUnderLoadControl(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int64
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		accepted.Add(1)
		w.Write([]byte("served"))
	})}
	ended := make(chan error)
	go func() { ended <- server.Serve(ln) }()
	served, lost := loadWhile(ln.Addr().String(), func() {
		await(t, "there is load", func() bool { return accepted.Load() > 200 })
		ln.Close()
		<-ended
	})
	server.Close()
	t.Logf("package net: served %d, lost %d, %v", served, len(lost), lost)
}

// loadWhile has eight clients connect and ask without pause until f returns. Lost is one that was connected and got no answer.
func loadWhile(addr string, f func()) (served int, lost []error) {
	var mu sync.Mutex
	var clients sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
				if err != nil {
					continue // not listening any more
				}
				_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
				if err == nil {
					_, err = http.ReadResponse(bufio.NewReader(c), nil)
				}
				c.Close()
				mu.Lock()
				if err == nil {
					served++
				} else {
					lost = append(lost, err)
				}
				mu.Unlock()
			}
		})
	}
	f()
	close(stop)
	clients.Wait()
	return served, lost
}

// Nobody calls Accept after Close: the clients are told in the end.
func TestLeftoversExpire(t *testing.T) {
	for _, timeout := range []time.Duration{time.Millisecond, -1} {
		l := open(t, Config{DrainTimeout: timeout}, "tcp", "127.0.0.1:0")
		c := dial(t, l)
		l.Close()
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v: the client sees %v", timeout, err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v: Accept = %v", timeout, err)
		}
	}
}

// The filter of a closing listener is gone from the connections it hands out.
func TestDrainedConnHasNoFilter(t *testing.T) {
	l := open(t, Config{}, "tcp", "127.0.0.1:0")
	if err := ignoreHandshakes(l.shards[0].raw); err != nil {
		t.Fatal(err)
	}
	if _, err := net.DialTimeout("tcp", l.Addr().String(), 50*time.Millisecond); err == nil {
		t.Error("a handshake went through the filter")
	}
	if l.Stats().Drops == 0 {
		t.Error("the filter dropped nothing")
	}
	c := dial(t, open(t, Config{}, "tcp", "127.0.0.1:0"))
	raw, _ := c.(*net.TCPConn).SyscallConn()
	if err := ignoreHandshakes(raw); err != nil {
		t.Fatal(err)
	}
	heedHandshakes(c)
	err := control(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) })
	if err != unix.ENOENT {
		t.Errorf("detach once more: %v", err)
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
	if _, _, limit, _ := kernelSays(t, l.Addr()); limit != 60 {
		t.Errorf("limit %d", limit)
	}
	if _, err := old.Files(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Files after Close: %v", err)
	}
	if _, err := (Config{}).Adopt(); err == nil {
		t.Error("Adopt of nothing: no error")
	}
	if _, err := (Config{}).Adopt(l); err == nil {
		t.Error("Adopt of a Listener of this package: no error")
	}
}

// Connections have the socket options that package net gives them.
func TestKeepAlive(t *testing.T) {
	options := func(c net.Conn) (values []int) {
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range [][2]int{{unix.SOL_SOCKET, unix.SO_KEEPALIVE}, {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE}, {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
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
	for _, v := range []struct {
		idle   time.Duration
		config net.KeepAliveConfig
	}{
		{}, {idle: -1}, {idle: 3 * time.Second}, {idle: 1500 * time.Millisecond},
		{config: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}},
		{config: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: -time.Hour, Count: -1}},
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
		l := open(t, Config{KeepAlive: v.idle, KeepAliveConfig: v.config}, "tcp", "127.0.0.1:0")
		dial(t, l)
		if got, want := options(accept(t, l)), options(conn); !slices.Equal(got, want) {
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

// A client that says nothing is not in the accept queue until the time is over; one that speaks is, at once.
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
