package prove

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
	refused "github.com/maxconn/maxconn/internal/refusal"
	"github.com/maxconn/maxconn/internal/trace"
)

// traced is what maxconn trace says of a lab while something happens in it, where it has the eBPF
// program that needs names.
func (w World) traced(needs string, fault func()) (lines []refused.Line, sum refused.Sum) {
	id := must(netns.Identify(netns.Path(w.NetNS())))
	t := trace.Start(trace.Options{Spaces: []trace.Space{{Path: netns.Path(w.NetNS()),
		Inode: uint32(id.Inode)}}})
	defer t.Close()
	for _, why := range t.Missing() {
		if strings.Contains(why, "program "+needs+":") ||
			strings.Contains(why, "no events") {
			w.b.CannotRun("refusals cannot be traced here: " + why)
		}
	}
	fault()
	ctx, stop := context.WithCancel(w.b.ctx)
	stop() // one look: all has happened
	sum, err := t.Run(ctx, func(l refused.Line) error {
		lines = append(lines, l)
		return nil
	})
	w.b.Must(err)
	return lines, sum
}

// events is how many refusals of a kind a process or listener has in lines.
func events(lines []refused.Line, is refused.What, by refused.SeenBy, who *lab.Actor) (n int64) {
	for _, l := range lines {
		if l.What == is && l.SeenBy == by && l.PID == int64(who.PID()) {
			n += l.Count
		}
	}
	return n
}

var _ = register(Claim{
	ID:    "trace-names-who-has-no-port",
	Limit: "ephemeral-ports",
	Says: "trace reports each connect() that ends with EADDRNOTAVAIL, with its process and " +
		"destination, and calls nothing else so",
	Source: "net/ipv4/tcp_ipv4.c tcp_v4_connect; trace event sock:inet_sock_set_state",
	Unit:   "refused connects",
	Takes:  time.Second,
	Busy:   Works,
	Trial: func(b *Bench) Outcome {
		e := b.between(loopback, "net.ipv4.ip_local_port_range=40000 40019")
		nobody := netip.AddrPortFrom(loopback, 8079)
		var made, answered, closed lab.Opened
		lines, sum := e.traced("connects", func() {
			made = connect(e.client, e.to, 50)
			answered = connect(e.client, nobody, 7)
		})
		o := Exactly(int64(made.Errors["EADDRNOTAVAIL"]),
			events(lines, refused.NoPort, refused.Event, e.client))
		o.Formula = "EADDRNOTAVAIL that connect() gave the program"
		named := 0
		for _, l := range lines {
			if l.What == refused.NoPort && l.Destination == e.to.String() &&
				l.Process == "client" {
				named++
			}
		}
		o.Expect("lines with the program and where it wanted to go", 1, named)
		o.Expect("connects that the other end refused, as such",
			int64(answered.Errors["ECONNREFUSED"]),
			events(lines, refused.Failed, refused.Event, e.client))
		o.Expect("events for which there was no room", uint64(0), sum.Lost)
		must(e.client.Close(made.Group, lab.CloseSpec{Reset: true}))
		lines, _ = e.traced("connects", func() { closed = connect(e.client, e.to, 10) })
		o.Without("lines where ports are left", 0, len(lines))
		o.Without("connections meanwhile", 10, closed.Count)
		return o
	},
})

var _ = register(Claim{
	ID:    "trace-names-the-full-listener",
	Limit: "accept-queue",
	Says: "what trace attributes to a listener, by events at the end of a handshake and by " +
		"its counter at the SYN, is what the kernel counts as ListenOverflows",
	Source: "net/ipv4/tcp_input.c tcp_conn_request; net/ipv4/tcp_ipv4.c " +
		"tcp_v4_syn_recv_sock; trace event skb:kfree_skb",
	Unit:  "refusals",
	Takes: time.Second,
	Busy:  Works,
	Trial: func(b *Bench) Outcome {
		e := b.between(loopback)
		listener, to, err := e.server.Listen(lab.ListenSpec{Backlog: 64, Defer: 30,
			Addr: netip.AddrPortFrom(loopback, 8081)})
		b.Must(err)
		waiting := connect(e.client, to, 6)
		must(e.server.Relisten(listener, 1))
		lines, sum := e.traced("drops", func() {
			_, _, err := e.client.SendEach(waiting.Group, 1)
			b.Must(err)
			late := must(e.client.Connect(lab.ConnectSpec{To: to, N: 5,
				NonBlocking: true}))
			must(e.client.Close(late.Group, lab.CloseSpec{Reset: true}))
			must(e.client.Close(waiting.Group, lab.CloseSpec{Reset: true}))
		})
		ends := events(lines, refused.QueueFull, refused.Event, e.server)
		syns := events(lines, refused.QueueFull, refused.Counter, e.server)
		o := Exactly(e.Counter("TcpExt.ListenOverflows"), ends+syns)
		o.Formula = "TcpExt.ListenOverflows"
		o.ExpectThat("by events, with the client", "at least 4", ends, ends >= 4)
		o.ExpectThat("by the counter of the listener", "at least 5", syns, syns >= 5)
		o.Expect("events for which there was no room", uint64(0), sum.Lost)
		lines, _ = e.traced("drops", func() { connect(e.client, e.to, 10) })
		o.Without("lines of a listener with room", 0, len(lines))
		return o
	},
})
