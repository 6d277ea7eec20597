//go:build linux

package faults

import (
	"sync"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

// Queues of listeners.
var queueFaults = []fault{
	{
		name: "a backlog set by the application",
		make: func(w world) scene {
			l := w.listen(8080, 5)
			w.knock(8080, 40)
			w.full(l, 6)
			return w.queueing(l, 5, 40)
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `application asked for a backlog of 5`,
			remedies: []string{`backlog argument of listen\(\) 5 -> `},
			never:    []string{`somaxconn 4096`, `setting net.core.somaxconn`}},
	},
	{
		name: "a backlog cut by somaxconn",
		make: func(w world) scene {
			w.set("net.core.somaxconn", "8")
			l := w.listen(8080, 1024)
			w.knock(8080, 40)
			w.full(l, 9)
			return w.queueing(l, 1024, 40)
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `net.core.somaxconn = 8 cuts`,
			remedies: []string{`setting net.core.somaxconn 8 -> `}},
	},
	{
		name: "an application that stopped accepting",
		make: func(w world) scene {
			l := w.listen(8080, 64)
			w.connect(l, lab.ConnectSpec{To: at(8080), N: 10})
			w.knock(8080, 100)
			w.full(l, 65)
			// the fault is that time passes and nobody accepts
			time.Sleep(2100 * time.Millisecond)
			return w.queueing(l, 64, 100).unserved()
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `does not accept`,
			remedies: []string{`application.*accept`},
			never:    []string{`somaxconn`, `backlog`}},
	},
	{
		name: "an application that is stopped",
		make: func(w world) scene {
			w.must(w.server.Serve(w.listen(8080, 64), lab.Hold))
			w.must(w.server.Stop())
			w.knock(8080, 100)
			return scene{works: w.still("TcpExt.ListenOverflows", func() {
				w.knock(8080, 100)
			})}
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `process is stopped`,
			remedies: []string{`live kill -CONT`},
			never:    []string{`somaxconn`, `backlog`}},
	},
	{
		name: "half-open connections without SYN cookies",
		make: func(w world) scene {
			w.set("net.ipv4.tcp_syncookies", "0")
			l := w.listen(8080, 16)
			w.syn(8080, 0, 100)
			return w.halfOpen(l, 16)
		},
		want: want{limit: "syn-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `(?i)half-open|SYN queue`,
			remedies: []string{`tcp_syncookies|listen`}},
	},
	{
		name: "half-open connections bounded by tcp_max_syn_backlog",
		make: func(w world) scene {
			w.set("net.ipv4.tcp_syncookies", "0")
			w.set("net.ipv4.tcp_max_syn_backlog", "16")
			l := w.listen(8080, 1024)
			w.syn(8080, 0, 100)
			return w.halfOpen(l, 1024)
		},
		want: want{limit: "syn-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `tcp_max_syn_backlog`,
			remedies: []string{`tcp_max_syn_backlog 16 -> |tcp_syncookies 0 -> 1`}},
	},
	{
		name: "half-open connections with SYN cookies",
		make: func(w world) scene {
			l := w.listen(8080, 16)
			w.syn(8080, 0, 100)
			return scene{
				works: w.still("TcpExt.TCPReqQFullDoCookies", func() {
					w.syn(8080, 1000, 30)
				}),
				again:    func() { w.must(w.relisten(l)(16)) },
				relisten: w.relisten(l),
			}
		},
		want: want{limit: "syn-queue", severity: "warning", subject: "127.0.0.1:8080",
			process: "server", cause: `(?i)cookies`,
			remedies: []string{`listen`}, never: []string{`tcp_max_syn_backlog`}},
	},
	{
		name: "one slow member of a SO_REUSEPORT group",
		make: func(w world) scene {
			slow := w.spawn("slow")
			g, _, err := w.server.Listen(lab.ListenSpec{Addr: at(8080), Backlog: 10,
				ReusePort: true})
			w.must(err)
			_, _, err = slow.Listen(lab.ListenSpec{Addr: at(8080), Backlog: 10,
				ReusePort: true})
			w.must(err)
			var wg sync.WaitGroup
			wg.Go(func() {
				w.server.Accept(lab.AcceptSpec{Listener: g, N: 1000,
					Within: 2 * time.Second})
			})
			w.knock(8080, 60)
			wg.Wait()
			return w.queueing(g, 10, 60).unserved()
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "slow", cause: `one slow member`,
			remedies: []string{`application`}},
	},
}
