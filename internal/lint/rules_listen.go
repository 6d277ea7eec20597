package lint

import (
	"fmt"

	"github.com/maxconn/maxconn/internal/knob"
)

// listenRules are about queues of listeners.
var listenRules = []rule{
	{
		key: "net.core.somaxconn",
		does: "Caps the backlog argument of listen() at {v}, from the next listen() " +
			"on. Listeners that are open keep " +
			"their queue, and an application that asks for less keeps its own number.",
		less:    BelowDefault,
		lessWhy: "the line lowers the cap on every accept queue.",
	},
	{key: "net.ipv4.tcp_max_syn_backlog", judge: judgeSynBacklog},
	{key: "net.ipv4.tcp_syncookies", judge: judgeCookies},
	{key: "net.ipv4.tcp_synack_retries", judge: judgeSynAckRetries},
	{key: "net.ipv4.tcp_syn_retries", judge: judgeSynRetries},
	{
		key: "net.ipv4.tcp_syn_linear_timeouts",
		does: "Makes the first {v} repetitions of a SYN come 1 s apart before the " +
			"waits double: a SYN that was " +
			"dropped costs 1 s and not 3 or 7. The default is {d}.",
	},
	{key: "net.ipv4.tcp_abort_on_overflow", judge: judgeAbort},
	{
		key: "net.ipv4.tcp_migrate_req",
		does: "With 1, connections in the queue of a SO_REUSEPORT listener that closes " +
			"move to another listener of " +
			"its group; with 0 they are reset. The line sets {v}; the default is {d}.",
	},
	{
		key: "net.ipv4.tcp_child_ehash_entries",
		does: "Gives network namespaces that are made from here later a connection hash " +
			"table of their own with {v} entries (rounded up to a power of two; 0 " +
			"shares the host's). A small table lowers their tcp_max_tw_buckets and " +
			"tcp_max_syn_backlog with it.",
	},
}

func judgeSynBacklog(c *evaluation) {
	v := c.n[0]
	if c.kernel.Before(oldest.Major, oldest.Minor) {
		c.note(Effective, "Bounds half-open connections of a listener, together with its "+
			"backlog, before Linux 4.4. Since then it acts only without "+
			"SYN cookies.", c.rule.Source)
		return
	}
	cookies, from, _ := c.other("net.ipv4.tcp_syncookies")
	if cookies != 0 {
		c.notef(NoEffect, "Acts only without SYN cookies, and tcp_syncookies is %s "+
			"(%s). The SYN queue of a listener is as long as its accept "+
			"queue, min(backlog, somaxconn), since Linux 4.4; measured: "+
			"with a value of 16 and cookies on, a listener held 300 "+
			"half-open connections.", count(cookies), from)
		return
	}
	holds := v - v>>2 + 1
	c.notef(Effective, "With tcp_syncookies = 0 (%s) a listener takes at most %s "+
		"half-open connections (%s less a quarter, plus 1), or its backlog "+
		"where that is less.", from, count(max(holds, 0)), count(v))
	if d, _ := c.standard(); d.Known && v < d.N {
		c.notes = nil
		c.notef(BelowDefault, "%s is below this host's default of %s. With "+
			"tcp_syncookies = 0 (%s) it acts: a listener takes at most %s "+
			"half-open connections.", count(v), count(d.N), from, count(max(holds, 0)))
	}
}

func judgeCookies(c *evaluation) {
	switch v := c.n[0]; v {
	case 0:
		c.say(Harmful,
			"A SYN that finds the SYN queue full is dropped without a word instead "+
				"of being answered with a cookie, and tcp_max_syn_backlog "+
				"becomes a second, often lower ceiling. The default, {d}, "+
				"sends cookies only while the queue is full.")
	case 1:
		c.say(Effective,
			"Answers SYNs with cookies while the SYN queue of a listener is full; "+
				"that is the default. It makes no room in the accept queue: a "+
				"full one drops SYNs all the same.")
	case 2:
		c.say(Effective,
			"Answers every SYN with a cookie, also while there is room; it is "+
				"meant for tests. Such connections have no window scaling and "+
				"no SACK unless both ends use timestamps, and SYN-ACKs are not "+
				"sent again. The default is {d}.")
	default:
		c.say(Effective,
			"Treated as {d}, the default: the kernel only distinguishes 0 and 2.")
	}
}

func judgeSynAckRetries(c *evaluation) {
	v := c.n[0]
	usual := c.usual(c.key)
	why := fmt.Sprintf(
		"A half-open connection keeps its place in the SYN queue for up to %s s, while "+
			"its SYN-ACK is sent %s more "+
			"(%s s by default, with %s).", count(knob.Doubling(v)), times(v),
		count(knob.Doubling(usual)), count(usual))
	if v < 3 {
		why += " A client whose packets are lost for that long has to begin anew."
	}
	c.note(Effective, why, c.rule.Source)
}

func judgeSynRetries(c *evaluation) {
	v := c.n[0]
	var linear, usually int64
	if c.since(6, 5) {
		const key = "net.ipv4.tcp_syn_linear_timeouts"
		linear, _, _ = c.other(key)
		usually = c.usual(key)
	}
	sent, last := knob.SYNs(v, linear)
	_, usual := knob.SYNs(c.usual(c.key), usually)
	c.sayf(Effective, "connect() gives up with ETIMEDOUT after %s SYNs, %s s (%s s by "+
		"default, with {d}). It acts on "+
		"outbound connections, not on listeners.", count(sent+1), count(last), count(usual))
	if last < 15 {
		c.caution("A server whose queue is full for a few seconds is then reported as " +
			"unreachable.")
	}
}

func judgeAbort(c *evaluation) {
	if c.n[0] == 0 {
		c.say(Effective, "The last ACK of a handshake that meets a full accept queue is "+
			"dropped, and the client sends it again; that is the default.")
		return
	}
	c.say(Effective,
		"Answers the last ACK of a handshake with RST when the accept queue is full: "+
			"the client gets ECONNRESET at once, where with {d}, the default, a "+
			"short burst would have passed. It does not act on SYNs, which a full "+
			"queue drops in silence all the same, and enlarges nothing; the "+
			"kernel's documentation warns that it can harm clients.")
}
