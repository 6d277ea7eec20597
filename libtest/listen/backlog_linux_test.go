package listen_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/linux/sockdiag"
	"github.com/maxconn/maxconn/listen"
)

// kernelSays gives the sum of queue lengths, of limits and of drops of the listeners on the
// port, as sock_diag lists them.
func kernelSays(t *testing.T, addr net.Addr) (sockets, queued, limit int, drops int64) {
	t.Helper()
	conn, err := sockdiag.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	port := addr.(*net.TCPAddr).AddrPort().Port()
	err = conn.Dump(sockdiag.Request{
		Family:     unix.AF_UNSPEC,
		States:     sockdiag.Listen.Mask(),
		Memory:     true,
		SourcePort: port,
	}, func(s *sockdiag.Socket) error {
		sockets++
		queued += int(s.ReceiveQueue)
		limit += int(s.SendQueue)
		drops += int64(s.Drops)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return
}

func TestBacklogIsCut(t *testing.T) {
	if !inside(t, map[string]string{"net.core.somaxconn": "16"}) {
		return
	}
	_, err := listen.Config{Backlog: 100}.Listen(t.Context(), "tcp", "127.0.0.1:0")
	var cut *listen.BacklogError
	if !errors.As(err, &cut) ||
		*cut != (listen.BacklogError{Queue: "backlog", Asked: 100, Got: 16,
			Somaxconn: 16}) {
		t.Fatalf("Listen = %v", err)
	}
	for _, word := range []string{"listen tcp 127.0.0.1:", "backlog 100", "cut it to 16",
		"net.core.somaxconn"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in %q", word, err)
		}
	}
	l := open(t, listen.Config{Backlog: 100, BestEffort: true, Shards: 2}, "tcp", "127.0.0.1:0")
	if _, _, limit, _ := kernelSays(t, l.Addr()); limit != 32 || l.Stats().Limit != 32 ||
		len(l.Unmet()) != 1 || !errors.As(l.Unmet()[0], &cut) {
		t.Errorf("limit %d, %+v, unmet %v", limit, l.Stats(), l.Unmet())
	}
	if err := l.Resize(17); !errors.As(err, &cut) || cut.Asked != 17 || cut.Got != 16 {
		t.Errorf("Resize = %v", err)
	}
	path := filepath.Join(t.TempDir(), "socket")
	if _, err := (listen.Config{Backlog: 17}).Listen(t.Context(), "unix", path); !errors.As(err,
		&cut) || cut.Got != 16 {
		t.Errorf("unix: %v", err)
	}
	if l := open(t, listen.Config{Backlog: 16}, "unix", path); l.Stats().Limit != 16 {
		t.Errorf("unix: %+v", l.Stats())
	}
	l = open(t, listen.Config{}, "tcp", "127.0.0.1:0")
	if l.Stats().Limit != 16 {
		t.Errorf("without a backlog: %+v", l.Stats())
	}
}

func TestResize(t *testing.T) {
	l := open(t, listen.Config{Backlog: 5, Shards: 2}, "tcp", "127.0.0.1:0")
	for range 6 {
		connect(t, l)
	}
	for _, n := range []int{5, 64, 1000, 1, 50} {
		if err := l.Resize(n); err != nil {
			t.Fatal(err)
		}
		sockets, queued, limit, _ := kernelSays(t, l.Addr())
		if st := l.Stats(); sockets != 2 || limit != 2*n || queued != 6 ||
			st.Limit != 2*n || st.Queued != 6 {
			t.Errorf("Resize(%d): %d sockets, limit %d, queued %d, %+v", n, sockets,
				limit, queued, st)
		}
	}
	if err := l.Resize(0); err != nil || l.Stats().Limit != 2*sysctl(t, "net/core/somaxconn") {
		t.Errorf("Resize(0): %v, limit %d", err, l.Stats().Limit)
	}
	if err := l.Resize(-1); err == nil {
		t.Error("Resize(-1): no error")
	}
	l.Close()
	if err := l.Resize(5); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if st := l.Stats(); st.Limit != 2*sysctl(t, "net/core/somaxconn") ||
		st.Drops == listen.Unknown {
		t.Errorf("after Close: %+v", st)
	}
}

// What the socket says of itself is what sock_diag says of it.
func TestDrops(t *testing.T) {
	l := open(t, listen.Config{Backlog: 1}, "tcp4", "127.0.0.1:0")
	for range 8 { // two fit
		fd, err := unix.Socket(unix.AF_INET,
			unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		to := &unix.SockaddrInet4{Port: l.Addr().(*net.TCPAddr).Port,
			Addr: netip.MustParseAddr("127.0.0.1").As4()}
		if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
			t.Fatal(err)
		}
	}
	st := l.Stats()
	_, queued, _, drops := kernelSays(t, l.Addr())
	if st.Queued != 2 || queued != 2 || st.Drops < 6 || drops < st.Drops {
		t.Errorf("%+v; sock_diag: queued %d, drops %d", st, queued, drops)
	}
}

func TestOptions(t *testing.T) {
	if !inside(t, map[string]string{"net.ipv4.tcp_fastopen": "3", "net.core.somaxconn": "64"}) {
		return
	}
	l := open(t, listen.Config{DeferAccept: 4500e6, FastOpen: 10}, "tcp", "127.0.0.1:0")
	if st := l.Stats(); st.DeferAccept != 7e9 || st.FastOpen != 10 {
		t.Errorf("%+v", st)
	}
	var cut *listen.BacklogError
	if _, err := (listen.Config{FastOpen: 100}).Listen(t.Context(), "tcp",
		"127.0.0.1:0"); !errors.As(err, &cut) || cut.Got != 64 ||
		cut.Queue != "fast open queue" {
		t.Errorf("fast open cut: %v", err)
	}
	if st := l.Stats(); st.MigrateReq != sysctl(t, "net/ipv4/tcp_migrate_req") {
		t.Errorf("%+v", st)
	}
}

func TestFastOpenSwitchedOff(t *testing.T) {
	if !inside(t, map[string]string{"net.ipv4.tcp_fastopen": "1"}) {
		return
	}
	_, err := listen.Config{FastOpen: 10}.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), "net.ipv4.tcp_fastopen is 1") {
		t.Errorf("Listen = %v", err)
	}
	l := open(t, listen.Config{FastOpen: 10, BestEffort: true}, "tcp", "127.0.0.1:0")
	if len(l.Unmet()) != 1 {
		t.Errorf("unmet %v", l.Unmet())
	}
}

func TestMigrateReqIsRead(t *testing.T) {
	if !inside(t, nil) {
		return
	}
	want := 1
	if err := unix.Access("/proc/sys/net/ipv4/tcp_migrate_req", unix.F_OK); err != nil {
		want = listen.Unknown // before 5.14
	} else if fd, err := unix.Open("/proc/sys/net/ipv4/tcp_migrate_req", unix.O_WRONLY,
		0); err != nil {
		t.Fatal(err)
	} else if _, err := unix.Write(fd, []byte("1")); err != nil || unix.Close(fd) != nil {
		t.Fatal(err)
	}
	if st := open(t, listen.Config{Shards: 2}, "tcp", "127.0.0.1:0").Stats(); st.MigrateReq !=
		want {
		t.Errorf("%+v", st)
	}
}

// Nothing here needs a capability: an ordinary user with none at all resizes and reads what
// was dropped.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("all tests run without privileges already")
	}
	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run", "^Test(Resize|Drops)$")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Pdeathsig: syscall.SIGKILL,
	}
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if n := strings.Count(string(out), "\n--- PASS: "); err != nil || n != 2 {
		t.Errorf("%d passed, %v\n%s", n, err, out)
	}
}
