package lint

import "fmt"

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
		c.say(Harmful,
			"With no probe an idle connection with SO_KEEPALIVE is reset after "+
				"tcp_keepalive_time without asking the peer.")
		return
	case c.n[0] <= 0:
		c.say(Harmful,
			"The kernel takes the number and does not check it; zero or less is no "+
				"time to wait between probes.")
		return
	}
	total := max(idle, 0) + saturated(max(gap, 0), max(probes, 0))
	c.note(Effective,
		fmt.Sprintf("A peer that vanished is noticed after %s s of silence (%s + %s x "+
			"%s; %s s by default), and its "+
			"descriptor and memory are free then. It acts only on sockets with "+
			"SO_KEEPALIVE that set no times of their own.",
			count(total), count(idle), count(probes), count(gap),
			count(c.usualKeepalive())),
		c.rule.Source)
	if total < 30 {
		c.caution("An outage of that length ends all idle connections.")
	}
}

// usualKeepalive is how long it takes with the defaults of the three.
func (c *evaluation) usualKeepalive() int64 {
	usual := func(name string) int64 { return c.usual("net.ipv4.tcp_keepalive_" + name) }
	return usual("time") + usual("probes")*usual("intvl")
}
