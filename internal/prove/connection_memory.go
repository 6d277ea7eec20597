package prove

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// bindBuckets is what a connection takes besides on the side that opened it, when no other
// uses its local port: struct inet_bind_bucket and inet_bind2_bucket (the latter since
// Linux 6.1), 128 bytes each.
const bindBuckets = 256

var _ = register(Claim{
	ID:    "idle-connection-memory",
	Limit: "connection-memory",
	Says: "an idle connection takes the kernel memory of a socket, its file and its " +
		"epoll entry on each side, and no more",
	Source: "net/core/sock.c sk_prot_alloc; net/socket.c sock_alloc_file; fs/eventpoll.c " +
		"ep_insert; mm/slub.c",
	Unit:  "bytes a connection, both sides",
	Takes: 4 * time.Second,
	Busy:  Alone,
	Trial: func(b *Bench) Outcome {
		const warm = 500
		n := 5000 * min(runtime.NumCPU(), 2) // the more, the less what others do counts
		e := b.between(loopback)
		b.needFiles(e.client, warm+n)
		b.hold(e, warm) // what was freed before is used again first
		g := e.GaugeAt(e.Snapshot(), "connection-memory", limit.Host)
		side := stepOf(g, limit.IdleConnection)
		predicted := float64(2*side + bindBuckets)

		const parts = 5
		began, each := time.Now(), [parts]float64{}
		for i := range each {
			before := slab(b)
			b.hold(e, n/parts)
			each[i] = float64(slab(b)-before) / float64(n/parts)
		}
		drift := b.drift(time.Since(began)) // what others do to the memory in as much time
		slices.Sort(each[:])
		// the least and the most are left out: what was freed before is used again,
		// and others take some
		low, high := each[1], each[parts-2]
		if high-low > 0.05*predicted || float64(drift) > 0.02*float64(n)*predicted {
			b.CannotRun(fmt.Sprintf(
				"not quiet: parts of the run took %.0f to %.0f bytes a "+
					"connection, and %d kB moved without any", low, high,
				drift>>10))
		}
		o := Within(0.05, predicted, each[parts/2])
		o.Formula = fmt.Sprintf("2 * %d + %d bytes of bind buckets", side, bindBuckets)
		o.Note = "slab pages are taken whole and other programs take some, so 5 % " +
			"either way count as the same"
		o.WithoutThat("kernel memory taken in as much time without connections",
			"less than 2 %", fmt.Sprintf("%d kB", drift>>10), true)
		return o
	},
})

// hold opens idle connections that both ends watch with epoll, as many at a time as the
// accept queue takes with ease.
func (b *Bench) hold(e ends, n int) {
	const atOnce = 1000
	for ; n > 0; n -= atOnce {
		client, server := e.pairs(min(n, atOnce))
		b.Must(e.client.WatchGroup(client))
		b.Must(e.server.WatchGroup(server))
	}
}

// drift is by how much the kernel memory for objects moves in a time in which the trial
// does nothing, in bytes.
func (b *Bench) drift(d time.Duration) int64 {
	before := slab(b)
	b.Pause(d)
	return max(slab(b)-before, before-slab(b))
}

// slab is the kernel memory for objects, in bytes.
func slab(b *Bench) int64 { return memory(b, "Slab") }

// memory reads a figure of /proc/meminfo, in bytes.
func memory(b *Bench, name string) int64 {
	kb, ok := must(procfs.ParseMeminfo(must(os.ReadFile("/proc/meminfo"))))[name]
	if !ok {
		b.CannotRun("/proc/meminfo has no " + name)
	}
	return int64(kb) << 10
}

