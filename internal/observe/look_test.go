package observe

import (
	"net"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
)

var looksFor = []host.Fact{host.Counter("TcpExt.ListenOverflows"), host.Counter("Tcp.ActiveOpens")}

// A look sees a queue as long as it is, and counters of TcpExt alone.
func TestLook(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 3 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	looker, err := OpenLooker(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer looker.Close()
	for range 2 { // the second finds nothing of the first in its way
		queues, counts, err := looker.Look(looksFor)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, q := range queues {
			if q.Listener.String() == l.Addr().String() {
				found = q.Used == 3 && q.Limit > 3
			}
		}
		_, known := counts[looksFor[0]]
		if !found || !known || len(counts) != 1 {
			t.Errorf("queues %v, counters %v; want 3 at %v", queues, counts, l.Addr())
		}
	}
}

func BenchmarkLook(b *testing.B) {
	looker, err := OpenLooker(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer looker.Close()
	for b.Loop() {
		if _, _, err := looker.Look(looksFor); err != nil {
			b.Fatal(err)
		}
	}
}
