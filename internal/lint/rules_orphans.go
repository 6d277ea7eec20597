package lint

import (
	"fmt"
	"strings"
)

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
			" s, before a connection ends with ETIMEDOUT; "+
			"that is the default.")
	case v < 8:
		c.say(Harmful,
			fmt.Sprintf("Connections in use end with ETIMEDOUT after %s unanswered "+
				"repetitions, which a short outage reaches: with a short round "+
				"trip %s s. RFC 1122 wants at least 100 s, which takes 8; the "+
				"default is {d}.", count(v), retransmitting(v)))
	default:
		c.say(Effective,
			fmt.Sprintf("Data is sent again %s times, for at least %s s, before a "+
				"connection ends with ETIMEDOUT ({d} and %s s by default).",
				count(v), retransmitting(v), atLeast(usual)))
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