var _ = register(Claim{
	ID:    "idle-connections-no-buffers",
	Limit: "tcp-memory",
	Says: "idle connections take nothing of tcp_mem: it counts queued data, not connections; " +
		"before Linux 6.0 each may keep a page in reserve on the side that opened it",
	Source: "net/core/sock.c __sk_mem_raise_allocated; include/net/sock.h sk_mem_reclaim " +
		"(4890b686f408, 6.0)",
	Unit:  "bytes of tcp_mem",
	Takes: 2 * time.Second,
	Busy:  Works,
	Trial: func(b *Bench) Outcome {
		const n = 300
		e := b.between(loopback)
		client, server := e.pairs(n)
		idle := queuedBytes(e, client, server)
		o := Between(0, float64(reservedPages(n)*int64(os.Getpagesize())), float64(idle))
		o.Formula = fmt.Sprintf(
			"%d idle connections, both ends: queued + received + reserved", n)
		o.Expect("connections that were looked at", n,
			must(e.client.States(client))["ESTABLISHED"])

		const unread = 30000
		sent := must(e.client.Send(client, unread))
		queued := queuedBytes(e, client, server) - idle
		o.WithoutThat("bytes of tcp_mem once one of them has data that nobody reads",
			fmt.Sprintf("at least the %d that were sent", sent), queued,
			queued >= int64(sent) && sent > 0)
		return o
	},
})

// queuedBytes is what both ends of connections have queued or hold in reserve, in bytes.
func queuedBytes(e ends, client, server lab.Group) int64 {
	return int64(must(e.client.Memory(client)).Total() + must(e.server.Memory(server)).Total())
}

// reservedPages is how many pages n idle connections keep: before 4890b686f408 (Linux 6.0)
// the one that the SYN was charged to stays with the socket.
func reservedPages(n int64) int64 {
	if older(strings.TrimSpace(string(must(os.ReadFile("/proc/sys/kernel/osrelease")))),
		"6.0") {
		return n
	}
	return 0
}

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

var _ = register(Claim{
	ID:    "connections-in-a-cgroup",
	Limit: "cgroup-memory",
	Says: "the kernel memory of connections counts against the cgroup of the process " +
		"that opened them",
	Source:  "net/core/sock.c proto_register (SLAB_ACCOUNT); mm/memcontrol.c",
	Unit:    "bytes a connection",
	Takes:   4 * time.Second,
	Busy:    Alone,
	Machine: "a cgroup outlives the program that made it",
	Trial: func(b *Bench) Outcome {
		const n = 3000
		w := b.Machine()
		c := w.group("maxconn-memory", "memory", "memory.max", fmt.Sprint(256<<20))
		e := b.between(loopback)
		b.later(e.client.Kill)
		b.Must(c.Join(e.client))
		b.hold(e, 500) // what the process itself takes, and the kernel charges ahead
		side := stepOf(e.GaugeAt(e.Snapshot(), "connection-memory", limit.Host),
			limit.IdleConnection)
		before := charged(c)
		b.hold(e, n)
		o := Within(0.05, float64(side+bindBuckets), float64(charged(c)-before)/n)
		o.High += float64(reservedPages(1)) * float64(os.Getpagesize())
		o.Formula = fmt.Sprintf("%d + %d bytes of bind buckets", side, bindBuckets)
		o.Note = "the kernel charges pages ahead, so 5 % either way count as the same, " +
			"and before Linux 6.0 a page that a socket may keep in reserve"

		outside := b.between(loopback)
		before = charged(c)
		outside.pairs(n / 3)
		moved := charged(c) - before
		o.WithoutThat(
			"bytes that connections of processes outside of the cgroup take from it",
			"less than 1 % of that", moved, moved < side*n/300)
		return o
	},
})

// charged is what a cgroup has taken besides the memory of its programs themselves, in bytes.
func charged(c *lab.Cgroup) int64 {
	all := must(strconv.ParseInt(strings.TrimSpace(must(c.Read("memory.current"))), 10, 64))
	for line := range strings.Lines(must(c.Read("memory.stat"))) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == "anon" ||
			name == "file" {
			all -= must(strconv.ParseInt(value, 10, 64))
		}
	}
	return all
}
