package prove

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

var _ = register(Claim{
	ID:    "accept-queue-length",
	Limit: "accept-queue",
	Says: "an accept queue takes min(backlog, somaxconn) + 1 connections; further ones " +
		"wait and are counted as overflows",
	Source: "include/net/sock.h sk_acceptq_is_full; net/ipv4/tcp_ipv4.c tcp_v4_syn_recv_sock",
	Unit:   "connections",
	Takes:  2 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const extra = 5
		w := b.World("net.core.somaxconn=7")
		server, client := w.Actor("server"), w.Actor("client")
		listener, addr := listenOn(server, 8080, 64)
		g := w.Gauge("accept-queue", addr.String())
		filling := Series{
			Name:  "accept queue with somaxconn = 7 and a backlog of 64",
			X:     "connections begun",
			Y:     "in the queue",
			Marks: []Mark{level("predicted", g.Ceiling)},
		}
		for i := range int(g.Ceiling) + extra {
			knock(client, addr, 1)
			used := must(server.Queue(listener)).Used
			filling.Points = append(filling.Points,
				Point{X: float64(i + 1), Y: float64(used)})
		}
		b.Await(settling, func() bool { return w.Counter("TcpExt.ListenOverflows") > 0 })
		o := Exactly(g.Ceiling, int64(must(server.Queue(listener)).Used))
		o.Formula, o.Series = Formula(g), []Series{filling}
		g = w.Gauge("accept-queue", addr.String())
		o.Expect("check sees the queue refuse", true, g.Refusing)
		overflows := w.Counter("TcpExt.ListenOverflows")
		o.ExpectThat("TcpExt.ListenOverflows", "at least 1", overflows, overflows > 0)

		control := b.World("net.core.somaxconn=64")
		server, client = control.Actor("server"), control.Actor("client")
		listener, addr = listenOn(server, 8080, 64)
		knock(client, addr, int(o.Predicted)+extra)
		b.Await(settling, func() bool {
			return must(server.Queue(listener)).Used == int(o.Predicted)+extra
		})
		o.Without("connections in a queue of 64", int(o.Predicted)+extra,
			must(server.Queue(listener)).Used)
		o.Without("TcpExt.ListenOverflows", 0, control.Counter("TcpExt.ListenOverflows"))
		return o
	},
})

var _ = register(Claim{
	ID:    "somaxconn-later",
	Limit: "accept-queue",
	Says: "raising somaxconn changes nothing for a listener that exists, until it calls " +
		"listen() again",
	Source: "net/socket.c __sys_listen_socket; net/ipv4/af_inet.c inet_listen",
	Unit:   "connections",
	Takes:  3 * time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const knocks = 12
		w := b.World("net.core.somaxconn=3")
		server, client := w.Actor("server"), w.Actor("client")
		listener, addr := listenOn(server, 8080, 64)
		g := w.Gauge("accept-queue", addr.String())
		w.Sysctl("net.core.somaxconn", "64")
		knock(client, addr, knocks)
		b.Await(settling, func() bool {
			return w.Counter("TcpExt.ListenOverflows") >= knocks-g.Ceiling
		})
		o := Exactly(g.Ceiling, int64(must(server.Queue(listener)).Used))
		o.Formula = Formula(g)
		o.Expect("limit of the listener after somaxconn was raised", 3,
			must(server.Queue(listener)).Limit)
		o.Expect("limit after listen() again", 64,
			must(server.Relisten(listener, 64)).Limit)
		b.Await(settling, func() bool {
			return must(server.Queue(listener)).Used == knocks
		})
		o.Expect("connections in the queue then: those that waited come in with their "+
			"next SYN", knocks, must(server.Queue(listener)).Used)

		late, at := listenOn(server, 8081, 64)
		knock(client, at, knocks)
		b.Await(settling, func() bool { return must(server.Queue(late)).Used == knocks })
		o.Without("connections at a listener opened after somaxconn was raised", knocks,
			must(server.Queue(late)).Used)
		return o
	},
})

var _ = register(Claim{
	ID:    "listen-from-outside",
	Limit: "accept-queue",
	Says: "another process that copies a listener out of a running one (pidfd_getfd) and " +
		"calls listen() on the copy raises its accept queue",
	Source: "kernel/pid.c pidfd_getfd (Linux 5.6); net/ipv4/af_inet.c inet_listen",
	Unit:   "connections",
	Takes:  3 * time.Second,
	Busy:   Waits,
	Needs:  "5.6",
	Trial: func(b *Bench) Outcome {
		const knocks = 12
		w := b.World("net.core.somaxconn=64")
		server, client, other := w.Actor("server"), w.Actor("client"), w.Actor("other")
		listener, addr := listenOn(server, 8080, 3)
		before := w.Gauge("accept-queue", addr.String())
		knock(client, addr, knocks)
		b.Await(settling, func() bool { return w.Counter("TcpExt.ListenOverflows") > 0 })
		full := must(server.Queue(listener)).Used

		_, alone := listenOn(server, 8081, 3)
		must(other.Relisten(b.borrow(other, server, listener), 10))
		g := w.Gauge("accept-queue", addr.String())
		b.Await(settling, func() bool {
			return must(server.Queue(listener)).Used >= int(g.Ceiling)
		})
		o := Exactly(g.Ceiling, int64(must(server.Queue(listener)).Used))
		o.Formula = Formula(g)
		o.Expect("connections in the queue before", before.Ceiling, full)
		o.Expect("limit that the owner sees", 10, must(server.Queue(listener)).Limit)
		o.Without("connections that a listener nobody touched takes", before.Ceiling,
			w.Gauge("accept-queue", alone.String()).Ceiling)
		return o
	},
})

// borrow copies a listener into another actor, or ends the trial with the reason why nobody may.
func (b *Bench) borrow(to, from *lab.Actor, g lab.Group) lab.Group {
	got, err := to.Borrow(from, g)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSYS) {
		b.CannotRun(fmt.Sprintf("descriptors cannot be copied here: %v", err))
	}
	return must(got, err)
}
