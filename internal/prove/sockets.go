package prove

import (
	"net/netip"

	"github.com/maxconn/maxconn/internal/lab"
)

// loopback is where most trials listen.
var loopback = netip.MustParseAddr("127.0.0.1")

// listenOn opens a listener on loopback, at a port outside of the local range.
func listenOn(server *lab.Actor, port uint16, backlog int) (lab.Group, netip.AddrPort) {
	g, addr, err := server.Listen(lab.ListenSpec{Addr: netip.AddrPortFrom(loopback, port),
		Backlog: backlog})
	return g, must(addr, err)
}

// knock starts handshakes and waits for none.
func knock(client *lab.Actor, to netip.AddrPort, n int) lab.Opened {
	return must(client.Connect(lab.ConnectSpec{To: to, N: n, NonBlocking: true}))
}

// connect opens connections one after the other and keeps them.
func connect(client *lab.Actor, to netip.AddrPort, n int) lab.Opened {
	return must(client.Connect(lab.ConnectSpec{To: to, N: n}))
}
