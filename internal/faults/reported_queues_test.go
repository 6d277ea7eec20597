//go:build linux

package faults

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

// Queues of listeners that were full, as people have reported it.
var reportedQueues = []fault{
	{
		// Go listens with MPTCP since 1.24 (net: "enable multipath TCP by default for
		// listeners"): the queue that is full is that of the first subflow, which no
		// descriptor names.
		name:   "a short backlog of an MPTCP listener",
		report: "https://github.com/golang/go/pull/69016",
		make: func(w world) scene {
			l := w.listenAs(lab.ListenSpec{Addr: at(8080), Backlog: 5, MPTCP: true})
			w.knock(8080, 40)
			s := w.queueing(l, 5, 40)
			s.load = func() int { // an MPTCP accept() waits whatever SO_RCVTIMEO says
				opened, err := w.client.Connect(lab.ConnectSpec{To: at(8080),
					N: 40, NonBlocking: true})
				w.must(err)
				n, _ := w.queued()
				taken, err := w.server.Accept(lab.AcceptSpec{Listener: l,
					N: int(n)})
				w.must(err)
				w.leave(opened, taken)
				return taken.Count
			}
			return s
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `application asked for a backlog of 5`,
			remedies: []string{`backlog argument of listen\(\) 5 -> `}},
	},
	{
		// nginx "listen 80 deferred": clients that connect and say nothing stay
		// half-open, and their number is that of the backlog.
		name:   "clients that say nothing to a listener with TCP_DEFER_ACCEPT",
		report: "https://github.com/h5bp/server-configs-nginx/issues/100",
		make: func(w world) scene {
			w.set("net.ipv4.tcp_syncookies", "0")
			l := w.listenAs(lab.ListenSpec{Addr: at(8080), Backlog: 16, Defer: 60})
			w.knock(8080, 24)
			return w.halfOpen(l, 16)
		},
		want: want{limit: "syn-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `(?i)half-open|SYN queue`,
			remedies: []string{`TCP_DEFER_ACCEPT`}},
	},
	{
		// With tcp_abort_on_overflow the clients of a full queue see "connection reset
		// by peer" and not a timeout.
		name:   "a full queue under tcp_abort_on_overflow",
		report: "https://github.com/guevara/read-it-later/issues/6334",
		make: func(w world) scene {
			w.set("net.ipv4.tcp_abort_on_overflow", "1")
			l := w.listen(8080, 5)
			w.knock(8080, 40)
			w.full(l, 6)
			return w.queueing(l, 5, 40)
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `application asked for a backlog of 5`,
			remedies: []string{`backlog argument of listen\(\) 5 -> `}},
	},
	{
		// Node listens with a backlog of 511 on [::], whatever somaxconn says; 600
		// clients that come back at once are too many.
		name:   "the 511 of Node on a dual-stack listener",
		report: "https://github.com/agentmail-to/agentmail-mcp/pull/46",
		make: func(w world) scene {
			l := w.listenAs(lab.ListenSpec{Backlog: 511,
				Addr: netip.MustParseAddrPort("[::]:8080")})
			w.knock(8080, 600)
			w.full(l, 512)
			return w.queueing(l, 511, 600)
		},
		want: want{limit: "accept-queue", severity: "critical", subject: ":8080",
			process: "server", cause: `application asked for a backlog of 511`,
			remedies: []string{`backlog argument of listen\(\) 511 -> `},
			never:    []string{`setting net.core.somaxconn`}},
	},
	{
		// A proxy of Rust listens with 128 on each of its addresses; only the queue of
		// one of them is full.
		name:   "the 128 of Rust on one of three addresses",
		report: "https://github.com/Start9Labs/start-technologies/pull/3212",
		make: func(w world) scene {
			l := w.listen(8080, 128)
			for _, other := range []string{"127.0.0.2:8080", "127.0.0.3:8080"} {
				w.listenAs(lab.ListenSpec{Backlog: 128,
					Addr: netip.MustParseAddrPort(other)})
			}
			w.knock(8080, 160)
			w.full(l, 129)
			return w.queueing(l, 128, 160)
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `application asked for a backlog of 128`,
			remedies: []string{`backlog argument of listen\(\) 128 -> `},
			never:    []string{`setting net.core.somaxconn`}},
	},
	{
		// Redis asks for 511 in a container whose somaxconn is 128: "The TCP backlog
		// setting of 511 cannot be enforced".
		name:   "a backlog of 511 in a container with somaxconn 128",
		report: "https://github.com/mailcow/mailcow-dockerized/pull/686",
		make: func(w world) scene {
			w.set("net.core.somaxconn", "128")
			l := w.listenAs(lab.ListenSpec{Backlog: 511,
				Addr: netip.MustParseAddrPort("0.0.0.0:8080")})
			w.knock(8080, 200)
			w.full(l, 129)
			return w.queueing(l, 511, 200)
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "0.0.0.0:8080",
			process: "server", cause: `net.core.somaxconn = 128 cuts`,
			remedies: []string{`setting net.core.somaxconn 128 -> `}},
	},
	{
		// All sync workers of gunicorn are busy: they share one listener, and none
		// accepts.
		name:   "pre-forked workers that are all busy",
		report: "https://github.com/benoitc/gunicorn/issues/2183",
		make: func(w world) scene {
			l := w.listen(8080, 64)
			for i := range 3 {
				worker := w
				worker.server = w.spawn(fmt.Sprint("worker-", i))
				shared, err := worker.server.Borrow(w.server, l)
				w.must(err)
				worker.connect(shared, lab.ConnectSpec{To: at(8080)})
			}
			w.knock(8080, 100)
			w.full(l, 65)
			w.wait()
			return w.queueing(l, 64, 100).unserved()
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			cause: `does not accept`, remedies: []string{`application.*accept`},
			never: []string{`somaxconn`, `backlog`}},
	},
	{
		// A server died and a child that inherited its listener lives on: the kernel
		// still takes connections for it, and the port stays in use.
		name:   "a listener that only a child process still holds",
		report: "https://github.com/zeek/zeek/issues/5798",
		make: func(w world) scene {
			l := w.listen(8080, 128)
			child := w.spawn("sleep")
			inherited, err := child.Borrow(w.server, l)
			w.must(err)
			w.must(w.server.Kill())
			w.server = child
			w.knock(8080, 160)
			w.full(inherited, 129)
			w.wait()
			return w.queueing(inherited, 128, 160).unserved()
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "sleep", cause: `does not accept`,
			remedies: []string{`application.*accept`},
			never:    []string{`somaxconn`, `backlog`}},
	},
	{
		// With reuseport the kernel gives a blocked worker its share of the clients,
		// and the others take none of it over.
		name:   "a stopped worker of a SO_REUSEPORT group",
		report: "https://github.com/Kong/kong/pull/12359",
		make: func(w world) scene {
			stopped := w.spawn("stopped")
			spec := lab.ListenSpec{Addr: at(8080), Backlog: 64, ReusePort: true}
			w.must(w.server.Serve(w.listenAs(spec), lab.Hold))
			theirs, _, err := stopped.Listen(spec)
			w.must(err)
			w.must(stopped.Serve(theirs, lab.Hold))
			w.must(stopped.Stop())
			w.knock(8080, 300) // half of them to each
			w.wait()
			return scene{works: w.still("TcpExt.ListenOverflows", func() {
				w.knock(8080, 60)
			})}
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "stopped", cause: `process is stopped`,
			remedies: []string{`live kill -CONT`},
			never:    []string{`somaxconn`, `backlog`}},
	},
	{
		// "Inbound connections stop and CLOSE_WAIT skyrockets": the clients have given up,
		// and what waits in the queue is in CLOSE_WAIT; it is no leak of descriptors.
		name:   "a queue of clients that have given up",
		report: "https://github.com/haproxy/haproxy/issues/958",
		make: func(w world) scene {
			l := w.listen(8080, 64)
			w.connect(l, lab.ConnectSpec{To: at(8080), N: 10})
			waiting, err := w.client.Connect(lab.ConnectSpec{To: at(8080), N: 100,
				NonBlocking: true})
			w.must(err)
			w.full(l, 65)
			_, err = w.client.Close(waiting.Group, lab.CloseSpec{})
			w.must(err)
			w.wait()
			return w.queueing(l, 64, 100).unserved()
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `does not accept`,
			remedies: []string{`application.*accept`},
			never:    []string{`somaxconn`, `backlog`}},
	},
}

// wait is until a queue that nobody serves is one: its oldest connection has waited for 2 s.
func (w world) wait() { time.Sleep(2100 * time.Millisecond) }
