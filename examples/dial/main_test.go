// Package dial_test shows the dialer of maxconn in clients that people use. Each test
// starts the server that it needs on loopback, and checks that the connections came from
// the pool. It is a module of its own so that the libraries shown here are no dependencies
// of maxconn's.
package dial_test

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/dial"
)

// pool is a dialer with four source addresses: four times the ports to every server.
func pool() *dial.Dialer {
	return &dial.Dialer{Sources: []netip.Addr{
		netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3"),
		netip.MustParseAddr("127.0.0.4"), netip.MustParseAddr("127.0.0.5"),
	}}
}

// checkPool asserts that the dialer holds at least that many connections to a server, from
// more than one address.
func checkPool(t *testing.T, d *dial.Dialer, server string, least int) {
	t.Helper()
	for _, s := range d.Stats().Destinations {
		if s.Addr.String() != server {
			continue
		}
		used := 0
		for _, p := range s.Pairs {
			if p.Open > 0 {
				used++
			}
		}
		if s.Open < least || used < 2 {
			t.Errorf("%d connections from %d addresses, want %d from several: %+v",
				s.Open, used, least, s.Pairs)
		}
		return
	}
	t.Errorf("the dialer knows nothing of %s", server)
}

// freePort is a port that nobody listens on at this moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// start runs a server until the test ends, and waits until it listens.
func start(t *testing.T, cmd *exec.Cmd, address string) {
	t.Helper()
	cmd.Stderr = os.Stderr
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGQUIT // with this process, however it ends
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// both servers shut down in order, and postgres ends its children
		cmd.Process.Signal(syscall.SIGINT)
		late := time.AfterFunc(10*time.Second, func() { cmd.Process.Kill() })
		defer late.Stop()
		cmd.Wait()
	})
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// program is skipped when the host does not have it.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip("not installed: ", err)
	}
	return path
}
