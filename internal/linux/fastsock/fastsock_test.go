//go:build linux

package fastsock

import (
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/linux/thread"
)

func must(t *testing.T, what string, e syscall.Errno) {
	t.Helper()
	if e != 0 {
		t.Fatalf("%s: %v", what, e)
	}
}

func listener(t *testing.T, at string) (int, Addr) {
	t.Helper()
	a := NewAddr(netip.MustParseAddrPort(at))
	l, e := Socket(a.Family())
	must(t, "socket", e)
	t.Cleanup(func() { Close(l) })
	must(t, "reset on close", ResetOnClose(l))
	must(t, "bind", Bind(l, &a))
	must(t, "listen", Listen(l, 8))
	a, e = Local(l)
	must(t, "local address", e)
	return l, a
}

// Over loopback a handshake is done when connect() returns: the second call says so, and
// the connection can be accepted.
func TestHandshakeIsSynchronous(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0"} {
		l, a := listener(t, at)
		s, e := Socket(a.Family())
		must(t, "socket", e)
		defer Close(s)
		if e := Connect(s, &a); e != syscall.EINPROGRESS {
			t.Fatalf("%s: connect: %v", at, e)
		}
		if e := Connect(s, &a); e != 0 {
			t.Errorf("%s: connect again: %v", at, e)
		}
		c, e := Accept(l)
		must(t, "accept", e)
		if _, e := Accept(l); e != syscall.EAGAIN {
			t.Errorf("a second accept: %v", e)
		}
		if n, e := Send(s, []byte("hello")); n != 5 || e != 0 {
			t.Errorf("send: %d %v", n, e)
		}
		b := make([]byte, 10)
		if n, e := Receive(c, b); e != 0 || string(b[:n]) != "hello" {
			t.Errorf("receive: %q %v", b[:n], e)
		}
		if n, e := Retransmits(s); n != 0 || e != 0 {
			t.Errorf("%d retransmits, %v", n, e)
		}
		Close(c) // resets: the listener's linger is inherited
		if _, e := Receive(s, b); e != syscall.ECONNRESET {
			t.Errorf("receive after the reset: %v", e)
		}
		must(t, "disconnect", Disconnect(s))
		if e := Connect(s, &a); e != syscall.EINPROGRESS {
			t.Errorf("connect with the same socket: %v", e)
		}
		c, e = Accept(l)
		must(t, "accept", e)
		Close(c)
	}
}

// A thread's own descriptor table: what it opens is nobody else's, and goes with it. A bell
// rings in every table.
func TestOwnTable(t *testing.T) {
	bell, e := NewBell()
	must(t, "bell", e)
	defer bell.Close()
	l, a := listener(t, "127.0.0.1:0")
	opened, heard := make(chan int), make(chan syscall.Errno)
	thread.Run(func() {
		if e := UnshareFiles(); e != 0 {
			opened <- -1
			heard <- e
			return
		}
		s, _ := Socket(a.Family())
		p, e := NewEpoll(4)
		if e == 0 {
			e = p.Add(int(bell), Readable, 7)
		}
		_ = Connect(s, &a)
		opened <- s
		if e == 0 {
			got := uint64(0)
			_, e = p.Wait(-1, func(ev Event) { got = ev.Data })
			if got != 7 {
				e = syscall.EINVAL
			}
		}
		heard <- e
	})
	s := <-opened
	if s < 0 {
		t.Skipf("descriptor tables of threads are not allowed here: %v", <-heard)
	}
	if _, e := Local(s); s > int(bell)+16 || e == 0 && s != l && localPort(s) == localPort(l) {
		t.Errorf("descriptor %d of the other thread is one here", s)
	}
	c, e := Accept(l)
	must(t, "accept", e)
	defer Close(c)
	bell.Ring()
	must(t, "hear", <-heard)
	// The thread ends now, and with its table the connection does.
	p, e := NewEpoll(1)
	must(t, "epoll", e)
	defer p.Close()
	must(t, "watch", p.Add(c, Readable|PeerClosed, 1))
	if n, e := p.Wait(10*time.Second, func(Event) {}); n != 1 || e != 0 {
		t.Errorf("the connection outlives the thread: %d %v", n, e)
	}
}

func localPort(fd int) uint16 {
	a, _ := Local(fd)
	return a.Port()
}

func TestAddr(t *testing.T) {
	for _, text := range []string{"127.0.0.1:80", "[::1]:65535", "[fd00::1:2]:1"} {
		want := netip.MustParseAddrPort(text)
		a := NewAddr(want)
		if a.AddrPort() != want {
			t.Errorf("%s became %s", text, a.AddrPort())
		}
		a.SetPort(9)
		if a.Port() != 9 || a.AddrPort().Addr() != want.Addr() {
			t.Errorf("%s with port 9: %s", text, a.AddrPort())
		}
	}
}

func TestWaitTimesOut(t *testing.T) {
	p, e := NewEpoll(1)
	must(t, "epoll", e)
	defer p.Close()
	for _, old := range []bool{false, true} {
		p.old = old
		for _, d := range []time.Duration{0, time.Microsecond, time.Millisecond} {
			if n, e := p.Wait(d, func(Event) {}); n != 0 || e != 0 {
				t.Errorf("%v: %d events, %v", d, n, e)
			}
		}
	}
	if FileLimit() == 0 || CPUTime() == 0 || ErrnoName(syscall.EMFILE) != "EMFILE" {
		t.Error("limits of this process")
	}
}
