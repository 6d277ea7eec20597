package prove

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// ordinary is an address of a lab's own that is not in 127.0.0.0/8: for tcp_tw_reuse=2
// connections to it are like those to another host (net/ipv4/tcp_ipv4.c tcp_twsk_unique).
var ordinary = netip.MustParseAddr("10.99.0.1")

// ends are a client and a server in one lab.
type ends struct {
	World
	client, server *lab.Actor
	listener       lab.Group
	to             netip.AddrPort
}

// between makes a lab where a client can connect to a server on this address. RSTs end no
// TIME_WAIT there: on several processors a late packet of one connection could meet the
// next one of the same ports.
func (b *Bench) between(addr netip.Addr, settings ...string) ends {
	w := b.World(append([]string{"net.ipv4.tcp_rfc1337=1", "net.core.somaxconn=65535"},
		settings...)...)
	if addr == ordinary {
		b.Must(w.AddAddress("lo", netip.PrefixFrom(addr, 32)))
	}
	e := ends{World: w, client: w.Actor("client"), server: w.Actor("server")}
	e.listener, e.to = e.listen(addr, 8080)
	return e
}

// listen opens another port of the server.
func (e ends) listen(addr netip.Addr, port uint16) (lab.Group, netip.AddrPort) {
	g, at, err := e.server.Listen(lab.ListenSpec{Addr: netip.AddrPortFrom(addr, port),
		Backlog: 4096})
	return g, must(at, err)
}

// pairs opens n connections and gives both ends.
func (e ends) pairs(n int) (client, server lab.Group) {
	made := connect(e.client, e.to, n)
	if made.Count != n {
		e.b.Must(fmt.Errorf("%d of %d connections were made: %v", made.Count, n,
			made.Errors))
	}
	taken := must(e.server.Accept(lab.AcceptSpec{Listener: e.listener, N: n}))
	if taken.Count != n {
		e.b.Must(fmt.Errorf("%d of %d connections were accepted: %v", taken.Count, n,
			taken.Errors))
	}
	return made.Group, taken.Group
}

// wait opens n connections and closes them, first at the client: n sockets in TIME_WAIT
// there. It says when the first of them can have got there.
func (e ends) wait(n int) (since time.Time) {
	before := e.Sockstat("inuse")
	client, server := e.pairs(n)
	must(e.client.Close(client, lab.CloseSpec{}))
	e.arrived(server, n)
	since = time.Now()
	must(e.server.Close(server, lab.CloseSpec{}))
	e.b.Await(settling, func() bool { return e.Sockstat("inuse") <= before })
	return since
}

// stillWaiting ends the trial where the sockets in TIME_WAIT may have ended by themselves.
func (e ends) stillWaiting(since time.Time) {
	if took := time.Since(since); took > 58*time.Second {
		e.b.NotQuiet("%.0f s passed since the close, and TIME_WAIT is 60", took.Seconds())
	}
}

// settling is how long packets may take on a busy machine, where a thread of the kernel
// delivers them.
const settling = 15 * time.Second

// arrived waits until the client's FINs have: two sides that close at the same time would
// both have a TIME_WAIT.
func (e ends) arrived(server lab.Group, n int) {
	if !e.b.Await(settling, func() bool {
		return must(e.server.States(server))["CLOSE_WAIT"] == n
	}) {
		e.b.NotQuiet("not all of %d FINs were delivered within %v", n, settling)
	}
}

// from connects from an address and leaves the port to connect().
func from(client *lab.Actor, source string, to netip.AddrPort, n int) lab.Opened {
	return must(client.Connect(lab.ConnectSpec{
		To:     to,
		N:      n,
		From:   netip.AddrPortFrom(netip.MustParseAddr(source), 0),
		NoPort: true,
	}))
}

// Sockstat reads a figure of TCP in the world's /proc/net/sockstat: inuse and tw are the
// world's own, orphan and mem the host's.
func (w World) Sockstat(name string) int64 {
	text := must(os.ReadFile(fmt.Sprintf("/proc/%d/net/sockstat", w.PID())))
	value := ""
	w.b.Must(procfs.ParseSockstat(text, func(proto, field, v string) {
		if proto == "TCP" && field == name {
			value = v
		}
	}))
	return must(strconv.ParseInt(value, 10, 64))
}

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
