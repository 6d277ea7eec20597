package prove

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/lab"
)

var _ = register(Claim{
	ID:    "syn-repetitions",
	Limit: "ephemeral-ports",
	Says: "since Linux 6.5 a client repeats a SYN that is not answered after 1 s each for " +
		"tcp_syn_linear_timeouts times and once more, then the waits double; it gives up " +
		"when tcp_syn_retries doubled waits would have passed",
	Source: "net/ipv4/tcp_timer.c tcp_write_timeout, tcp_retransmit_timer; ccce324dabfe (6.5)",
	Unit:   "repetitions of a SYN",
	Takes:  8 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		if !b.hasSysctl("net.ipv4.tcp_syn_linear_timeouts") {
			b.CannotRun("net.ipv4.tcp_syn_linear_timeouts came with Linux 6.5")
		}
		var linear, doubling unanswered
		b.Together(func() { linear = unansweredSYN(b, "4") },
			func() { doubling = unansweredSYN(b, "0") })
		repeated, seconds := knob.SYNs(2, 4)
		o := Exactly(repeated, linear.repeated)
		o.Formula = "tcp_syn_retries = 2, and tcp_syn_linear_timeouts = 4"
		o.Expect("ETIMEDOUT of connect()", 1, linear.errors["ETIMEDOUT"])
		o.ExpectThat("s until it gave up", fmt.Sprintf("%d at least", seconds),
			linear.took.Seconds(), linear.took >= time.Duration(seconds)*time.Second)
		o.Without("repetitions with tcp_syn_linear_timeouts = 0", 2, doubling.repeated)
		return o
	},
})

type unanswered struct {
	repeated int64
	took     time.Duration
	errors   map[string]int
}

// unansweredSYN connects to a listener whose accept queue is full, which drops SYNs.
func unansweredSYN(b *Bench, linear string) (u unanswered) {
	e := b.between(ordinary, "net.ipv4.tcp_syn_retries=2",
		"net.ipv4.tcp_syn_linear_timeouts="+linear)
	_, to, err := e.server.Listen(lab.ListenSpec{Addr: netip.AddrPortFrom(ordinary, 8081)})
	b.Must(err)
	connect(e.client, to, 1)
	before, began := e.Counter("TcpExt.TCPSynRetrans"), time.Now()
	made := must(e.client.Connect(lab.ConnectSpec{To: to, Within: 30 * time.Second}))
	return unanswered{e.Counter("TcpExt.TCPSynRetrans") - before, time.Since(began),
		made.Errors}
}
