package listen_test

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/vm"
	"github.com/maxconn/maxconn/listen"
)

// insideVar says that a test runs in the lab that it asked for.
const insideVar = "MAXCONN_LISTEN_INSIDE"

func TestMain(m *testing.M) {
	vm.Main()
	lab.Main()
	if os.Getenv(copyVar) != "" {
		copyAll()
		return
	}
	goleak.VerifyTestMain(m)
}

// inside runs the calling test again in a network namespace with settings, and says whether
// this is that run.
func inside(t *testing.T, settings map[string]string) bool {
	t.Helper()
	if os.Getenv(insideVar) != "" {
		return true
	}
	l, err := lab.Start(t.Context())
	if errors.Is(err, lab.ErrUnavailable) &&
		!strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for key, value := range settings {
		if err := l.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv(insideVar, "1")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out, err := l.Run(t.Context(), nil, self, "-test.run=^"+t.Name()+"$", "-test.v")
	if err != nil || out.Code != 0 || !strings.Contains(string(out.Stdout),
		"--- PASS: "+t.Name()) {
		t.Errorf("in the lab: %v, exit status %d\n%s%s", err, out.Code, out.Stdout,
			out.Stderr)
	}
	return false
}

func open(t testing.TB, c listen.Config, network, address string) *listen.Listener {
	t.Helper()
	l, err := c.Listen(context.Background(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func connect(t testing.TB, l *listen.Listener) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(l.Addr().Network(), l.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	// a test that hangs fails with what it waited for
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c
}

// sysctl reads a number, or listen.Unknown where this kernel has none.
func sysctl(t testing.TB, path string) int {
	t.Helper()
	text, err := os.ReadFile("/proc/sys/" + path)
	if errors.Is(err, os.ErrNotExist) {
		return listen.Unknown
	}
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
