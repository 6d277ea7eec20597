// Package listen_test shows the listeners of maxconn in servers that people run: net/http,
// TLS, gRPC. Each test is a server with clients on loopback, and checks what the clients
// saw and what the listener counted.
package listen_test

import (
	"net"
	"testing"

	"github.com/maxconn/maxconn/listen"
)

// busy is what an HTTP client is told in place of an answer.
const busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

// open listens on a port of loopback that the system chooses.
func open(t *testing.T, c listen.Config) *listen.Listener {
	t.Helper()
	ln, err := c.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// plain is what package net does in the same place.
func plain(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}
