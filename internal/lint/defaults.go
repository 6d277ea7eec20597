package lint

import (
	"math"
	"math/bits"

	"github.com/maxconn/maxconn/internal/host"
)

// Defaults that follow the host's memory. With facts they are computed as the kernel does; without, they tell for which
// hosts a value is below them.

// buckets is the size of the connection hash table: one bucket for each 128 KiB of memory, rounded up to a power of
// two, at most 524288 (net/ipv4/tcp.c tcp_init).
func (g *ground) buckets() (int64, bool) {
	if n, ok := g.read.Maybe(host.Sysctl("net.ipv4.tcp_ehash_entries")); ok && n != 0 {
		return max(n, -n), true
	}
	if m, ok := g.memory(); ok {
		return min(powerAbove(m>>17), 524288), true
	}
	return 0, false
}

func powerAbove(n int64) int64 {
	if n <= 1 {
		return 1
	}
	return 1 << bits.Len64(uint64(n-1))
}

func powerBelow(n int64) int64 {
	if n < 1 {
		return 0
	}
	return 1 << (bits.Len64(uint64(n)) - 1)
}

// halfOfBuckets is the default of tcp_max_tw_buckets and tcp_max_orphans.
func halfOfBuckets(g *ground) amount {
	a := amount{words: ", half of the connection hash table", hosts: func(v int64) float64 {
		if v >= 262144 {
			return 0
		}
		return float64(powerBelow(2*v)) / 8192
	}}
	if n, ok := g.buckets(); ok {
		a.n, a.known = n/2, true
	}
	return a
}

// synBacklog is the default of tcp_max_syn_backlog: max(128, buckets/128), /256 before 5.4 (net/ipv4/tcp_ipv4.c).
func synBacklog(g *ground) amount {
	n, ok := g.buckets()
	if g.since(5, 4) {
		return amount{n: max(128, n/128), known: ok}
	}
	return amount{n: max(128, n/256), known: ok}
}

// tenth is the default of fs.file-max: a tenth of memory in KiB, 8192 at least (fs/file_table.c files_maxfiles_init).
func tenth(g *ground) amount {
	a := amount{words: ", a tenth of the memory in KiB", rough: true, hosts: func(v int64) float64 { return float64(v) * 10 / (1 << 20) }}
	if m, ok := g.memory(); ok {
		a.n, a.known = max(m>>10/10, 8192), true
	}
	return a
}

// tcpPages is the default of tcp_mem's third number: 9.4 % of memory in pages (net/ipv4/tcp.c tcp_init_mem: twice
// three quarters of a sixteenth).
func tcpPages(g *ground) amount {
	a := amount{words: ", 9.4 % of the memory in pages", rough: true, hosts: func(v int64) float64 { return float64(v) * 4096 / 0.09375 / (1 << 30) }}
	if m, ok := g.memory(); ok {
		a.n, a.known = m/g.pageSize()*3/32, true
	}
	return a
}

// trackedMax is the default of nf_conntrack_max: 262144 above 4 GiB of memory, 65536 above 1 GiB; the same before and since 5.15
// (net/netfilter/nf_conntrack_core.c nf_conntrack_init_start).
func trackedMax(g *ground) amount {
	a := amount{hosts: func(v int64) float64 {
		switch {
		case v >= 262144:
			return 0
		case v >= 65536:
			return 4
		}
		return 1
	}}
	m, ok := g.memory()
	switch {
	case !ok:
	case m > 4<<30:
		a.n, a.known = 262144, true
	case m > 1<<30:
		a.n, a.known = 65536, true
	}
	return a
}

// watches is the default of fs.epoll.max_user_watches: 4 % of memory divided by what a watch is charged, 184 bytes on 6.18
// (fs/eventpoll.c eventpoll_init).
func watches(g *ground) amount {
	a := amount{words: ", 4 % of the memory", rough: true, hosts: func(v int64) float64 { return float64(v) * 184 / 0.04 / (1 << 30) }}
	if m, ok := g.memory(); ok {
		a.n, a.known = m/25/184, true
	}
	return a
}

// threadsMax is the default of kernel.threads-max: memory / (8 * 16 KiB of stack) (kernel/fork.c set_max_threads).
func threadsMax(g *ground) amount {
	a := amount{words: ", one for each 128 KiB of memory", rough: true, hosts: func(v int64) float64 { return float64(v) * 131072 / (1 << 30) }}
	if m, ok := g.memory(); ok {
		a.n, a.known = m/131072, true
	}
	return a
}

// pidMax is the default of kernel.pid_max: 32768, or 1024 for each CPU (kernel/pid.c pid_idr_init).
func pidMax(g *ground) amount {
	a := amount{n: 32768, known: true}
	if cpus, ok := g.read.Maybe(host.System("cpus")); ok {
		a.n = max(a.n, 1024*cpus)
	}
	return a
}

// windowMax is the default of the third number of tcp_rmem: 6 MiB, 32 MiB since 6.16, and a 128th of memory at most
// (net/ipv4/tcp.c tcp_init).
func windowMax(g *ground) amount {
	return g.cappedByMemory(since(6<<20, host.V(6, 16), 32<<20)(g))
}

// sendMax is that of tcp_wmem: 4 MiB.
func sendMax(g *ground) amount { return g.cappedByMemory(amount{n: 4 << 20, known: true}) }

func (g *ground) cappedByMemory(a amount) amount {
	if m, ok := g.memory(); ok && m/128 < a.n {
		a.n, a.rough, a.words = m/128, true, ", a 128th of the memory"
	}
	return a
}

// nearly says whether two numbers differ by less than a twelfth: defaults computed from memory are that exact.
func nearly(a, b int64) bool {
	return math.Abs(float64(a)-float64(b)) <= float64(max(a, b))/12
}
