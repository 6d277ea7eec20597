package lint

import (
	"fmt"

	"github.com/maxconn/maxconn/internal/knob"
)

// timeWaitRules are about connections that are closed.
var timeWaitRules = []rule{
	{key: "net.ipv4.tcp_fin_timeout", judge: judgeFinTimeout},
	{key: "net.ipv4.tcp_tw_reuse", judge: judgeReuse},
	{
		key: "net.ipv4.tcp_tw_reuse_delay",
		does: "With tcp_tw_reuse, connect() takes over a port {v} ms after its last " +
			"connection went into TIME_WAIT ({d} by default). It must not be shorter " +
			"than the peer's timestamp clock ticks.",
	},
	{key: "net.ipv4.tcp_tw_recycle", judge: judgeRecycle},
	{key: "net.ipv4.tcp_max_tw_buckets", judge: judgeBuckets},
	{key: "net.ipv4.tcp_timestamps", judge: judgeTimestamps},
	{key: "net.ipv4.tcp_rfc1337", judge: judgeRFC1337},
}

func judgeFinTimeout(c *evaluation) {
	const not = "Does not shorten TIME_WAIT, which lasts 60 s whatever stands here. "
	const what = "FIN_WAIT_2 of connections that the application has closed and the peer " +
		"has not"
	v := c.n[0]
	why := not + "What it ends after {v} s ({d} by default) is " + what + "."
	switch {
	case v == c.usual(c.key):
		why = not + "What it ends after {d} s, as it does by default, is " + what + "."
	case v > 60:
		why += fmt.Sprintf(
			" For the %s s beyond 60 each of them is a full socket and an orphan "+
				"(tcp_max_orphans).", count(v-60))
	case v <= 0:
		why = not + "What it ends, after 3.5 retransmission timeouts, the least there " +
			"is, is " + what + "; the default is {d} s."
	}
	c.say(Effective, why)
}

func judgeReuse(c *evaluation) {
	v := c.n[0]
	since, sure := c.host().Has(knob.LoopbackReuse)
	old := !since && sure
	if v == 0 {
		why := "connect() takes over no port whose last connection is in TIME_WAIT"
		if old {
			c.note(Effective, why+"; that is the default before Linux "+
				knob.LoopbackReuse.String()+".", c.rule.Source)
		} else {
			c.note(Effective, why+
				", not even over loopback, which the default allows since Linux "+
				knob.LoopbackReuse.String()+". Fewer new connections to one "+
				"destination are possible.", c.rule.Source)
		}
		return
	}
	stamps, from, _ := c.other("net.ipv4.tcp_timestamps")
	if stamps == 0 {
		c.notef(NoEffect, "Reuses nothing without TCP timestamps, and tcp_timestamps "+
			"is 0 (%s).", from)
		return
	}
	if v == 2 && !old {
		c.note(Effective, "connect() takes over a port in TIME_WAIT over loopback only "+
			"(127.0.0.0/8, ::1 or a socket bound to lo); that is the "+
			"default since Linux "+knob.LoopbackReuse.String()+".", c.rule.Source)
		return
	}
	c.note(Effective,
		"connect() takes over a port of this host whose last connection is in TIME_WAIT "+
			c.reuseDelay()+
			", towards any destination, where that connection used timestamps. It "+
			"works for outbound connections of the side that closed first; a "+
			"server gains nothing, and needs nothing, since a new SYN is accepted "+
			"straight from TIME_WAIT.", c.rule.Source)
}

// reuseDelay is from when on, in words.
func (c *evaluation) reuseDelay() string {
	switch {
	case c.since(knob.ReuseDelay.Major, knob.ReuseDelay.Minor):
		ms, _, ok := c.other("net.ipv4.tcp_tw_reuse_delay")
		if ok && ms != c.usual("net.ipv4.tcp_tw_reuse_delay") {
			return "after " + count(ms) + " ms (tcp_tw_reuse_delay)"
		}
		return "after 1 s"
	}
	if since, _ := c.host().Has(knob.ReuseInOneSecond); since {
		return "after up to 1 s"
	}
	return "after 1 to 2 s"
}

// judgeRecycle is asked only for kernels that have it.
func judgeRecycle(c *evaluation) {
	if c.n[0] == 0 {
		c.say(Effective, "Leaves tcp_tw_recycle off, which is the default and right; the "+
			"setting is gone since "+c.rule.Until.String()+".")
		return
	}
	c.say(Harmful,
		"Drops SYNs of clients behind NAT: their timestamps come from several hosts "+
			"and look old to a server that keeps one for each address. It is "+
			"gone since "+c.rule.Until.String()+"; take the line out.")
}

func judgeBuckets(c *evaluation) {
	v := c.n[0]
	switch {
	case v < 0:
		c.say(Harmful, "A negative number counts as a very large one on newer kernels, so "+
			"that nothing bounds the table, and lets no socket into "+
			"TIME_WAIT on older ones. Write the number that is meant.")
		return
	case v == 0:
		c.say(Harmful,
			"No closed connection goes into TIME_WAIT: the peer's late packets are "+
				"answered with RST, and old duplicates may reach new connections.")
		return
	}
	lower := "closed connections beyond it skip TIME_WAIT, so that a FIN or data that the " +
		"peer sends later is answered with RST (measured: 11 RSTs for 15 overflows). " +
		"The kernel's documentation says not to lower it; nothing is gained, a " +
		"TIME_WAIT takes 256 bytes."
	does := fmt.Sprintf(
		"Lets %s closed connections be in TIME_WAIT and FIN_WAIT_2, %s when it is "+
			"full. It bounds no connection that is in use and shortens no TIME_WAIT.",
		count(v), memory(v*256))
	d, _ := c.standard()
	c.compare(d, v, does, Harmful, lower)
}

func judgeTimestamps(c *evaluation) {
	switch v := c.n[0]; {
	case v == 0:
		c.say(Harmful,
			"Without timestamps tcp_tw_reuse reuses nothing, old duplicates are "+
				"not told from new packets (PAWS), and connections made with "+
				"SYN cookies lose window scaling and SACK. The default is {d}.")
	case v == 1:
		c.say(Effective,
			"Timestamps are on; that is the default, and tcp_tw_reuse needs it.")
	case !c.since(4, 10):
		c.say(Effective,
			"Timestamps are on, as with {d}, the default; the random offset that "+
				"tells 1 from 2 came with Linux 4.10.")
	default:
		c.say(Effective,
			"Timestamps are on without the random offset of each connection that "+
				"{d}, the default, adds since Linux 4.10: they show how long "+
				"the host has been up.")
	}
}

func judgeRFC1337(c *evaluation) {
	if c.n[0] == 0 {
		c.say(Effective, "A RST ends TIME_WAIT early; that is the default.")
		return
	}
	c.say(Effective,
		"A RST no longer ends TIME_WAIT early. It protects against old duplicates and "+
			"keeps ports no longer than the usual 60 s.")
}
