package prove

import (
	"fmt"
	"runtime"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:    "tcp-memory-of-the-host",
	Limit: "tcp-memory",
	Says: "all TCP sockets of the host together queue no more than tcp_mem[2] pages, " +
		"and a connection that is closed with data queued above that is reset",
	Source:  "net/core/sock.c __sk_mem_raise_allocated; net/ipv4/tcp.c tcp_check_oom",
	Unit:    "pages",
	Takes:   3 * time.Second,
	Busy:    Alone,
	Machine: "tcp_mem is one for the host",
	Trial: func(b *Bench) Outcome {
		const low, pressure, most = 2000, 2500, 3000
		w := b.Machine(fmt.Sprintf("net.ipv4.tcp_mem=%d %d %d", low, pressure, most))
		q := b.unread()
		g := w.GaugeAt(w.Snapshot(), "tcp-memory", limit.Host)
		pages := q.fill()
		// Above the limit each socket may still have its minimum and what it was
		// writing (tcp_wmem[0], tcp_rmem[0], sk_forced_mem_schedule).
		o := Between(pressure, float64(g.Ceiling)*1.25, float64(pages))
		o.Predicted, o.Formula = float64(g.Ceiling),
			"tcp_mem[2]; at least tcp_mem[1], at most a quarter more"
		pressures := q.Counter("TcpExt.TCPMemoryPressures")
		o.ExpectThat("TcpExt.TCPMemoryPressures", "at least 1", pressures, pressures > 0)
		hurt := w.GaugeAt(w.Snapshot(), "tcp-memory", limit.Host)
		o.Expect("check sees the pressure", true, hurt.Harms || hurt.Refusing ||
			hurt.Notice)

		w.SetUntilDone("net.ipv4.tcp_mem", "10 20 30")
		must(q.client.Close(q.sending, lab.CloseSpec{}))
		aborts := q.Counter("TcpExt.TCPAbortOnMemory")
		o.ExpectThat("TcpExt.TCPAbortOnMemory after closing with data queued", "at least 1",
			aborts, aborts > 0)

		w.SetUntilDone("net.ipv4.tcp_mem", "100000 200000 300000")
		free := b.unread()
		enough := free.fill()
		o.WithoutThat("pages queued with a larger tcp_mem",
			fmt.Sprintf("more than %d", pages), enough, enough > pages)
		o.Without("TcpExt.TCPMemoryPressures", 0, free.Counter("TcpExt.TCPMemoryPressures"))
		o.Without("TcpExt.TCPAbortOnMemory", 0, free.Counter("TcpExt.TCPAbortOnMemory"))
		return o
	},
})

const unreadPairs = 30

// unread are connections whose server reads nothing.
type unread struct {
	ends
	sending lab.Group
}

func (b *Bench) unread() unread {
	e := b.between(loopback)
	client, _ := e.pairs(unreadPairs)
	return unread{e, client}
}

// fill writes as much as is taken and gives the pages that TCP has queued on the host.
func (u unread) fill() int64 {
	const atOnce = 256 << 10
	for range 4 {
		_, _, err := u.client.SendEach(u.sending, atOnce)
		u.b.Must(err)
	}
	return u.Sockstat("mem")
}

var _ = register(Claim{
	ID:    "idle-connections-no-pages",
	Limit: "tcp-memory",
	Says: "the pages that tcp_mem counts (mem in sockstat) do not move with idle " +
		"connections; before Linux 6.0 each keeps a page in reserve on the side that " +
		"opened it",
	Source:  "net/ipv4/proc.c sockstat_seq_show; net/core/sock.c __sk_mem_raise_allocated",
	Unit:    "pages",
	Takes:   3 * time.Second,
	Busy:    Alone,
	Machine: "mem in sockstat counts the whole host",
	Trial: func(b *Bench) Outcome {
		const n = 1000
		b.Machine()
		e := b.between(loopback)
		before := e.Sockstat("mem")
		client, _ := e.pairs(n)
		// Each CPU holds up to 256 pages back, and what earlier connections left
		// may go meanwhile.
		held := float64(256 * runtime.NumCPU())
		o := Between(-float64(before)-held, float64(reservedPages(n))+held,
			float64(e.Sockstat("mem")-before))
		o.Predicted = float64(reservedPages(n))
		o.Formula = fmt.Sprintf(
			"%d idle connections, both ends; a page for each would be %d, and what "+
				"a CPU holds back is 256 at most", n, 2*n)
		o.Expect("idle connections", n, must(e.client.States(client))["ESTABLISHED"])
		before = e.Sockstat("mem") // what earlier trials left has gone meanwhile
		_, _, err := e.client.SendEach(client, 16<<10)
		b.Must(err)
		moved := e.Sockstat("mem") - before
		o.WithoutThat("pages once each has 16 KiB of data that nobody reads",
			"at least 3 for each", moved, moved >= 3*n)
		return o
	},
})
