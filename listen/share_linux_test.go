package listen

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tableflipListener and unlinker are what github.com/cloudflare/tableflip wants of a
// listener (fds.go).
type tableflipListener interface {
	net.Listener
	syscall.Conn
}

type unlinker interface{ SetUnlinkOnClose(bool) }

var (
	_ tableflipListener = (*Listener)(nil)
	_ unlinker          = (*Listener)(nil)
	_ socket            = (*Listener)(nil)
)

// A deadline ends those who wait, in every way to wait, and those who come later until it is moved.
func TestSetDeadline(t *testing.T) {
	for _, c := range []Config{{}, {Shards: 3}, {MaxConnections: 1},
		{MaxConnections: 1, Shards: 3}} {
		l := open(t, c, "tcp", "127.0.0.1:0")
		if c.MaxConnections > 0 { // all places are taken, and a client waits
			dial(t, l)
			accept(t, l)
			dial(t, l)
		}
		ended := make(chan error)
		for range 3 {
			go func() {
				_, err := l.Accept()
				ended <- err
			}()
		}
		for _, at := range []time.Time{time.Unix(1, 0),
			time.Now().Add(10 * time.Millisecond)} {
			if err := l.SetDeadline(at); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				var op *net.OpError
				if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) ||
					!errors.As(err, &op) || op.Op != "accept" || !op.Timeout() {
					t.Errorf("%+v: Accept = %v", c, err)
				}
				go func() {
					_, err := l.Accept()
					ended <- err
				}()
			}
		}
		for range 3 {
			<-ended
		}
		l.SetDeadline(time.Time{})
		if c.MaxConnections == 0 {
			dial(t, l)
			accept(t, l)
		}
		l.Close()
		if err := l.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%+v: after Close: %v", c, err)
		}
	}
}

// Serve ends with a deadline as with any error, and closes.
func TestServeWithDeadline(t *testing.T) {
	for _, shards := range []int{1, 3} {
		l := open(t, Config{Shards: shards}, "tcp", "127.0.0.1:0")
		l.SetDeadline(time.Now().Add(10 * time.Millisecond))
		if err := l.Serve(func(net.Conn) {}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Serve = %v", err)
		}
		if _, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err,
			syscall.ECONNREFUSED) {
			t.Errorf("dial: %v", err)
		}
	}
}

// File is that of package net, for one socket.
func TestFile(t *testing.T) {
	l := open(t, Config{}, "tcp", "127.0.0.1:0")
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	heir, err := net.FileListener(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer heir.Close()
	l.Close()
	dial(t, l)
	if c, err := heir.Accept(); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	l = open(t, Config{Shards: 2}, "tcp", "127.0.0.1:0")
	if _, err := l.File(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("File with two shards: %v", err)
	}
	if _, err := l.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SyscallConn with two shards: %v", err)
	}
}

// Who reads options changes nothing (gRPC does, of each listener); who duplicates the
// descriptor has Close leave the socket as it is.
func TestSyscallConn(t *testing.T) {
	for _, c := range []Config{{}, {MaxConnections: 10}} {
		l := open(t, c, "tcp", "127.0.0.1:0")
		raw, err := l.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) {
			unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE)
		})
		if l.shared.Load() {
			t.Error("an option was read, and the socket is taken for one that " +
				"others hold")
		}
		dup := -1
		raw.Control(func(fd uintptr) {
			dup, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0)
		})
		if err != nil {
			t.Fatal(err)
		}
		f := os.NewFile(uintptr(dup), "heir")
		heir, err := net.FileListener(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		defer heir.Close()
		l.Close()
		dial(t, l) // no filter is in its way
		if c, err := heir.Accept(); err != nil {
			t.Error(err)
		} else {
			c.Close()
		}
		if _, err := l.SyscallConn(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestSetUnlinkOnClose(t *testing.T) {
	path := t.TempDir() + "/socket"
	l := open(t, Config{}, "unix", path)
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// marking is a wrapper whose Accept does something.
type marking struct{ *net.TCPListener }

type marked struct{ net.Conn }

func (m marking) Accept() (net.Conn, error) {
	c, err := m.TCPListener.Accept()
	if err != nil {
		return nil, err
	}
	return marked{c}, nil
}

// bareListener has what tableflip's interface has, and no more.
type bareListener struct {
	net.Listener
	syscall.Conn
}

// Listeners that wrap a socket can be adopted, and keep doing what they do; one that hides
// its socket cannot.
func TestAdoptWrapped(t *testing.T) {
	for _, c := range []Config{{}, {MaxConnections: 5}} {
		inner := listening(t).(*net.TCPListener)
		own := open(t, Config{}, "tcp", "127.0.0.1:0")
		second := listening(t).(*net.TCPListener)
		for name, ln := range map[string]net.Listener{
			"embedding": marking{inner}, "no deadline": bareListener{second, second},
			"this package's": own,
		} {
			l, err := c.Adopt(ln)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			client := dial(t, l)
			got := accept(t, l)
			if _, is := unwrap(got).(marked); is != (name == "embedding") {
				t.Errorf("%s: accepted a %T", name, got)
			}
			got.Write([]byte("x"))
			if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			ended := make(chan error)
			go func() {
				_, err := l.Accept()
				ended <- err
			}()
			if err := l.Close(); err != nil {
				t.Errorf("%s: Close = %v", name, err)
			}
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: Accept = %v", name, err)
			}
			if _, err := net.Dial("tcp", l.Addr().String()); !errors.Is(err,
				syscall.ECONNREFUSED) {
				t.Errorf("%s: dial after Close: %v", name, err)
			}
		}
	}
	hidden := tls.NewListener(listening(t), &tls.Config{})
	defer hidden.Close()
	if _, err := (Config{}).Adopt(hidden); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Adopt of a listener that hides its socket: %v", err)
	}
}
