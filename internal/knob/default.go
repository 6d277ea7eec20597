package knob

import (
	"math/bits"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// Host is what a default follows from.
type Host struct {
	Kernel host.Release // not known: as the newest
	Read   *host.Reader
}

// Since says whether the kernel is this release or a later one. One that is not known is.
func (h Host) Since(major, minor int) bool {
	return !h.Kernel.Known() || h.Kernel.Since(major, minor)
}

// Has says whether the kernel has a change; one that is not known has. Where it carries changes of
// newer kernels and its release does not tell of this one, sure is false.
func (h Host) Has(c host.Change) (yes, sure bool) {
	if !h.Kernel.Known() {
		return true, true
	}
	answer := h.Kernel.Has(c)
	return answer == host.Yes, answer != host.Untold
}

// Memory is the host's memory in bytes.
func (h Host) Memory() (int64, bool) {
	kb, ok := h.Read.Maybe(host.Meminfo("MemTotal"))
	return kb << 10, ok && kb > 0
}

// PageSize is that of the host; 4096 where it is not known.
func (h Host) PageSize() int64 {
	if n, ok := h.Read.Maybe(host.System("page-size")); ok && n > 0 {
		return n
	}
	return 4096
}

// Amount is a default that is a number.
type Amount struct {
	N     int64
	Known bool
	Rough bool // computed from memory, so not to the last digit
	// Words are where it comes from: " (128 before Linux 5.4)", ", 4 % of the memory".
	Words string
	// Hosts is the memory in GiB above which a host has a higher default than v, where memory
	// decides and is not known; 0 says that no host has.
	Hosts func(v int64) (gib float64)
}

// Default is what the kernel begins with. The zero value is one that is not known, or that has no
// meaning.
type Default struct {
	// Value is the text of a setting that is no number: "32768 60999".
	Value string
	// Is says that there is a Value, which may be empty.
	Is bool
	// On computes it for a host. Of several numbers it is the last.
	On func(Host) Amount
	// Words say it for people where neither does: "two timer ticks".
	Words string
}

// always is a default that did not change.
func always(n int64) Default {
	return Default{On: func(Host) Amount { return Amount{N: n, Known: true} }}
}

// changed is a default that changed once, in a release.
func changed(before int64, in host.Change, n int64) Default {
	return Default{On: func(h Host) Amount {
		yes, sure := h.Has(in)
		switch since := in.Since.String(); {
		case yes:
			words := " (" + figure.Count(before) + " before Linux " + since + ")"
			return Amount{N: n, Known: true, Words: words}
		case sure:
			words := " (" + figure.Count(n) + " since Linux " + since + ")"
			return Amount{N: before, Known: true, Words: words}
		default:
			why, _, _ := strings.Cut(h.Kernel.Backports(), " (")
			words := " (" + figure.Count(n) + " since Linux " + since + "; " + why + ")"
			return Amount{N: before, Known: true, Words: words}
		}
	}}
}

// text is a default that is no number.
func text(value string) Default { return Default{Value: value, Is: true} }

// words are for a default that has no value to compare with.
func words(s string) Default { return Default{Words: s} }

// computed is a default that follows from the host.
func computed(of func(Host) Amount) Default { return Default{On: of} }

// Amount is the default on a host; ok says that there is one that is a number.
func (d Default) Amount(h Host) (a Amount, ok bool) {
	if d.On == nil {
		return Amount{}, false
	}
	return d.On(h), true
}

// Fixed is the default of a kernel as the kernel prints it, where it does not follow from the host.
func (d Default) Fixed(kernel host.Release) (value string, fixed bool) {
	if d.Is {
		return d.Value, true
	}
	nothing := host.Snapshot{}
	a, ok := d.Amount(Host{kernel, nothing.Read()})
	return strconv.FormatInt(a.N, 10), ok && a.Known && !a.Rough && a.Hosts == nil
}

// Defaults that follow the host's memory.

// buckets is the size of the connection hash table: one bucket for each 128 KiB of memory,
// rounded up to a power of two, at most 524288 (net/ipv4/tcp.c tcp_init).
func (h Host) buckets() (int64, bool) {
	if n, ok := h.Read.Maybe(host.Sysctl("net.ipv4.tcp_ehash_entries")); ok && n != 0 {
		return max(n, -n), true
	}
	if m, ok := h.Memory(); ok {
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
func halfOfBuckets(h Host) Amount {
	a := Amount{Words: ", half of the connection hash table", Hosts: func(v int64) float64 {
		if v >= 262144 {
			return 0
		}
		return float64(powerBelow(2*v)) / 8192
	}}
	if n, ok := h.buckets(); ok {
		a.N, a.Known = n/2, true
	}
	return a
}

// synBacklog is the default of tcp_max_syn_backlog: max(128, buckets/128), /256 before 5.4
// (net/ipv4/tcp_ipv4.c).
func synBacklog(h Host) Amount {
	n, ok := h.buckets()
	if h.Since(5, 4) {
		return Amount{N: max(128, n/128), Known: ok}
	}
	return Amount{N: max(128, n/256), Known: ok}
}

// WatchBytes is what a registration with epoll is charged (fs/eventpoll.c EP_ITEM_COST on
// Linux 6.18, x86-64: struct epitem 120 + struct eppoll_entry 64).
const WatchBytes = 184

// share is a default that is a share of the memory; hosts is the other way round, per unit of
// value.
func share(words string, perValue float64, of func(Host, int64) int64) func(Host) Amount {
	return func(h Host) Amount {
		a := Amount{Words: words, Rough: true, Hosts: func(v int64) float64 {
			return float64(v) * perValue / (1 << 30)
		}}
		if m, ok := h.Memory(); ok {
			a.N, a.Known = of(h, m), true
		}
		return a
	}
}

var (
	// fs/file_table.c files_maxfiles_init: 8192 at least.
	tenthOfMemory = share(", a tenth of the memory in KiB", 10240,
		func(_ Host, m int64) int64 { return max(m>>10/10, 8192) })
	// net/ipv4/tcp.c tcp_init_mem: twice three quarters of a sixteenth.
	tcpPages = share(", 9.4 % of the memory in pages", 4096/0.09375,
		func(h Host, m int64) int64 { return m / h.PageSize() * 3 / 32 })
	// fs/eventpoll.c eventpoll_init: 4 % of memory by what a watch is charged, (WatchBytes).
	epollWatches = share(", 4 % of the memory", WatchBytes/0.04,
		func(_ Host, m int64) int64 { return m / 25 / WatchBytes })
	// kernel/fork.c set_max_threads: memory / (8 * 16 KiB of stack).
	threadsMax = share(", one for each 128 KiB of memory", 131072,
		func(_ Host, m int64) int64 { return m / 131072 })
)

// tracked is the default of nf_conntrack_max: 262144 above 4 GiB of memory, 65536 above 1 GiB; the
// same before and since 5.15 (net/netfilter/nf_conntrack_core.c nf_conntrack_init_start).
func tracked(h Host) Amount {
	a := Amount{Hosts: func(v int64) float64 {
		switch {
		case v >= 262144:
			return 0
		case v >= 65536:
			return 4
		}
		return 1
	}}
	m, ok := h.Memory()
	switch {
	case !ok:
	case m > 4<<30:
		a.N, a.Known = 262144, true
	case m > 1<<30:
		a.N, a.Known = 65536, true
	}
	return a
}

// pidMax is the default of kernel.pid_max: 32768, or 1024 for each CPU (kernel/pid.c pid_idr_init).
func pidMax(h Host) Amount {
	a := Amount{N: 32768, Known: true}
	if cpus, ok := h.Read.Maybe(host.System("cpus")); ok {
		a.N = max(a.N, 1024*cpus)
	}
	return a
}

// largest is the default of the last number of tcp_rmem and tcp_wmem: a 128th of memory at most
// (net/ipv4/tcp.c tcp_init).
func largest(of Default) Default {
	return computed(func(h Host) Amount {
		a := of.On(h)
		if m, ok := h.Memory(); ok && m/128 < a.N {
			a.N, a.Rough, a.Words = m/128, true, ", a 128th of the memory"
		}
		return a
	})
}
