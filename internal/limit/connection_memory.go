package limit

import (
	"github.com/maxconn/maxconn/internal/host"

	"github.com/maxconn/maxconn/internal/figure"
)

const ConnectionMemory ID = "connection-memory"

var _ = register(Limit{
	ID:      ConnectionMemory,
	Title:   "kernel memory of connections",
	Measure: Held,
	Scope:   Host,
	Bounds:  Flows{Both, Held},
	Doc: "Every open connection takes kernel memory as long as it is open, idle or not: " +
		"the socket, its file and its epoll entry, about " + IdleSize + " on each side. " +
		"One million idle connections of a server take 3.9 GB that cannot be swapped " +
		"out or given back. A connection that this host opened itself takes 256 " +
		"bytes more " +
		"when no other uses its local port; one over loopback has both its ends here. " +
		"Data in its queues comes on top (`tcp-memory`), and so does the memory that " +
		"the program " +
		"spends on each connection, which is often more than the kernel's. No sysctl " +
		"bounds it: the end is the memory itself.",
	Formula: "held = TCP sockets now + MemAvailable / (socket + inode + dentry + file + " +
		"epoll entry + 4 % lost in slab pages); " +
		"MemAvailable and what fits into it are rounded down to two digits, because " +
		"they move all the time; at most, because the program's own memory is not known",
	Myths: []Myth{
		{"a connection costs tcp_rmem[1] + tcp_wmem[1] bytes",
			"an idle connection has no buffers: 30,000 of them moved the `mem` " +
				"figure of /proc/net/sockstat by 0 (before Linux 6.0 the side " +
				"that opened it keeps a page); tcp_rmem[1] caps the first " +
				"window, it is not taken at birth",
			"net/ipv4/tcp_input.c tcp_init_buffer_space; measured on Linux 6.18"},
		{"tcp_mem limits how many connections the host can hold",
			"it counts pages of queued data, not sockets", "net/core/sock.c " +
				"__sk_mem_raise_allocated"},
		{"a connection that nobody uses goes away by itself",
			"without SO_KEEPALIVE a dead peer is never noticed while nothing is " +
				"sent; with it, after 7,200 s + 9 x 75 s = 2 h 11 min",
			"Documentation/networking/ip-sysctl.rst tcp_keepalive_time, " +
				"tcp_keepalive_intvl, tcp_keepalive_probes"},
	},
	Knobs: []string{
		"net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_keepalive_intvl",
		"net.ipv4.tcp_keepalive_probes", "thash_entries",
	},
	Signs: []Sign{
		{
			Text:  "cannot allocate memory",
			Errno: "ENOMEM",
			Call:  "socket",
			Means: "the kernel found no memory for a socket, its file or a " +
				"mapping; for threads it may be vm.max_map_count",
			Look: "maxconn check --limit connection-memory --limit cgroup-memory " +
				"--limit threads",
		},
		{
			Text: "Out of memory: Killed process",
			Means: "the host ran out of memory and the kernel killed a process; " +
				"sockets are not swapped out, so many connections add to it " +
				"without being anybody's resident memory",
			Look: "maxconn check --limit connection-memory; slabtop -o -s c",
		},
		{
			Text: "SLUB: Unable to allocate memory",
			Means: "the kernel could not get pages for its own objects, sockets " +
				"among them",
			Look: "maxconn check --limit connection-memory",
		},
	},
	Sources: []string{
		"net/core/sock.c sk_prot_alloc (4.4-6.18)",
		"net/socket.c sock_alloc_file (4.4-6.18)", "fs/eventpoll.c ep_insert (4.4-6.18)",
		"mm/slub.c calculate_sizes",
		"fs/proc/meminfo.c meminfo_proc_show (MemAvailable, 3.14-6.18)",
		"sizes: measured on " +
			"Linux 6.18, x86-64, where this host does not tell its own",
	},
	Needs: append([]host.Fact{
		host.Sockstat("TCP.alloc"), host.Meminfo("MemAvailable"), host.Meminfo("MemTotal"),
		host.Meminfo("SUnreclaim"),
	}, endpointNeeds...),
	Details: append([]host.Fact{host.Meminfo("SUnreclaim")}, endpointNeeds...),
	Gauges:  connectionMemoryGauges,
})

// hostMemory is the memory of the host, in bytes; available is rounded, total and
// unreclaimable are 0 where they are not known.
type hostMemory struct{ available, total, unreclaimable int64 }

