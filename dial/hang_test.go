package dial

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A race whose context ends says so at once: no outcome is lost between the two.
func TestRaceEndsWithItsContext(t *testing.T) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	refused := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	d := &Dialer{Base: net.Dialer{FallbackDelay: time.Hour}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 200 {
		ended := make(chan error, 1)
		go func() {
			_, err := must(d.start())(t).race(ctx, "tcp", []netip.AddrPort{refused},
				[]netip.AddrPort{refused})
			ended <- err
		}()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("the dial hangs")
		}
	}
}
