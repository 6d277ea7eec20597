package dial

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// roleVar makes the test binary another program, and specVar says what it does.
const (
	roleVar = "MAXCONN_DIAL_TEST_ROLE"
	specVar = "MAXCONN_DIAL_TEST_SPEC"
)

// TestMain plays the roles. After the tests no goroutine may be left.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(play(role))
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

// play runs one role and gives the exit status.
func play(role string) int {
	roles := map[string]func() error{unprivilegedRole: dialUnprivileged,
		filesRole: dialWithoutFiles}
	if err := roles[role](); err != nil {
		fmt.Fprintln(os.Stderr, role, err)
		return 1
	}
	return 0
}

// serveAt accepts, and closes after its peer.
func serveAt(at netip.AddrPort) error {
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(io.Discard, c); c.Close() }()
		}
	}()
	return nil
}
