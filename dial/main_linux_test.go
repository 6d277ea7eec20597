package dial

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
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

// goroutinesLeft waits for all but its own to end, and gives the stacks of those that do not.
func goroutinesLeft() string {
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > 1; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			return string(stacks[:runtime.Stack(stacks, true)])
		}
	}
	return ""
}

// play runs one role and gives the exit status.
func play(role string) int {
	roles := map[string]func() error{unprivilegedRole: dialUnprivileged, filesRole: dialWithoutFiles}
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
