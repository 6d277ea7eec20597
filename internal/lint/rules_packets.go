package lint

import (
	"fmt"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// receiveRules are about packets that wait for a CPU.
var receiveRules = []rule{
	{
		key: "net.core.netdev_max_backlog", takes: single(anyInt), def: always(1000),
		source: "net/core/dev.c enqueue_to_backlog, netif_rx_internal (4.4-6.18)", judge: judgeBacklog,
	},
	{
		key: "net.core.netdev_budget", takes: single(anyInt), unrelated: true,
		does:   "Is how many packets one run of the receive softirq takes before it goes on later ({v}; 300 by default). It drops none and sets no ceiling on connections.",
		source: "net/core/dev.c net_rx_action (4.4-6.18)",
	},
	{
		key: "net.core.netdev_budget_usecs", takes: single(notBelow(0)), unrelated: true,
		does:   "Is how long one run of the receive softirq goes on before it goes on later ({v} microseconds; two timer ticks by default). It drops nothing and sets no ceiling on connections.",
		source: "net/core/dev.c net_rx_action (4.12-6.18)",
	},
	{
		key: "net.core.dev_weight", takes: single(anyInt), unrelated: true,
		does:   "Is how many packets of its input queue a CPU takes at a time ({v}; 64 by default). It makes no queue longer.",
		source: "net/core/dev.c process_backlog; Documentation/admin-guide/sysctl/net.rst",
	},
	{
		key: "net.core.default_qdisc", unrelated: true,
		does:   "Is the queueing discipline of devices that are brought up from now on ({v}); devices that are up keep theirs, lo and veth have none. It sets no ceiling on connections.",
		source: "net/sched/sch_generic.c default_qdisc_ops; Documentation/admin-guide/sysctl/net.rst",
	},
	{
		key: "net.core.rps_sock_flow_entries", takes: single(anyInt), unrelated: true,
		does:   "Is the size of the table by which receive flow steering finds the CPU of a flow ({v}); without rps_cpus on a device nothing uses it. It sets no ceiling on connections.",
		source: "net/core/sysctl_net_core.c rps_sock_flow_sysctl",
	},
}

func judgeBacklog(c *call) {
	v := c.n[0]
	const low = "the input queue of each CPU is shorter than without the line, for loopback, veth, tunnels and RPS."
	if v < 1000 {
		c.note(BelowDefault, fmt.Sprintf("%s is below the default of this kernel, 1,000: %s", count(v), low), c.rule.source)
		return
	}
	const which = "only packets of devices that receive without NAPI (loopback, veth, tunnels, old drivers) or with RPS pass this queue"
	users, others := c.backlogUsers()
	switch {
	case len(users) > 0:
		c.note(Effective, fmt.Sprintf("Makes the input queue of each CPU %s packets long (1,000 by default) for %s; %s. It bounds no connections.", count(v), strings.Join(users, ", "), which), c.rule.source)
	case len(others) > 0:
		c.note(NoEffect, fmt.Sprintf("Does nothing for %s: %s, and here only loopback does. It bounds no connections.", strings.Join(others, ", "), which), c.rule.source)
	default:
		c.note(Effective, fmt.Sprintf("Acts only where devices receive without NAPI (loopback, veth, tunnels, old drivers) or with RPS: their packets pass an input queue for each CPU, %s long with this line (1,000 by default). A network card with NAPI and without RPS never uses it, and it bounds no connections.", count(v)), c.rule.source)
	}
	if v > 50_000 {
		c.caution("A queue of that length adds delay instead of dropping.")
	}
}

// backlogUsers are the devices, loopback left out, that pass packets through the queue, and those that do not.
func (c *call) backlogUsers() (users, others []string) {
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
const queueSource = "net/sched/sch_generic.c pfifo_fast_init; net/sched/sch_fifo.c __fifo_init; net/sched/sch_fq_codel.c fq_codel_init"

// queue judges txqueuelen.
func (c *call) queue() {
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
	case !ok && c.seen() && c.subject != "" && !variable(c.subject) && c.read.Partial(host.LinkKind) == "" && len(c.read.Rows(host.LinkKind)) > 0:
		c.note(NoEffect, "There is no device "+c.subject+" here: the command fails. "+queueUse, queueSource)
	case !ok || root == "":
		c.note(Effective, fmt.Sprintf("Makes the transmit queue %s packets long (1,000 by default) only where the qdisc uses it. ", count(first(v.n)))+queueUse+lost, queueSource)
	case c.usesLength(row):
		c.note(Effective, fmt.Sprintf("Makes the transmit queue of %s (%s) %s packets long (1,000 by default). It bounds no connections.", c.subject, root, count(first(v.n)))+lost, queueSource)
	default:
		c.note(NoEffect, fmt.Sprintf("%s has the qdisc %s, which has a limit of its own and takes no notice of txqueuelen. ", c.subject, root)+queueUse, queueSource)
	}
}

const queueUse = "pfifo_fast, pfifo without a limit, htb and tun use txqueuelen; fq, fq_codel, mq, noqueue, lo and veth do not. It bounds no connections."

// usesLength says whether the device or one of its queueing disciplines takes its length from txqueuelen.
func (c *call) usesLength(link host.Row) bool {
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
		if oneOf(k, []string{"pfifo_fast", "pfifo", "bfifo", "htb", "sfb", "gred", "plug"}) || strings.HasPrefix(k, "teql") {
			return true
		}
	}
	return false
}
