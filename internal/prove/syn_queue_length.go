package prove

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

// halfOpenLife is how soon after the first SYN half-open connections must have been
// counted: a queue that is more than half full gives those up that have been asked twice
// more, the first after 7 s (net/ipv4/inet_connection_sock.c reqsk_timer_handler).
const halfOpenLife = 5 * time.Second

// flooded is a listener that was sent first segments of handshakes that nobody finishes.
type flooded struct {
	World
	server *lab.Actor
	addr   netip.AddrPort
	before host.Snapshot
	model  limit.Gauge
	half   int64 // half-open connections then
}

// flood sends them to a listener in a world of its own and counts before the kernel gives any up.
func (b *Bench) flood(backlog, syns int, settings ...string) (f flooded) {
	b.Promptly(halfOpenLife, func() time.Duration {
		f = flooded{World: b.World(append([]string{"net.core.somaxconn=4096"},
			settings...)...)}
		f.server = f.Actor("server")
		_, f.addr = listenOn(f.server, 8080, backlog)
		f.before = f.Snapshot()
		f.model = f.GaugeOf(f.before, "syn-queue", f.addr.String())
		arrived, start := f.Counter("Tcp.InSegs"), time.Now()
		if got := must(f.server.RawSYN(lab.SYNSpec{To: f.addr, N: syns})); got != syns {
			b.CannotRun("not all SYN segments could be sent")
		}
		b.Await(settling, func() bool {
			return f.Counter("Tcp.InSegs") >= arrived+int64(syns)
		})
		f.half = f.halfOpen(f.addr.Port())
		return time.Since(start)
	})
	return f
}

// refusing says whether check, which watches meanwhile, sees the queue refuse.
func (f flooded) refusing() bool { return f.since(f.before, "syn-queue", f.addr.String()).Refusing }

// places compares the half-open connections with what the model has for them. Where the
// release does not tell whether a distribution's kernel has the change of 6.13, one less
// agrees as well.
func (f flooded) places() Outcome {
	o := Exactly(f.model.Ceiling, f.half)
	for _, s := range f.model.Steps {
		if s.ID != limit.HalfOpenPlaces && s.ID != limit.HalfOpenPlacesOrOne {
			continue
		}
		o.Formula = fmt.Sprintf("%s: %s = %d", s.Label,
			cmp.Or(s.Sum, "the queue limit of the listener"), s.Value)
		if s.ID == limit.HalfOpenPlacesOrOne {
			o.Low-- // the ceiling is the higher one, as an upper bound
			o.Note = fmt.Sprintf(
				"this kernel takes %d: of a backlog it makes as many, or one "+
					"more with 3479c7549fb1, which stable kernels took "+
					"over and the release does not tell", f.half)
		}
	}
	return o
}

var _ = register(Claim{
	ID:    "syn-queue-length",
	Limit: "syn-queue",
	Says: "without SYN cookies a listener keeps as many half-open connections as its " +
		"backlog says and drops further SYNs",
	Source: "include/net/inet_connection_sock.h inet_csk_reqsk_queue_is_full; " +
		"net/ipv4/tcp_input.c tcp_conn_request (one more since 3479c7549fb1, Linux 6.13)",
	Unit:  "half-open connections",
	Takes: time.Second,
	Busy:  Waits,
	Trial: func(b *Bench) Outcome {
		const backlog, syns = 10, 40
		settings := []string{"net.ipv4.tcp_syncookies=0",
			"net.ipv4.tcp_max_syn_backlog=4096"}
		f := b.flood(backlog, syns, settings...)
		o := f.places()
		o.Expect("check --for sees the queue refuse", true, f.refusing())
		o.Expect("TcpExt.TCPReqQFullDrop", syns-f.half, f.Counter("TcpExt.TCPReqQFullDrop"))
		o.Expect("TcpExt.ListenDrops rises with it", syns-f.half,
			f.Counter("TcpExt.ListenDrops"))
		o.Expect("TcpExt.ListenOverflows does not", 0, f.Counter("TcpExt.ListenOverflows"))

		free := b.flood(4*syns, syns, settings...)
		o.Without("half-open connections with a larger backlog", syns, free.half)
		o.Without("TcpExt.TCPReqQFullDrop", 0, free.Counter("TcpExt.TCPReqQFullDrop"))
		return o
	},
})

var _ = register(Claim{
	ID:    "syn-cookies-replace-the-queue",
	Limit: "syn-queue",
	Says: "with SYN cookies a full SYN queue drops nobody, and tcp_max_syn_backlog does " +
		"nothing",
	Source: "net/ipv4/tcp_input.c tcp_conn_request, tcp_syn_flood_action",
	Unit:   "half-open connections",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const backlog, syns = 100, 160
		settings := []string{"net.ipv4.tcp_syncookies=1", "net.ipv4.tcp_max_syn_backlog=16"}
		f := b.flood(backlog, syns, settings...)
		o := f.places()
		o.Expect("TcpExt.TCPReqQFullDoCookies", syns-f.half,
			f.Counter("TcpExt.TCPReqQFullDoCookies"))
		o.Expect("TcpExt.ListenDrops", 0, f.Counter("TcpExt.ListenDrops"))
		o.Expect("a client that does answer gets in", 1,
			connect(f.Actor("client"), f.addr, 1).Count)

		free := b.flood(4*syns, syns, settings...)
		o.Without("half-open connections with a larger backlog, tcp_max_syn_backlog = 16",
			syns, free.half)
		o.Without("TcpExt.TCPReqQFullDoCookies", 0,
			free.Counter("TcpExt.TCPReqQFullDoCookies"))
		return o
	},
})

var _ = register(Claim{
	ID:    "max-syn-backlog",
	Limit: "syn-queue",
	Says: "tcp_max_syn_backlog bounds half-open connections at 3/4 of its value, and " +
		"only without SYN cookies",
	Source: "net/ipv4/tcp_input.c tcp_conn_request",
	Unit:   "half-open connections",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const backlog, syns = 300, 60
		settings := []string{"net.ipv4.tcp_syncookies=0", "net.ipv4.tcp_max_syn_backlog=16"}
		f := b.flood(backlog, syns, settings...)
		o := Exactly(f.model.Ceiling, f.half)
		o.Formula = Formula(f.model)
		o.Expect("check --for sees the queue refuse", true, f.refusing())
		o.Expect("TcpExt.ListenDrops", syns-f.model.Ceiling,
			f.Counter("TcpExt.ListenDrops"))
		o.Expect("no counter names the cause: TcpExt.TCPReqQFullDrop", 0,
			f.Counter("TcpExt.TCPReqQFullDrop"))

		for _, control := range []string{"net.ipv4.tcp_syncookies=1",
			"net.ipv4.tcp_max_syn_backlog=4096"} {
			c := b.flood(backlog, syns, append(settings, control)...)
			o.Without("half-open connections with "+control, syns, c.half)
			o.Without("TcpExt.ListenDrops with "+control, 0,
				c.Counter("TcpExt.ListenDrops"))
		}
		return o
	},
})
