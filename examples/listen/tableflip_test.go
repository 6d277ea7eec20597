package listen_test

import (
	"net"
	"testing"

	"github.com/cloudflare/tableflip"

	"github.com/maxconn/maxconn/listen"
)

// tableflip hands listeners over to a new process of the same program. It duplicates the
// socket, and the old process closes its Listener: the socket goes on taking clients for
// the new one.
func TestTableflip(t *testing.T) {
	upgrader, err := tableflip.New(tableflip.Options{})
	if err != nil {
		t.Skip(err) // it works once in a process
	}
	defer upgrader.Stop()
	made, err := upgrader.ListenWithCallback("tcp", "127.0.0.1:0",
		func(network, address string) (net.Listener, error) {
			return listen.Config{Backlog: 128}.Listen(t.Context(), network, address)
		})
	if err != nil {
		t.Fatal(err)
	}
	ln := made.(*listen.Listener)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Errorf("the socket that the next process gets takes no clients: %v", err)
	} else {
		c.Close()
	}
}
