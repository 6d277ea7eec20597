package coalescetest

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
)

var sockets atomic.Int64

// Connected returns the two ends of a connection over "tcp" (loopback) or "unix".
func Connected(network string) (a, b net.Conn, err error) {
	address := "127.0.0.1:0"
	if network == "unix" {
		address = fmt.Sprintf("@coalesce-test-%p-%d", &sockets, sockets.Add(1))
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if a, err = net.Dial(network, l.Addr().String()); err != nil {
		return nil, nil, err
	}
	if b, err = l.Accept(); err != nil {
		a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// TCP is a connection over loopback.
func TCP(t testing.TB) (wrap, peer net.Conn) { return connected(t, "tcp") }

// Unix is a connection over a Unix socket.
func Unix(t testing.TB) (wrap, peer net.Conn) { return connected(t, "unix") }

// Foreign is a connection of a type that nobody knows.
func Foreign(t testing.TB) (wrap, peer net.Conn) {
	a, b := connected(t, "tcp")
	return foreign{a}, b
}

type foreign struct{ net.Conn }

func connected(t testing.TB, network string) (a, b net.Conn) {
	t.Helper()
	a, b, err := Connected(network)
	if err != nil {
		t.Fatal(err)
	}
	if tcp, ok := a.(*net.TCPConn); ok { // so that a stalled peer is felt soon
		tcp.SetWriteBuffer(16 << 10)
		b.(*net.TCPConn).SetReadBuffer(64 << 10)
	}
	return a, b
}
