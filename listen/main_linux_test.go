package listen

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/vm"
)

const (
	// roleVar makes the test binary one of the programs in roles.
	roleVar = "MAXCONN_LISTEN_ROLE"
	// insideVar says that a test runs in the lab that it asked for.
	insideVar = "MAXCONN_LISTEN_INSIDE"
)

func TestMain(m *testing.M) {
	vm.Main()
	lab.Main()
	if role := os.Getenv(roleVar); role != "" {
		play(role)
		return
	}
	goleak.VerifyTestMain(m)
}

// inside runs the calling test again in a network namespace with settings, and says whether this is that run.
func inside(t *testing.T, settings map[string]string) bool {
	t.Helper()
	if os.Getenv(insideVar) != "" {
		return true
	}
	l, err := lab.Start(t.Context())
	if errors.Is(err, lab.ErrUnavailable) && !strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
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
	if err != nil || out.Code != 0 || !strings.Contains(string(out.Stdout), "--- PASS: "+t.Name()) {
		t.Errorf("in the lab: %v, exit status %d\n%s%s", err, out.Code, out.Stdout, out.Stderr)
	}
	return false
}

// role prepares the test binary as another program.
func role(t testing.TB, name string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), roleVar+"="+name)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func open(t testing.TB, c Config, network, address string) *Listener {
	t.Helper()
	l, err := c.Listen(context.Background(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t testing.TB, l *Listener) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(l.Addr().Network(), l.Addr().String(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second)) // a test that hangs fails with what it waited for
	return c
}

func accept(t testing.TB, l *Listener) net.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// await polls for what the kernel or another goroutine does and tells nobody.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited too long until %s", what)
		}
	}
}
