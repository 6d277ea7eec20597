package listen

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Clients come all the time, and a server ends as Drain says: nobody is lost, Shutdown ends
// at once, and Serve returns what programs wait for. It holds at the limit too, whose
// places idle connections take.
func TestDrainAndShutdown(t *testing.T) {
	for _, c := range []Config{{}, {Shards: 3}, {MaxConnections: 3},
		{MaxConnections: 3, Shards: 3}} {
		// for clients of a busy machine to send their request
		c.HandshakeGrace = 200 * time.Millisecond
		l := open(t, c, "tcp", "127.0.0.1:0")
		server := serveHTTP(l)
		served, lost := loadWhile(l.Addr().String(), func() {
			await(t, "there is load", func() bool {
				return l.Stats().Accepted > load()
			})
			server.SetKeepAlivesEnabled(false)
			if err := l.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			if err := server.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if err := <-server.ended; err != http.ErrServerClosed {
				t.Errorf("Serve = %v", err)
			}
		})
		if len(lost) > 0 || served != int(l.Stats().Accepted) {
			t.Errorf("%+v: served %d, accepted %d, lost %d, %v", c, served,
				l.Stats().Accepted, len(lost), lost)
		}
	}
}

// Drain waits for callers of Accept, not for more than its context allows, and not after Close.
func TestDrainEnds(t *testing.T) {
	for _, shards := range []int{1, 3} {
		l := open(t, Config{Shards: shards, MaxConnections: 1}, "tcp", "127.0.0.1:0")
		for range 2 {
			dial(t, l)
		}
		first := accept(t, l)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := l.Drain(ctx)
		cancel()
		var op *net.OpError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &op) ||
			op.Op != "drain" {
			t.Errorf("with one who waits: %v", err)
		}
		ended := make(chan error)
		go func() { ended <- l.Drain(t.Context()) }()
		first.Close()
		accept(t, l)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		go func() { ended <- l.Drain(t.Context()) }()
		l.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := l.Drain(t.Context()); err != nil {
			t.Errorf("after Close: %v", err)
		}
	}
}

// A socket that others hold is theirs to serve.
func TestDrainLeavesSharedSockets(t *testing.T) {
	l := open(t, Config{}, "tcp", "127.0.0.1:0")
	heir := succeed(t, l, Config{})
	dial(t, l)
	if err := l.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	dial(t, l)
	for range 2 {
		accept(t, heir)
	}
}

// A connection that is dropped without Close gives its place back once the garbage
// collector finds it, and one that is held inside of its wrapper only keeps it.
func TestDroppedConn(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		address := "127.0.0.1:0"
		if network == "unix" {
			address = t.TempDir() + "/socket"
		}
		l := open(t, Config{MaxConnections: 4}, network, address)
		var inner net.Conn
		for i := range 4 {
			dial(t, l)
			if c := acceptAndDrop(t, l); i == 0 {
				inner = c
			}
		}
		await(t, "what was dropped is not counted", func() bool {
			runtime.GC()
			return l.Stats().Open == 1
		})
		for range 3 {
			runtime.GC()
		}
		if n := l.Stats().Open; n != 1 {
			t.Errorf("%s: %d are open, want the one that is held", network, n)
		}
		inner.Close()
		runtime.KeepAlive(inner)
	}
}

//go:noinline
func acceptAndDrop(t *testing.T, l *Listener) net.Conn {
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return c.(interface{ NetConn() net.Conn }).NetConn()
}

// TCP_USER_TIMEOUT is there on what is accepted, in the wrapper too.
func TestUserTimeout(t *testing.T) {
	l := open(t, Config{UserTimeout: 9*time.Second + time.Microsecond, MaxConnections: 5},
		"tcp", "127.0.0.1:0")
	dial(t, l)
	raw, err := unwrap(accept(t, l)).(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = control(raw, func(fd int) error {
		ms, err := unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		if ms != 9001 {
			t.Errorf("TCP_USER_TIMEOUT is %d ms", ms)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := (Config{UserTimeout: -1}).Listen(t.Context(), "tcp",
		"127.0.0.1:0"); err == nil {
		t.Error("UserTimeout -1: no error")
	}
	if _, err := (Config{UserTimeout: 1}).Listen(t.Context(), "unix",
		t.TempDir()+"/s"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("UserTimeout on a Unix socket: %v", err)
	}
}
