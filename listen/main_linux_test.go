package listen

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// roleVar makes the test binary one of the programs in roles.
const roleVar = "MAXCONN_LISTEN_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		play(role)
		return
	}
	status := m.Run()
	if left := goroutinesLeft(); left != "" && status == 0 {
		fmt.Fprintf(os.Stderr, "goroutines are left:\n%s\n", left)
		status = 1
	}
	os.Exit(status)
}

// goroutinesLeft waits for all to end that tests have started, and gives the stacks of
// those that do not.
func goroutinesLeft() string {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		dump := make([]byte, 1<<20)
		dump = dump[:runtime.Stack(dump, true)]
		var left []string
		for stack := range strings.SplitSeq(string(dump), "\n\n") {
			// This goroutine, and the one that package testing has in a process
			// that fuzzes.
			if !strings.Contains(stack, "goroutinesLeft") &&
				!strings.Contains(stack, "os/signal.loop") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 || time.Now().After(end) {
			return strings.Join(left, "\n\n")
		}
	}
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
	// a test that hangs fails with what it waited for
	c.SetDeadline(time.Now().Add(30 * time.Second))
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
