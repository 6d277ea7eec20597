package listen

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Close unblocks Accept and Serve in every state, twice too.
func TestCloseWhileAccepting(t *testing.T) {
	for _, shards := range []int{1, 4} {
		l := open(t, Config{Shards: shards}, "tcp", "127.0.0.1:0")
		var wait sync.WaitGroup
		for range 3 {
			wait.Go(func() {
				if c, err := l.Accept(); c != nil ||
					!errors.Is(err, net.ErrClosed) {
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
		if _, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err,
			syscall.ECONNREFUSED) {
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
			t.Errorf("%d shards: %d handed out, %d clients served, %+v", shards, served,
				whole, l.Stats())
		}
	}
}

// Clients come all the time while the listener closes. A connection that came about is
// served: none is reset.
func TestCloseUnderLoad(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		for _, shards := range []int{1, 4} {
			l, err := Config{Shards: shards}.Listen(t.Context(), "tcp", address)
			if errors.Is(err, syscall.EADDRNOTAVAIL) ||
				errors.Is(err, syscall.EAFNOSUPPORT) {
				t.Log("no IPv6 here: ", err)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
				_ *http.Request) {
				w.Write([]byte("served"))
			})}
			ended := make(chan error)
			go func() { ended <- server.Serve(l) }()
			served, lost := loadWhile(l.Addr().String(), func() {
				await(t, "there is load", func() bool {
					return l.Stats().Accepted > load()
				})
				l.Close()
				if err := <-ended; !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			})
			server.Close()
			if len(lost) > 0 || served != int(l.Stats().Accepted) {
				t.Errorf("%s, %d shards: served %d, accepted %d, lost %d, %v",
					address, shards, served, l.Stats().Accepted, len(lost),
					lost)
			}
		}
	}
}

// load is how many connections there were before a listener is closed.
func load() uint64 {
	if testing.Short() {
		return 50 // an emulated machine is slow
	}
	return 200
}

// What package net loses in the same place is logged: it depends on what happens to be queued.
func TestCloseUnderLoadControl(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var accepted atomic.Int64
	server := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter,
		_ *http.Request) {
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
		if st := l.Stats(); st.RefusedClose != 1 {
			t.Errorf("%v: %+v", timeout, st)
		}
	}
}

// The filter of a closing listener is gone from the connections it hands out.
func TestDrainedConnHasNoFilter(t *testing.T) {
	l := open(t, Config{}, "tcp", "127.0.0.1:0")
	needFilter(t, l.shards[0].raw)
	if _, err := net.DialTimeout("tcp", l.Addr().String(), 50*time.Millisecond); err == nil {
		t.Error("a handshake went through the filter")
	}
	if l.Stats().Drops == 0 {
		t.Error("the filter dropped nothing")
	}
	c := dial(t, open(t, Config{}, "tcp", "127.0.0.1:0"))
	raw, _ := c.(*net.TCPConn).SyscallConn()
	needFilter(t, raw)
	heedHandshakes(c)
	err := control(raw, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	})
	if err != unix.ENOENT {
		t.Errorf("detach once more: %v", err)
	}
}

// needFilter attaches it, or skips the test where the kernel does not allow that.
func needFilter(t *testing.T, raw syscall.RawConn) {
	t.Helper()
	if err := dropHandshakes(raw); err == unix.EPERM {
		t.Skip("this kernel wants CAP_NET_ADMIN for a filter: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
}

// Without the filter, new clients are refused; one whose handshake has begun is served.
func TestRefuseHandshakes(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, err := Config{DeferAccept: 10 * time.Second}.Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Log("no IPv6 here: ", err)
			continue
		}
		defer l.Close()
		begun := dial(t, l)
		if err := refuseHandshakes(l.shards[0].raw); err != nil {
			t.Fatal(err)
		}
		if _, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err,
			syscall.ECONNREFUSED) {
			t.Errorf("a new client: %v", err)
		}
		begun.Write([]byte("x"))
		c := accept(t, l)
		c.Write([]byte("y"))
		if _, err := io.ReadFull(begun, make([]byte, 1)); err != nil {
			t.Error(err)
		}
	}
}

// Nothing here needs a capability: an ordinary user with none at all closes without loss,
// is cut, runs out of descriptors.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("all tests run without privileges already")
	}
	if testing.Short() {
		t.Skip("an emulated machine is too slow to run them twice")
	}
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run",
		"^Test(CloseUnderLoad|CloseDrains|RefuseHandshakes|LateConnHasNoFilter|KeepAlive|DeferAccept|ReserveLost|CloseWithoutDescriptors)$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534,
		Gid: 65534}, Pdeathsig: syscall.SIGKILL}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if n := strings.Count(string(out), "\n--- PASS: "); err != nil || n < 7 {
		t.Errorf("%d passed, %v\n%s", n, err, out)
	}
}

// A handshake that ends while Close waits for it makes a connection with a copy of the
// filter: that is gone too.
func TestLateConnHasNoFilter(t *testing.T) {
	l := open(t, Config{DeferAccept: 10 * time.Second, HandshakeGrace: 2 * time.Second}, "tcp",
		"127.0.0.1:0")
	needFilter(t, open(t, Config{}, "tcp", "127.0.0.1:0").shards[0].raw)
	client := dial(t, l) // for the kernel its handshake is not over until it has sent something
	closed := make(chan error)
	go func() { closed <- l.Close() }()
	await(t, "the filter is there", func() bool {
		// too small a buffer for a filter
		return control(l.shards[0].raw, func(fd int) error {
			_, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_GET_FILTER)
			return err
		}) == unix.EINVAL
	})
	client.Write([]byte("x"))
	raw, _ := accept(t, l).(*net.TCPConn).SyscallConn()
	err := control(raw, func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	})
	if err != unix.ENOENT {
		t.Errorf("detach: %v, want none there", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
}
