package dial

import (
	"net/netip"
	"runtime"
	"testing"
)

// A connection that is dropped without Close keeps its place no longer than until the
// garbage collector finds it.
func TestDroppedConn(t *testing.T) {
	to := server(t, "127.0.0.1:0")
	d := &Dialer{MaxOpen: 20}
	for range 20 {
		drop(t, d, to)
	}
	awaitThat(t, "what was dropped is no longer counted", func() bool {
		runtime.GC()
		return d.Stats().Destinations[0].Open == 0
	})
	kept := dialed(t, d, to)
	for range 3 {
		runtime.GC()
	}
	if s := d.Stats().Destinations[0]; s.Open != 1 || s.TimeWait != 20 {
		t.Errorf("stats %+v", s)
	}
	kept.Close()
	runtime.GC()
	if s := d.Stats().Destinations[0]; s.Open != 0 {
		t.Errorf("closed once and counted twice: %+v", s)
	}
}

//go:noinline
func drop(t *testing.T, d *Dialer, to netip.AddrPort) {
	c, err := d.Dial("tcp", to.String())
	if err != nil {
		t.Error(err)
		return
	}
	runtime.KeepAlive(c)
}
