package dial

import (
	"net/netip"
	"sync"
	"testing"
	"time"
)

// A thousand dials wait, for the one place or for the one port that there is. They connect
// in the order in which they came.
func TestServedInOrder(t *testing.T) {
	const waiters = 1000
	for name, d := range map[string]*Dialer{
		"place": {MaxOpen: 1},
		"port": {
			Ports:   PortRange{51239, 51239},
			Sources: []netip.Addr{netip.MustParseAddr("127.9.9.30")},
			MaxWait: time.Hour,
		},
	} {
		t.Run(name, func(t *testing.T) {
			to := server(t, "127.0.0.1:0")
			first := dialed(t, d, to)
			order := make(chan int, waiters)
			var all sync.WaitGroup
			for i := range waiters {
				all.Go(func() {
					c, err := d.DialContext(t.Context(), "tcp", to.String())
					if err != nil {
						t.Error(err)
						return
					}
					order <- i // before Close, which lets the next one in
					c.(*Conn).SetLinger(0)
					c.Close()
				})
				awaitThat(t, "it waits", func() bool {
					return d.Stats().Destinations[0].Waiting == i+1
				})
			}
			first.SetLinger(0)
			first.Close()
			all.Wait()
			for i := range waiters {
				if got := <-order; got != i {
					t.Fatalf("place %d went to dial %d", i, got)
				}
			}
		})
	}
}
