package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// receiveRules are about packets that wait for a CPU.
var receiveRules = []rule{{key: "net.core.netdev_max_backlog", judge: judgeBacklog}}

func judgeBacklog(c *evaluation) {
	v := c.n[0]
	const low = "the input queue of each CPU is shorter than without the line, for " +
		"loopback, veth, tunnels and RPS."
	if v < c.usual(c.key) {
		c.say(BelowDefault, "{v} is below the default of this kernel, {d}: "+low)
		return
	}
	const which = "only packets of devices that receive without NAPI (loopback, veth, " +
		"tunnels, old drivers) or with RPS pass this queue"
	users, others := c.backlogUsers()
	switch {
	case len(users) > 0:
		c.sayf(Effective, "Makes the input queue of each CPU {v} packets long ({d} "+
			"by default) for %s; %s. "+
			"It bounds no connections.", strings.Join(users, ", "), which)
	case len(others) > 0:
		c.notef(NoEffect, "Does nothing for %s: %s, and here only loopback does. It "+
			"bounds no connections.", strings.Join(others, ", "), which)
	default:
		c.say(Effective, "Acts only where devices receive without NAPI (loopback, veth, "+
			"tunnels, old drivers) or with RPS: their packets pass an input queue "+
			"for each CPU, {v} long with this line ({d} by default). A network card "+
			"with NAPI and without RPS never uses it, and it bounds no connections.")
	}
	if v > 50_000 {
		c.caution("A queue of that length adds delay instead of dropping.")
	}
}

// backlogUsers are the devices, loopback left out, that pass packets through the queue, and
// those that do not.
func (c *evaluation) backlogUsers() (users, others []string) {
	for _, row := range c.read.Rows(host.LinkKind) {
		if row.Name() == "lo" || row.Text("up") == "no" {
			continue
		}
		switch row.Text("backlog") {
		case "netif_rx", "rps", "gro_cells":
			users = append(users, row.Name())
		case "napi":
			others = append(others, row.Name())
		}
	}
	return users, others
}

// queueSource is where txqueuelen is used and where not.
const queueSource = "net/sched/sch_generic.c pfifo_fast_init; net/sched/sch_fifo.c " +
	"__fifo_init; net/sched/sch_fq_codel.c fq_codel_init"

// queue judges txqueuelen.
func (c *evaluation) queue() {
	v := numbers(c.value, 1)
	if variable(c.value) {
		c.note(Effective, "The value is not known here. "+queueUse, queueSource)
		return
	}
	if v.wrong != "" || first(v.n) < 0 {
		c.note(OutOfBounds, "ip and ifconfig take a number of packets here.", "ip-link(8)")
		return
	}
	const lost = " Set so it lasts until the device or the host is started again."
	row, ok := c.read.Row(host.LinkKind, c.subject)
	root := row.Text("qdisc")
	switch {
	case !ok && c.seen() && c.subject != "" && !variable(c.subject) &&
		c.read.Partial(host.LinkKind) == "" && len(c.read.Rows(host.LinkKind)) > 0:
		c.note(NoEffect, "There is no device "+c.subject+" here: the command fails. "+
			queueUse, queueSource)
	case !ok || root == "":
		c.note(Effective,
			fmt.Sprintf("Makes the transmit queue %s packets long (%s by default) "+
				"only where the qdisc uses it. ", count(first(v.n)), usualQueue)+
				queueUse+lost, queueSource)
	case c.usesLength(row):
		c.note(Effective,
			fmt.Sprintf("Makes the transmit queue of %s (%s) %s packets long (%s "+
				"by default). It bounds no connections.", c.subject, root,
				count(first(v.n)), usualQueue)+lost, queueSource)
	default:
		c.note(NoEffect,
			fmt.Sprintf("%s has the qdisc %s, which has a limit of its own and "+
				"takes no notice of txqueuelen. ", c.subject, root)+queueUse,
			queueSource)
	}
}

// usualQueue is the length of a device's queue where nobody set one.
var usualQueue = knob.Usual("txqueuelen")

const queueUse = "pfifo_fast, pfifo without a limit, htb and tun use txqueuelen; fq, fq_codel, " +
	"mq, noqueue, lo and veth do not. It bounds no connections."

// usesLength says whether the device or one of its queueing disciplines takes its length
// from txqueuelen.
func (c *evaluation) usesLength(link host.Row) bool {
	if link.Text("kind") == "tun" {
		return true
	}
	kinds := []string{link.Text("qdisc")}
	for _, q := range c.read.Rows(host.QdiscKind) {
		if q.Text("link") == link.Name() {
			kinds = append(kinds, q.Text("kind"))
		}
	}
	for _, k := range kinds {
		if slices.Contains([]string{"pfifo_fast", "pfifo", "bfifo", "htb", "sfb", "gred",
			"plug"}, k) || strings.HasPrefix(k, "teql") {
			return true
		}
	}
	return false
}

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
			c.cautionf(
				"It is above gc_thresh%d, %s (%s); the three have to ascend.", n+1,
				count(m), from)
		}
	}
}

// threadRules are about servers with a thread for each connection.
var threadRules = []rule{
	{
		key: "kernel.pid_max",
		does: "Lets the host have {v} processes and threads (systemd sets 4,194,304). It " +
			"bounds connections only of servers with a thread for each.",
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
			"connections only of servers with a thread for each.",
		less:    BelowDefault,
		lessWhy: "a process can have fewer threads, which take two mappings each.",
	},
}
