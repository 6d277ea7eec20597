package limit

import (
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const TCPMemory ID = "tcp-memory"

var _ = register(Limit{
	ID:      TCPMemory,
	Title:   "memory for data in the queues of all TCP connections",
	Measure: Held,
	Scope:   Host,
	Doc: "`tcp_mem` bounds the pages of data that all TCP sockets of the host, in all " +
		"network namespaces, have queued: sent and not yet acknowledged, or received " +
		"and not yet read. " +
		"It does not count sockets: since Linux 6.0 an idle connection takes none of " +
		"it; before, each keeps a page that it once used, on the side that opened it " +
		"(measured on 5.10: 1,000 idle connections, 1,000 pages). Above the second " +
		"number TCP is under pressure: receive windows stop growing, each socket keeps " +
		"its minimum. " +
		"Above the third, allocations are suppressed; received data is dropped and " +
		"sent again by the peer, and a connection that times out or is closed with " +
		"data queued is reset " +
		"(TCPAbortOnMemory; log \"TCP: out of memory -- consider tuning tcp_mem\"). " +
		"Usually the cause is not the number of connections but that somebody does not " +
		"read: slow peers on the sending side, a slow program on the receiving side. " +
		"The sysctl is visible in the initial network namespace only.",
	Formula: "no ceiling in connections; pages queued by all TCP sockets of the host <= " +
		"tcp_mem[2], under pressure from tcp_mem[1] on",
	Myths: []Myth{
		{"tcp_mem limits the number of connections",
			"it counts pages of queued data; on Linux 6.18, 30,000 idle " +
				"connections moved `mem` in /proc/net/sockstat by 0; before " +
				"6.0 each keeps a page in reserve, which the kernel reclaims " +
				"under pressure only",
			"net/core/sock.c __sk_mem_raise_allocated; 4890b686f408 (6.0); " +
				"measured on 5.10 and 6.18"},
		{"the worst case is connections x tcp_rmem[2]",
			"memory is taken for data that is really queued; a connection whose " +
				"data is read at once stays near 0 whatever its maximum",
			"net/core/sock.c __sk_mem_raise_allocated"},
		{"tcp_mem is in bytes",
			"it is in pages (4,096 bytes on x86-64), unlike tcp_rmem and tcp_wmem",
			"net/ipv4/tcp.c " +
				"tcp_init_mem"},
		{"larger net.core.rmem_max makes TCP faster or lets it hold more",
			"it caps what a program asks for with SO_RCVBUF; a program that does " +
				"not ask has auto-tuning up to tcp_rmem[2], which ignores it",
			"net/core/sock.c sock_setsockopt SO_RCVBUF; net/ipv4/tcp_input.c " +
				"tcp_rcv_space_adjust"},
		{"TCPAbortOnMemory means that tcp_mem is too small",
			"it counts connections reset for want of tcp_mem and those reset " +
				"because of tcp_max_orphans", "net/ipv4/tcp.c tcp_check_oom"},
	},
	Knobs: []string{
		"net.ipv4.tcp_mem", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
		"net.ipv4.tcp_moderate_rcvbuf", "net.core.rmem_max", "net.core.wmem_max",
		"net.core.rmem_default", "net.core.wmem_default", "net.core.optmem_max",
		"net.core.mem_pcpu_rsv", "net.ipv4.udp_mem",
	},
	Signs: []Sign{
		{
			Text: "out of memory -- consider tuning tcp_mem",
			Means: "all TCP sockets together had more than tcp_mem[2] pages queued " +
				"when a connection with unsent data was closed or sent again; " +
				"it was reset",
			Look: "maxconn check --for 10s --limit tcp-memory; mem in " +
				"/proc/net/sockstat; ss -tm for who holds it",
		},
		{
			Text:  "no buffer space available",
			Errno: "ENOBUFS",
			Call:  "send",
			Means: "the kernel had no memory for what a socket sends: for TCP " +
				"rarely tcp_mem, rather short memory; the neighbour table " +
				"gives the same errno",
			Look: "maxconn check --limit tcp-memory --limit connection-memory " +
				"--limit neighbour-table",
		},
		{
			Text:  "no buffer space available",
			Errno: "ENOBUFS",
			Call:  "socket",
			Means: "no memory for a new socket",
			Look:  "maxconn check --limit connection-memory --limit cgroup-memory",
		},
	},
	Sources: []string{
		"net/core/sock.c __sk_mem_raise_allocated (4.4-6.18)",
		"net/ipv4/tcp.c tcp_check_oom, tcp_enter_memory_pressure (4.4-6.18)",
		"net/ipv4/tcp_timer.c tcp_out_of_resources",
		"net/ipv4/proc.c sockstat_seq_show (mem is host-wide)",
	},
	Needs: []host.Fact{
		host.Sysctl("net.ipv4.tcp_mem"), host.Sockstat("TCP.mem"),
		host.Sockstat("TCP.alloc"), host.System("page-size"), host.Meminfo("MemAvailable"),
		host.Sysctl("net.core.mem_pcpu_rsv"), host.System("kernel"),
		host.Counter("TcpExt.TCPMemoryPressures"), host.Counter("TcpExt.TCPAbortOnMemory"),
		host.Counter("TcpExt.TCPMemoryPressuresChrono"),
	},
	Details: []host.Fact{host.Sockstat("TCP.alloc"), host.System("page-size"),
		host.Meminfo("MemAvailable"), host.Sysctl("net.core.mem_pcpu_rsv"),
		host.System("kernel")},
	Refusals: []host.Fact{host.Counter("TcpExt.TCPAbortOnMemory")}, RefusalsShared: true,
	Silent:      true,
	DropReasons: []string{"PROTO_MEM"},
	Gauges:      tcpMemoryGauges,
})

// tcpPages is what tcp_mem allows and what is queued, in pages.
type tcpPages struct {
	low, pressure, most int64
	used, sockets       int64
	held                int64 // pages that each CPU may hold back, and that used may be off by
	windowed            bool
	pageSize            int64 // 0 where it is not known
	available           int64 // bytes; 0 where it is not known
	pressures, aborts   tcpCounter
	chrono              tcpCounter
}

// tcpCounter is a counter of the namespace: since it was made, and in the window.
type tcpCounter struct{ total, moved int64 }

func newTCPCounter(r *host.Reader, name string) (c tcpCounter) {
	c.total, _ = r.Maybe(host.Counter(name))
	c.moved, _ = r.Moved(host.Counter(name))
	return c
}

func tcpMemoryGauges(r *host.Reader, w Workload) []Gauge {
	limits := r.Ints(host.Sysctl("net.ipv4.tcp_mem"), 3)
	p := tcpPages{low: limits[0], pressure: limits[1], most: limits[2]}
	p.used = max(r.Int(host.Sockstat("TCP.mem")), 0)
	if r.Err() != nil || min(p.low, p.pressure, p.most) < 0 {
		return nil
	}
	p.sockets, _ = r.Maybe(host.Sockstat("TCP.alloc"))
	p.held, p.windowed = heldByCPU(r), windowed(r)
	p.pageSize, _ = r.Maybe(host.System("page-size"))
	kb, _ := r.Maybe(host.Meminfo("MemAvailable"))
	p.available = max(kb, 0) << 10
	p.pressures, p.aborts = newTCPCounter(r, "TcpExt.TCPMemoryPressures"),
		newTCPCounter(r, "TcpExt.TCPAbortOnMemory")
	p.chrono = newTCPCounter(r, "TcpExt.TCPMemoryPressuresChrono")
	return []Gauge{p.gauge()}
}

// heldByCPU is the pages that a CPU keeps for itself once they were in use: none before
// Linux 6.0 (3cd3399dd7a8), since then 1 MB (include/net/sock.h SK_MEMORY_PCPU_RESERVE) or
// what the sysctl says.
func heldByCPU(r *host.Reader) int64 {
	if n, ok := r.Maybe(host.Sysctl("net.core.mem_pcpu_rsv")); ok {
		return max(n, 0)
	}
	if r.Kernel().Before(6, 0) {
		return 0
	}
	return 256
}

// refusing: more than the third number is queued now, or connections were reset in the
// window while there was pressure. Without pressure the counter speaks of orphans, which
// have a limit of their own.
func (p tcpPages) refusing() bool {
	pressed := p.used > p.low || p.pressures.moved > 0 || p.chrono.moved > 0
	return p.used > p.most || (p.aborts.moved > 0 && pressed)
}

// gauge counts pages. It bounds no flow of connections: how much each of them queues is up
// to its two ends.
func (p tcpPages) gauge() Gauge {
	g := Gauge{
		Subject: thisHost, Unit: "pages of queued data", Ceiling: p.most,
		Used: settled(p.used, p.most), Unbounded: p.most >= noCeiling,
		Owner: "net.ipv4.tcp_mem", Refusing: p.refusing(),
	}
	if g.Unbounded {
		g.Ceiling, g.Used = 0, roughly(p.used)
	}
	g.Steps = p.steps()
	if g.Refusing {
		g.Refused = max(p.aborts.moved, 0)
	}
	if p.used > p.pressure {
		g.Enough, g.Lift = 2*min(p.used, noCeiling/4), p.lift
	}
	g.Harms = p.used > p.pressure || p.pressures.moved > 0
	g.Notice = p.used > p.pressure/10*9 || (p.pressures.total > 0 && !p.windowed)
	if g.Refusing || g.Harms || g.Notice || g.IsNear() {
		g.Cause, g.Evidence, g.Remedies = p.cause(g), p.evidence(), p.remedies(g)
	}
	return g
}

func (p tcpPages) steps() []Step {
	rounded, used := unsettled(p.used, p.most), settled(p.used, p.most)
	if p.most >= noCeiling {
		return []Step{{
			Label: "pages queued on the host now, rounded down to two digits",
			Value: roughly(p.used),
			Unit:  "pages",
			How:   Read,
			From:  "sockstat TCP.mem",
		}}
	}
	return []Step{
		{
			Label: "pages that may be queued (tcp_mem[2])",
			Value: p.most,
			Unit:  "pages",
			How:   Read,
			From:  "net.ipv4.tcp_mem",
		},
		{
			Label: "pages from which TCP is under pressure (tcp_mem[1])",
			Value: p.pressure,
			Unit:  "pages",
			How:   Read,
			From:  "net.ipv4.tcp_mem",
		},
		{
			Label: "pages queued on the host now" + rounded,
			Value: used,
			Unit:  "pages",
			How:   Read,
			From:  "sockstat TCP.mem",
		},
	}
}

// pages writes a number of pages, and how much memory that is where the page size is known.
func (p tcpPages) pages(n int64) string {
	if p.pageSize <= 0 || p.pageSize > 1<<20 || n > noCeiling>>20 {
		return plural(n, "page")
	}
	return plural(n, "page") + " (" + mebibytes(n*p.pageSize) + ")"
}

func (p tcpPages) cause(g Gauge) string {
	holds := "TCP sockets of the host have " + p.pages(p.used) + " of data queued"
	switch {
	case p.used > p.most:
		return holds + ", more than tcp_mem[2] = " + p.pages(p.most) + " allows"
	case g.Refusing:
		return "in the window " + plural(p.aborts.moved, "connection") +
			" of this network namespace were reset for want of buffer memory, or " +
			"as orphans; now " + holds + ", tcp_mem[2] is " + p.pages(p.most)
	case p.used > p.pressure:
		return holds + ", more than tcp_mem[1] = " + p.pages(p.pressure) +
			": TCP is under memory pressure and keeps windows small"
	case p.pressures.moved > 0:
		return "TCP came under memory pressure " + plural(p.pressures.moved, "time") +
			" in the window; now " + holds + ", tcp_mem[1] is " + p.pages(p.pressure)
	case p.used > p.pressure/10*9:
		return holds + ", close to tcp_mem[1] = " + p.pages(p.pressure) +
			", from which TCP is under memory pressure"
	}
	return "TCP has been under memory pressure " + plural(p.pressures.total, "time") +
		" since this network namespace was made; now it is not"
}

func (p tcpPages) evidence() []Evidence {
	meaning := "pages queued in all network namespaces"
	if p.held > 0 {
		meaning += "; off by up to " + plural(p.held, "page") + " a CPU"
	}
	if p.sockets > 0 && p.sockets <= mostFiles {
		meaning += "; there are " + plural(p.sockets, "TCP socket")
	}
	ev := []Evidence{{"sockstat TCP.mem", figure.Count(p.used) + " of " + figure.Count(p.most),
		meaning}}
	add := func(name string, c tcpCounter, meaning string) {
		switch {
		case c.moved > 0:
			ev = append(ev, Evidence{name, "+" + itoa(c.moved),
				meaning + ", in the window"})
		case c.total > 0:
			ev = append(ev, Evidence{name, itoa(c.total),
				meaning + ", since this network namespace was made"})
		}
	}
	add("TcpExt.TCPMemoryPressures", p.pressures,
		"times that TCP came under pressure through a socket of this namespace, for "+
			"tcp_mem[1] or because the host had no pages")
	add("TcpExt.TCPMemoryPressuresChrono", p.chrono,
		"milliseconds under pressure, added when it ends")
	add("TcpExt.TCPAbortOnMemory", p.aborts,
		"connections reset over tcp_mem[2] or over tcp_max_orphans; it does not tell which")
	return ev
}

// wanted is twice what is queued now or, where that is allowed without pressure already,
// twice what is allowed: the peak was higher and nobody saw it.
func (p tcpPages) wanted() int64 {
	if want := 2 * min(p.used, noCeiling/4); want > p.most || want/6*4 > p.pressure {
		return want
	}
	return 2 * min(p.most, noCeiling/4)
}

func (p tcpPages) remedies(g Gauge) []Remedy {
	find := Remedy{Kind: ByApplication, TakesEffect: "as the data is read",
		Text: "find who queues: ss -tm shows the memory of each socket; a program that " +
			"reads too slowly (receive queues) or writes more than its peers take " +
			"(send queues) is cured there, a larger tcp_mem only postpones the end"}
	switch {
	case !g.Refusing && !g.Harms && !g.IsNear() && p.used <= p.pressure/10*9:
		return []Remedy{{
			Kind:        Live,
			Setting:     "maxconn check --for 10s",
			Text:        "see whether it happens again",
			TakesEffect: Now,
		}}
	case p.most == 0:
		return []Remedy{{
			Kind:    BySetting,
			Setting: "net.ipv4.tcp_mem",
			From:    "0 0 0",
			Text: "0 allows no data at all: take the numbers of a host of " +
				"the same size, or restart",
			TakesEffect: Now,
		}}
	}
	return append([]Remedy{find}, p.lift(p.wanted())...)
}