// readHostMemory is false for what cannot be an amount of memory (mostMemory is a petabyte, in kB).
func readHostMemory(r *host.Reader) (m hostMemory, ok bool) {
	const mostMemory = 1 << 40
	bytes := func(name string) int64 {
		n, _ := r.Maybe(host.Meminfo(name))
		return min(max(n, 0), mostMemory) << 10
	}
	n := r.Int(host.Meminfo("MemAvailable"))
	return hostMemory{roughly(max(n, 0)) << 10, bytes("MemTotal"), bytes("SUnreclaim")},
		n >= 0 && n <= mostMemory
}

// scarce: less than 5 % is left.
func (m hostMemory) scarce() bool { return m.total > 0 && m.available < m.total/20 }

func connectionMemoryGauges(r *host.Reader, w Workload) []Gauge {
	e := endpointSize(r)
	m, ok := readHostMemory(r)
	// alloc counts all TCP sockets of the host, both families, in every network namespace.
	sockets := r.Int(host.Sockstat("TCP.alloc"))
	if !ok || sockets < 0 || sockets > mostFiles {
		return nil
	}
	room := e.fits(m.available)
	g := Gauge{
		Subject: thisHost, Bounds: Both, Ceiling: sockets + room,
		Used: settled(sockets, sockets+room), AtMost: true,
		Owner: "memory of the host", Lift: func(need int64) []Remedy {
			return []Remedy{moreMemory(min(need, mostFiles) * e.bytes)}
		},
	}
	rounded := unsettled(sockets, sockets+room)
	if rounded != "" {
		g.Ceiling = roughly(g.Used + room)
	}
	g.Steps = append(e.steps,
		Step{
			Label: "memory that can be had, rounded down to two digits",
			Value: m.available >> 10,
			Unit:  "kB",
			How:   Read,
			From:  "meminfo MemAvailable",
		},
		Step{
			Label: "further connections that fit, rounded down to two digits",
			Sum:   itoa(m.available>>10) + " * 1024 / " + itoa(e.bytes),
			Value: room,
			Unit:  "connections",
			How:   Computed,
		},
		Step{
			Label: "TCP sockets of the host now" + rounded,
			Value: g.Used,
			Unit:  "connections",
			How:   Read,
			From:  "sockstat TCP.alloc",
		},
		Step{
			Label: "connections that the host's memory holds" + rounded,
			Sum:   itoa(g.Used) + " + " + itoa(room),
			Value: g.Ceiling,
			Unit:  "connections",
			How:   Computed,
		})
	g.Harms = m.scarce() && sockets*e.bytes >= m.total/20
	if g.Harms || g.IsNear() {
		g.Cause = plural(sockets, "TCP socket") + " take about " +
			mebibytes(sockets*e.bytes) + " of kernel memory, and about " +
			mebibytes(m.available) + " can still be had"
		g.Evidence = memoryEvidence(m, sockets, e)
		g.Remedies = []Remedy{closeIdle(), moreMemory(0)}
	}
	return []Gauge{g}
}

func memoryEvidence(m hostMemory, sockets int64, e endpoint) []Evidence {
	ev := []Evidence{
		{"sockstat TCP.alloc", itoa(sockets),
			"TCP sockets of all network namespaces, about " + figure.Count(e.bytes) +
				" bytes each without " +
				"their data"},
		{"meminfo MemAvailable", mebibytes(m.available),
			"an estimate of what programs can get without swapping; page cache is " +
				"counted as available"},
	}
	if m.total > 0 && m.unreclaimable > 0 {
		ev = append(ev, Evidence{"meminfo SUnreclaim",
			mebibytes(m.unreclaimable) + " of " + mebibytes(m.total),
			"kernel objects that cannot be given back, sockets among them; it does " +
				"not tell which: slabtop does"})
	}
	return ev
}

// closeIdle is the only thing that frees the memory of connections.
func closeIdle() Remedy {
	return Remedy{Kind: ByApplication, TakesEffect: "as connections close",
		Text: "close connections that are idle (an idle timeout), and set SO_KEEPALIVE " +
			"so that those of dead peers end; the memory comes back at once, no " +
			"sysctl makes a socket smaller"}
}

func moreMemory(bytes int64) Remedy {
	text := "more memory, or fewer connections on this host: spread them over several"
	if bytes > 0 {
		text = "so many connections need " + mebibytes(bytes) + " for the kernel alone; " +
			text
	}
	return Remedy{
		Kind:        ByTopology,
		Text:        text,
		TakesEffect: "when the host or its share of the load changes",
	}
}
