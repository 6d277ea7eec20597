package lint

import (
	"fmt"
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
		c.say(Effective,
			fmt.Sprintf("Makes the input queue of each CPU {v} packets long ({d} "+
				"by default) for %s; %s. "+
				"It bounds no connections.", strings.Join(users, ", "), which))
	case len(others) > 0:
		c.note(NoEffect,
			fmt.Sprintf("Does nothing for %s: %s, and here only loopback does. It "+
				"bounds no connections.", strings.Join(others, ", "), which),
			c.rule.Source)
	default:
		c.say(Effective,
			"Acts only where devices receive without NAPI (loopback, veth, "+
				"tunnels, old drivers) or with RPS: their "+
				"packets pass an input queue for each CPU, {v} long with this "+
				"line ({d} by default). A network card with NAPI and "+
				"without RPS never uses it, and it bounds no connections.")
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
		if oneOf(k, []string{"pfifo_fast", "pfifo", "bfifo", "htb", "sfb", "gred",
			"plug"}) || strings.HasPrefix(k, "teql") {
			return true
		}
	}
	return false
}
