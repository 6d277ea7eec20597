//go:build linux

package lab

import (
	"syscall"
	"testing"
	"time"
)

// Numbers that a plain loop of system calls makes in about a second, and a
// goroutine or a net.Conn each would not.
func TestLargeNumbers(t *testing.T) {
	const n = 15000
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	if testing.Short() || files.Max < n+100 {
		t.Skipf("%d connections need as many descriptors (hard limit %d) and are not "+
			"for -short", n, files.Max)
	}
	l := start(t)
	server, client := spawn(t, l, "server"), spawn(t, l, "client")
	g, at := listenOn(t, server, loopback(0), 4096)
	began := time.Now()
	in := make(chan Opened, 1)
	go func() {
		out, err := server.Accept(AcceptSpec{Listener: g, N: n, Within: time.Minute})
		if err != nil {
			t.Error(err)
		}
		in <- out
	}()
	out := must(client.Connect(ConnectSpec{To: at, N: n, Within: time.Minute}))(t)
	want(t, "connect", out, n, none{})
	want(t, "accept", <-in, n, none{})
	t.Logf("%d connections in %v", n, time.Since(began).Round(time.Millisecond))
	if closed := must(client.Close(out.Group, CloseSpec{Reset: true}))(t); closed != n {
		t.Errorf("closed %d", closed)
	}
	t.Logf("reset after %v", time.Since(began).Round(time.Millisecond))
}
