package dial

import (
	"net"
	"net/netip"
	"runtime"
	"testing"
)

// A Dialer that is told nothing gives what net.Dialer gives, and what needs the end of a
// connection gives a Conn.
func TestTypeOfConnection(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	for _, v := range []struct {
		name  string
		d     *Dialer
		plain bool
	}{
		{"nothing", &Dialer{}, true},
		{"base", &Dialer{Base: net.Dialer{KeepAlive: -1}, MaxWait: -1}, true},
		{"kernel", &Dialer{Choice: KernelPort}, true},
		{"explicit", &Dialer{Choice: ExplicitPort}, runtime.GOOS != "linux"},
		{"open", &Dialer{MaxOpen: 1}, false},
		{"rate", &Dialer{MaxPerSecond: 1000}, false},
		{"sources", &Dialer{Sources: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
			false},
		{"local", &Dialer{Base: net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0,
			1)}}}, false},
	} {
		c := must(v.d.Dial("tcp", to.String()))(t)
		_, plain := c.(*net.TCPConn)
		if _, counted := c.(*Conn); plain != v.plain || counted == v.plain {
			t.Errorf("%s: a %T", v.name, c)
		}
		c.Close()
	}
}

// Connections of which nobody tells when they are closed are counted all the same, and a
// second Close or one that comes late changes nothing.
func TestPlainConnectionsAreCounted(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	d := &Dialer{}
	var held []net.Conn
	for range 10 {
		held = append(held, must(d.Dial("tcp", to.String()))(t))
	}
	for open := 10; open >= 0; open-- {
		if s := d.Stats().Destinations[0]; s.Open != open || s.TimeWait != 10-open {
			t.Errorf("%d are open: %+v", open, s)
		}
		if open > 0 {
			held[open-1].Close()
			held[open-1].Close()
		}
	}
	if n := len(d.core.Load().all()[0].loose.conns); n != 0 {
		t.Errorf("%d closed connections are remembered", n)
	}
}
