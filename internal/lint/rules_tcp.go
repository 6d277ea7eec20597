package lint

import (
	"fmt"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// Rules of settings that do not say how many connections there can be. They are here
// because tuning files are full of them, and because some of their values break
// connections, are refused, or have done nothing for years.

const ipSysctl = "Documentation/networking/ip-sysctl.rst"

// tcpRules are of TCP.
var tcpRules = []rule{
	{key: "net.ipv4.tcp_low_latency", judge: legacy(4, 14,
		"the prequeue that it switched off is gone")},
	{key: "net.ipv4.tcp_fack", judge: legacy(4, 15,
		"forward acknowledgement is gone, RACK does its work")},
	{
		key: "net.ipv4.tcp_window_scaling",
		judge: offBreaks(
			"Windows cannot be larger than 65,535 bytes: a connection carries no "+
				"more than that in a "+
				"round trip.", "Window scaling is on; that is the default."),
	},
	{
		key: "net.ipv4.tcp_sack",
		judge: offBreaks(
			"After more than one lost packet in a window a connection recovers one "+
				"packet in a round trip, or waits for a timeout.",
			"Selective acknowledgement is on; that is the default."),
	},
}

// nothing is for settings that cannot be written, or that nothing reads.
func nothing(why string) func(*evaluation) {
	return func(c *evaluation) { c.say(NoEffect, why) }
}

// legacy is for settings that nothing reads any more.
func legacy(major, minor int, why string) func(*evaluation) {
	gone := host.V(major, minor)
	return func(c *evaluation) {
		if c.since(major, minor) {
			c.say(NoEffect, "Does nothing since Linux "+gone.String()+": "+why+
				". The file is there and takes what is written.")
			return
		}
		c.say(Unrelated,
			"Is not about how many connections there can be, and does nothing at "+
				"all since Linux "+gone.String()+".")
	}
}

// offBreaks is for switches that connections need.
func offBreaks(off, on string) func(*evaluation) {
	return func(c *evaluation) {
		if c.n[0] == 0 {
			c.say(Harmful, off+" The default is {d}.")
			return
		}
		c.say(Unrelated, on)
	}
}

// coreRules are of the network core.
var coreRules = []rule{
	{key: "net.core.warnings", judge: nothing("Nothing reads this setting.")},
	{key: "net.core.bypass_prot_mem", judge: judgeBypass},
}

const trackDoc = "Documentation/networking/nf_conntrack-sysctl.rst"

// routeRules are of a cache that is gone, which old advice still sizes.
func routeRules() (out []rule) {
	for _, k := range knob.Rows() {
		if strings.HasPrefix(k.Name, "net.ipv4.route.") && !k.Aside {
			out = append(out, rule{key: k.Name,
				judge: nothing("Does nothing since Linux 3.6: the IPv4 route " +
					"cache that it sized is gone. The file is there and " +
					"takes what is written.")})
		}
	}
	return append(out, rule{key: "net.ipv6.route.max_size", judge: judgeRoutes})
}

func judgeRoutes(c *evaluation) {
	if c.since(6, 3) && first(c.n) == c.usual(c.key) {
		c.say(Effective, "That is the default; nothing is counted against it.")
		return
	}
	if c.since(6, 3) {
		c.say(NoEffect,
			"Does nothing since Linux 6.3: IPv6 routes are not counted against it "+
				"any more.")
		return
	}
	c.say(Effective,
		"Bounds cached IPv6 routes, one for each destination whose path has an MTU or a "+
			"redirect of its own: above it connect() to further ones fails with "+
			"ENETUNREACH. It bounds no connections to other destinations.")
}

func judgeBypass(c *evaluation) {
	if first(c.n) == 0 {
		c.say(Effective, "New sockets count in net.ipv4.tcp_mem. That is the default.")
		return
	}
	c.say(Effective, "What new sockets of this network namespace queue no longer counts in "+
		"net.ipv4.tcp_mem, the bound of the whole host: only the memory limit "+
		"of their cgroup bounds it, and where it has none nothing but the "+
		"host's memory does. It moves no ceiling on connections.")
}

// keepaliveRules are about peers that vanished.
var keepaliveRules = []rule{
	{key: "net.ipv4.tcp_keepalive_time", judge: judgeKeepalive},
	{key: "net.ipv4.tcp_keepalive_intvl", judge: judgeKeepalive},
	{key: "net.ipv4.tcp_keepalive_probes", judge: judgeKeepalive},
}

// judgeKeepalive gives the sum of the three, whichever of them the line sets.
func judgeKeepalive(c *evaluation) {
	idle, _, _ := c.other("net.ipv4.tcp_keepalive_time")
	gap, _, _ := c.other("net.ipv4.tcp_keepalive_intvl")
	probes, _, _ := c.other("net.ipv4.tcp_keepalive_probes")
	switch c.key {
	case "net.ipv4.tcp_keepalive_time":
		idle = c.n[0]
	case "net.ipv4.tcp_keepalive_intvl":
		gap = c.n[0]
	default:
		probes = c.n[0]
	}
	switch {
	case c.key == "net.ipv4.tcp_keepalive_probes" && probes == 0:
		c.say(Harmful, "With no probe an idle connection with SO_KEEPALIVE is reset after "+
			"tcp_keepalive_time without asking the peer.")
		return
	case c.n[0] <= 0:
		c.say(Harmful,
			"The kernel takes the number and does not check it; zero or less is no "+
				"time to wait between probes.")
		return
	}
	total := max(idle, 0) + saturated(max(gap, 0), max(probes, 0))
	c.notef(Effective, "A peer that vanished is noticed after %s s of silence (%s + %s x "+
		"%s; %s s by default), and its descriptor and memory are free then. It "+
		"acts only on sockets with SO_KEEPALIVE that set no times of their own.",
		count(total), count(idle), count(probes), count(gap), count(c.usualKeepalive()))
	if total < 30 {
		c.caution("An outage of that length ends all idle connections.")
	}
}

// usualKeepalive is how long it takes with the defaults of the three.
func (c *evaluation) usualKeepalive() int64 {
	usual := func(name string) int64 { return c.usual("net.ipv4.tcp_keepalive_" + name) }
	return usual("time") + usual("probes")*usual("intvl")
}

// orphanRules are about connections that the application has closed and that are not finished.
var orphanRules = []rule{
	{key: "net.ipv4.tcp_max_orphans", judge: judgeOrphans},
	{key: "net.ipv4.tcp_orphan_retries", judge: judgeOrphanRetries},
	{key: "net.ipv4.tcp_retries2", judge: judgeRetries2},
}

func judgeOrphans(c *evaluation) {
	v := c.n[0]
	if v <= 0 {
		c.say(Harmful,
			"Connections that the application closes are reset at once, and what "+
				"they had not delivered is lost.")
		return
	}
	does := fmt.Sprintf(
		"Lets the host have %s connections that are closed and not finished; more are "+
			"reset. It bounds no connection that is in use, and TIME_WAIT does "+
			"not count.", count(v))
	lower := "connections that the application has closed and that are not finished are " +
		"reset sooner, what they had not delivered is lost, and for stalled peers that " +
		"begins at a quarter of the number. The kernel's documentation says not to " +
		"lower it."
	d, _ := c.standard()
	c.compare(d, v, does, Harmful, lower)
}

func judgeOrphanRetries(c *evaluation) {
	v := c.n[0]
	if v == 0 {
		c.say(Effective,
			"{d} is the default and means 8: an orphan whose peer is not known to "+
				"be dead sends 8 times before it is given up.")
		return
	}
	c.say(Effective,
		"A connection that the application has closed gives up after {v} unanswered "+
			"repetitions ({d}, the default, "+
			"means 8); data that it had not delivered is then lost.")
}

func judgeRetries2(c *evaluation) {
	v, usual := c.n[0], c.usual(c.key)
	switch {
	case v == usual:
		c.say(Effective, "Data is sent again {d} times, for at least "+atLeast(usual)+
			" s, before a connection ends with ETIMEDOUT; that is the default.")
	case v < 8:
		c.sayf(Harmful, "Connections in use end with ETIMEDOUT after %s unanswered "+
			"repetitions, which a short outage reaches: with a short round "+
			"trip %s s. RFC 1122 wants at least 100 s, which takes 8; the "+
			"default is {d}.", count(v), retransmitting(v))
	default:
		c.sayf(Effective, "Data is sent again %s times, for at least %s s, before a "+
			"connection ends with ETIMEDOUT ({d} and %s s by default).",
			count(v), retransmitting(v), atLeast(usual))
	}
}

// atLeast is that in whole seconds.
func atLeast(n int64) string {
	whole, _, _ := strings.Cut(retransmitting(n), ".")
	return whole
}

// retransmitting is how long n repetitions take at the shortest, in seconds: waits begin at
// 200 ms (TCP_RTO_MIN), double, and end at 120 s (net/ipv4/tcp_timer.c tcp_model_timeout).
func retransmitting(n int64) string {
	total, wait := int64(0), int64(200)
	for range max(0, min(n, 255)) + 1 {
		total += wait
		wait = min(2*wait, 120_000)
	}
	return fmt.Sprintf("%.1f", float64(total)/1000)
}
