package lint

import "fmt"

// neighbourRules are about hosts on the same link.
var neighbourRules = makeNeighbours()

const neighbourSource = "net/core/neighbour.c neigh_alloc, neigh_forced_gc (4.4-6.18)"

func makeNeighbours() (out []rule) {
	for _, family := range []string{"ipv4", "ipv6"} {
		for i, def := range []int64{128, 512, 1024} {
			n := i + 1
			out = append(out, rule{
				key: fmt.Sprintf("net.%s.neigh.default.gc_thresh%d", family, n), takes: single(notBelow(0)), def: always(def),
				source: neighbourSource, judge: func(c *call) { c.neighbours(family, n) },
			})
		}
	}
	return out
}

func (c *call) neighbours(family string, n int) {
	v, d := c.n[0], c.rule.def(c.ground)
	does := []string{
		"Below %s entries nothing is thrown out by age.",
		"Above %s entries a new one makes the kernel throw out old ones.",
		"Lets the host know %s hosts on the same link (and gateways), over all network namespaces; above it packets to further ones are dropped. Hosts behind a gateway share its entry, so it bounds no connections.",
	}[n-1]
	less, lower := Verdict(""), ""
	if n == 3 {
		less, lower = BelowDefault, "hosts on the same link beyond it are not reached once the table is full. Hosts behind a gateway share its entry."
	}
	c.compare(d, v, fmt.Sprintf(does, count(v)), less, lower)
	if n < 3 {
		next := fmt.Sprintf("net.%s.neigh.default.gc_thresh%d", family, n+1)
		if m, from, ok := c.other(next); ok && v > m {
			c.caution(fmt.Sprintf("It is above gc_thresh%d, %s (%s); the three have to ascend.", n+1, count(m), from))
		}
	}
}

// threadRules are about servers with a thread for each connection.
var threadRules = []rule{
	{
		key: "kernel.pid_max", takes: single(between(301, 4194304)), def: pidMax,
		does: "Lets the host have {v} processes and threads (systemd sets 4,194,304). It bounds connections only of servers with a thread for each.",
		less: BelowDefault, lessWhy: "fewer processes and threads are possible.",
		source: "kernel/pid.c alloc_pid, pid_idr_init (4.4-6.18)",
	},
	{
		key: "kernel.threads-max", takes: single(between(20, 1073741823)), def: threadsMax,
		does: "Lets the host have {v} threads. It bounds connections only of servers with a thread for each.",
		less: BelowDefault, lessWhy: "fewer threads are possible; it bounds connections only of servers with a thread for each.",
		source: "kernel/fork.c copy_process, set_max_threads (4.4-6.18)",
	},
	{
		key: "vm.max_map_count", takes: single(notBelow(0)), def: always(65530),
		does: "Lets a process have {v} memory mappings; a thread takes two. It bounds connections only of servers with a thread for each.",
		less: BelowDefault, lessWhy: "a process can have fewer threads, which take two mappings each.",
		source: "mm/mmap.c do_mmap (4.4-6.18); include/linux/mm.h DEFAULT_MAX_MAP_COUNT",
	},
}
