package prove

import (
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

var _ = register(Claim{
	ID:    "fin-wait-bind",
	Limit: "fin-wait",
	Says: "a program that binds to a port with SO_REUSEADDR, as its last user did, and " +
		"connects takes it over from FIN_WAIT_2 at once, where TCP timestamps are on; " +
		"the " +
		"peer, which has not closed its end yet, gets EPIPE",
	Source: "net/ipv4/tcp_ipv4.c tcp_twsk_unique (!twp: the socket is bound, and " +
		"0d9e5df4a257 " +
		"only clears reuse); net/ipv4/tcp_input.c tcp_reset (TCP_CLOSE_WAIT: EPIPE)",
	Unit:  "ports taken over",
	Takes: 2 * time.Second,
	Busy:  Waits,
	Trial: func(b *Bench) Outcome {
		var on, off takenOver
		b.Together(func() { on = takeOver(b, "1") }, func() { off = takeOver(b, "0") })
		o := Exactly(finWaiting, on.connected)
		o.Formula = "ports of 10 connections in FIN_WAIT_2, each bound again with " +
			"SO_REUSEADDR"
		o.Expect("errors of bind() and connect()", map[string]int{}, on.errors)
		o.Expect("EPIPE from send() at the peer", finWaiting, on.broken)
		o.Without("ports taken over with tcp_timestamps = 0", 0, off.connected)
		o.Without("EPIPE at the peer then", 0, off.broken)
		return o
	},
})

// finWaiting is how many connections the trial closes at one end.
const finWaiting = 10

type takenOver struct {
	connected, broken int64
	errors            map[string]int
}

// takeOver leaves connections in FIN_WAIT_2 whose ports were bound with SO_REUSEADDR (those of
// other sockets bind() refuses), and opens new ones of the same addresses and ports.
func takeOver(b *Bench, timestamps string) (t takenOver) {
	e := b.between(ordinary, "net.ipv4.tcp_timestamps="+timestamps)
	bound := func(i int) lab.Opened {
		return must(e.client.Connect(lab.ConnectSpec{To: e.to, ReuseAddr: true,
			From: netip.AddrPortFrom(ordinary, uint16(40000+i))}))
	}
	for i := range finWaiting {
		must(e.client.Close(bound(i).Group, lab.CloseSpec{}))
	}
	taken := must(e.server.Accept(lab.AcceptSpec{Listener: e.listener, N: finWaiting}))
	e.arrived(taken.Group, finWaiting)
	b.Await(settling, func() bool { return e.Sockstat("tw") == finWaiting })
	t.errors = map[string]int{}
	for i := range finWaiting {
		again := bound(i)
		t.connected += int64(again.Count)
		for name, n := range again.Errors {
			t.errors[name] += n
		}
	}
	_, errors, err := e.server.SendEach(taken.Group, 1)
	b.Must(err)
	t.broken = int64(errors["EPIPE"])
	return t
}
