//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/linux/netns"
)

func TestMain(m *testing.M) {
	Main()
	playParent()
	os.Exit(m.Run())
}

// start gives a lab that ends with the test.
func start(t testing.TB) *Lab {
	t.Helper()
	l, err := Start(context.Background())
	if errors.Is(err, ErrUnavailable) && !strings.Contains(os.Getenv("MAXCONN_REQUIRE"),
		"lab") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func spawn(t testing.TB, l *Lab, name string) *Actor {
	t.Helper()
	a, err := l.Spawn(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// keepTimeWait keeps TIME_WAIT from a RST. On two CPUs the last ACK may cross a socket that is just
// closing, and a RST answers it.
func keepTimeWait(t *testing.T, l *Lab) {
	t.Helper()
	set(t, l, "net.ipv4.tcp_rfc1337", "1")
}

func set(t testing.TB, l *Lab, key, value string) {
	t.Helper()
	if err := l.Set(key, value); err != nil {
		t.Fatal(err)
	}
}

// must is for verbs whose failure is the lab's, not the kernel's.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// await polls the kernel for something that happens by itself but tells nobody: a
// FIN that is processed, an orphan that is reaped.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}

// alive is false for a process that is gone or a zombie.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	return len(fields) > 0 && fields[0] != "Z" && fields[0] != "X"
}

// inhabited reports whether any process is in the namespace.
func inhabited(t testing.TB, id netns.ID) bool {
	t.Helper()
	listing, err := netns.System().List()
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range listing.Namespaces {
		if ns.ID == id {
			return true
		}
	}
	return false
}

func identity(t testing.TB, l *Lab) netns.ID {
	t.Helper()
	return must(netns.Identify(netns.Path(l.NetNS())))(t)
}

// sockets counts the namespace's TCP sockets by state, as /proc/net/tcp numbers
// them, at a local port (0: any).
func sockets(t testing.TB, l *Lab, state string, port uint16) int {
	t.Helper()
	n := 0
	for _, file := range []string{"tcp", "tcp6"} {
		text := must(os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", l.PID(), file)))(t)
		for _, line := range strings.Split(string(text), "\n")[1:] {
			f := strings.Fields(line)
			if len(f) > 3 && f[3] == state &&
				(port == 0 || strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port))) {
				n++
			}
		}
	}
	return n
}

// descriptors counts the open ones of a process.
func descriptors(t testing.TB, pid int) int {
	t.Helper()
	return len(must(filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid)))(t))
}
