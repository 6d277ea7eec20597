package coalesce

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/maxconn/maxconn/coalesce/coalescetest"
	"github.com/maxconn/maxconn/dial"
	"github.com/maxconn/maxconn/listen"
)

// dialPair is what a dial.Dialer makes, and the other end.
func dialPair() (conn, peer net.Conn, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if conn, err = (&dial.Dialer{MaxOpen: 10}).Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	peer, err = l.Accept()
	return conn, peer, err
}

// acceptPair is what a listener with a limit accepts, and the other end.
func acceptPair() (conn, peer net.Conn, err error) {
	cfg := listen.Config{MaxConnections: 10}
	l, err := cfg.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if peer, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	conn, err = l.Accept()
	return conn, peer, err
}

func pairOf(make func() (conn, peer net.Conn, err error)) coalescetest.Pair {
	return func(t testing.TB) (wrap, peer net.Conn) {
		t.Helper()
		wrap, peer, err := make()
		if err != nil {
			t.Fatal(err)
		}
		return wrap, peer
	}
}

var kinds = []struct {
	name string
	pair coalescetest.Pair
}{
	{"dial", pairOf(dialPair)},
	{"listen", pairOf(acceptPair)},
	{"tcp", coalescetest.TCP},
	{"unix", coalescetest.Unix},
	{"tls", coalescetest.TLS},
	{"foreign", coalescetest.Foreign},
}

// The property test of coalesce, over the connections of dial and listen. The coalesce module has
// it for all others.
func TestInterleavings(t *testing.T) {
	trials := uint64(60)
	if testing.Short() {
		trials = 15
	}
	for _, kind := range kinds[:2] {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			for i := range trials {
				coalescetest.Run(t, seed+i, kind.pair)
				if t.Failed() {
					return
				}
			}
		})
	}
}

func FuzzInterleavings(f *testing.F) {
	for i := range uint64(16) {
		f.Add(i, uint8(i))
	}
	f.Fuzz(func(t *testing.T, seed uint64, kind uint8) {
		coalescetest.Run(t, seed, kinds[int(kind)%len(kinds)].pair)
	})
}
