package prove

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

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
