package lint

import (
	"fmt"

	"github.com/maxconn/maxconn/internal/host"
)

// orphanRules are about connections that the application has closed and that are not finished.
var orphanRules = []rule{
	{
		key: "net.ipv4.tcp_max_orphans", takes: single(anyInt), def: halfOfBuckets,
		source: "net/ipv4/tcp.c tcp_check_oom, tcp_too_many_orphans; 19757cebf0c5 (5.16)", judge: judgeOrphans,
	},
	{
		key: "net.ipv4.tcp_orphan_retries", takes: single(oneByte), def: always(0),
		source: "net/ipv4/tcp_timer.c tcp_orphan_retries (4.4-6.18)", judge: judgeOrphanRetries,
	},
	{
		key: "net.ipv4.tcp_retries2", takes: single(oneByte), def: always(15),
		source: "net/ipv4/tcp_timer.c tcp_write_timeout; Documentation/networking/ip-sysctl.rst", judge: judgeRetries2,
	},
	{
		key: "net.ipv4.tcp_retries1", takes: single([]bound{{low: -1 << 31, top: 255}, {since: host.V(5, 13), low: 0, top: 255}}), unrelated: true,
		does: "Is after how many repetitions TCP asks for another route ({v}; 3 by default). It ends no connection.", source: "net/ipv4/tcp_timer.c tcp_write_timeout",
	},
}

func judgeOrphans(c *call) {
	v := c.n[0]
	if v <= 0 {
		c.say(Harmful, "Connections that the application closes are reset at once, and what they had not delivered is lost.")
		return
	}
	does := fmt.Sprintf("Lets the host have %s connections that are closed and not finished; more are reset. It bounds no connection that is in use, and TIME_WAIT does not count.", count(v))
	lower := "connections that the application has closed and that are not finished are reset sooner, what they had not delivered is lost, and for stalled peers that begins at a quarter of the number. The kernel's documentation says not to lower it."
	c.compare(c.rule.def(c.ground), v, does, Harmful, lower)
}

func judgeOrphanRetries(c *call) {
	v := c.n[0]
	if v == 0 {
		c.say(Effective, "0 is the default and means 8: an orphan whose peer is not known to be dead sends 8 times before it is given up.")
		return
	}
	c.note(Effective, fmt.Sprintf("A connection that the application has closed gives up after %s unanswered repetitions (0, the default, means 8); data that it had not delivered is then lost.", count(v)), c.rule.source)
}

func judgeRetries2(c *call) {
	v := c.n[0]
	switch {
	case v == 15:
		c.say(Effective, "Data is sent again 15 times, for at least 924 s, before a connection ends with ETIMEDOUT; that is the default.")
	case v < 8:
		c.note(Harmful, fmt.Sprintf("Connections in use end with ETIMEDOUT after %s unanswered repetitions, which a short outage reaches: with a short round trip %s s. RFC 1122 wants at least 100 s, which takes 8; the default is 15.", count(v), retransmitting(v)), c.rule.source)
	default:
		c.note(Effective, fmt.Sprintf("Data is sent again %s times, for at least %s s, before a connection ends with ETIMEDOUT (15 and 924 s by default).", count(v), retransmitting(v)), c.rule.source)
	}
}

// retransmitting is how long n repetitions take at the shortest, in seconds: waits begin at 200 ms (TCP_RTO_MIN), double, and end at
// 120 s (net/ipv4/tcp_timer.c tcp_model_timeout).
func retransmitting(n int64) string {
	total, wait := int64(0), int64(200)
	for range max(0, min(n, 255)) + 1 {
		total += wait
		wait = min(2*wait, 120_000)
	}
	return fmt.Sprintf("%.1f", float64(total)/1000)
}
