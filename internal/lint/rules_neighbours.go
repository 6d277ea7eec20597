package lint

import "fmt"

// neighbourRules are about hosts on the same link.
func neighbourRules() (out []rule) {
	for _, family := range []string{"ipv4", "ipv6"} {
		for n := 1; n <= 3; n++ {
			key := fmt.Sprintf("net.%s.neigh.default.gc_thresh%d", family, n)
			out = append(out, rule{key: key, judge: func(c *evaluation) {
				c.neighbours(family, n)
			}})
		}
	}
	return out
}

func (c *evaluation) neighbours(family string, n int) {
	v := c.n[0]
	d, _ := c.standard()
	does := []string{
		"Below %s entries nothing is thrown out by age.",
		"Above %s entries a new one makes the kernel throw out old ones.",
		"Lets the host know %s hosts on the same link (and gateways), over all network " +
			"namespaces; above it packets to further ones are dropped. Hosts behind " +
			"a gateway share its entry, so it bounds no connections.",
	}[n-1]
	less, lower := Verdict(""), ""
	if n == 3 {
		less, lower = BelowDefault,
			"hosts on the same link beyond it are not reached once the table is "+
				"full. Hosts behind a gateway share its entry."
	}
	c.compare(d, v, fmt.Sprintf(does, count(v)), less, lower)
	if n < 3 {
		next := fmt.Sprintf("net.%s.neigh.default.gc_thresh%d", family, n+1)
		if m, from, ok := c.other(next); ok && v > m {
			c.caution(fmt.Sprintf(
				"It is above gc_thresh%d, %s (%s); the three have to ascend.", n+1,
				count(m), from))
		}
	}
}

// threadRules are about servers with a thread for each connection.
var threadRules = []rule{
	{
		key: "kernel.pid_max",
		does: "Lets the host have {v} processes and threads (systemd sets 4,194,304). " +
			"It bounds connections only of " +
			"servers with a thread for each.",
		less:    BelowDefault,
		lessWhy: "fewer processes and threads are possible.",
	},
	{
		key: "kernel.threads-max",
		does: "Lets the host have {v} threads. It bounds connections only of " +
			"servers with a thread for each.",
		less: BelowDefault,
		lessWhy: "fewer threads are possible; it bounds connections only of servers " +
			"with a thread for each.",
	},
	{
		key: "vm.max_map_count",
		does: "Lets a process have {v} memory mappings; a thread takes two. It bounds " +
			"connections only of servers with " +
			"a thread for each.",
		less:    BelowDefault,
		lessWhy: "a process can have fewer threads, which take two mappings each.",
	},
}
