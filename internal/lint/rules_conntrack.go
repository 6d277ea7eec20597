package lint

import (
	"fmt"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// conntrackRules are about the table of tracked connections.
var conntrackRules = []rule{
	{key: "net.netfilter.nf_conntrack_max", judge: judgeTracked},
	{key: "net.netfilter.nf_conntrack_buckets", judge: judgeTrackBuckets},
	{key: "net.netfilter.nf_conntrack_tcp_loose", judge: judgeLoose},
}

// tracking says whether nf_conntrack is loaded; seen is false where nobody looked.
func (g *env) tracking() (loaded, seen bool) {
	const key = "net.netfilter.nf_conntrack_count"
	if _, ok := g.running(key); ok {
		return true, true
	}
	return false, g.missing(key)
}

// notLoaded gives the verdict for a setting of a module that is not there.
func (c *evaluation) notLoaded() bool {
	if loaded, seen := c.tracking(); loaded || !seen {
		return false
	}
	c.note(NoEffect,
		"nf_conntrack is not loaded here, so there is no such setting and no table "+
			"that could be full; at boot the write comes too early as well unless "+
			"modules-load.d loads the module first.",
		"sysctl.d(5); net/netfilter/nf_conntrack_standalone.c")
	return true
}

// longChains is how many entries there may be for each bucket before lookups cost: the
// kernel's own factor was 4 until 5.14.
const longChains = 4

func judgeTracked(c *evaluation) {
	if c.notLoaded() {
		return
	}
	v := c.n[0]
	if v <= 0 {
		if v == 0 {
			c.say(Effective,
				"0 is no limit (and refused by kernels since about 6.19): the "+
					"table grows as long as there is memory (256 bytes and "+
					"more for each entry).")
		} else {
			c.say(Harmful,
				"A negative number counts as a very large one: nothing bounds "+
					"the table. Write the number that is meant.")
		}
		return
	}
	if why, ok := c.fewBuckets(v); ok {
		c.note(Harmful, why, c.rule.Source)
		c.hostToo()
		return
	}
	does := fmt.Sprintf(
		"Lets each network namespace track %s connections (%s of kernel memory when "+
			"full); a closed one counts for nf_conntrack_tcp_timeout_time_wait. "+
			"The setting is there only after nf_conntrack is loaded, which may be "+
			"later than sysctl.d is read.", count(v), memory(v*256))
	d, _ := c.standard()
	c.compare(d, v, does, BelowDefault,
		"the table is full sooner, and a full one drops the first packet of new "+
			"connections.")
	c.hostToo()
}

// hostToo warns of a write in a container that reaches the host (until 2671fa4dc010, 5.13).
func (c *evaluation) hostToo() {
	if c.child() && !c.since(5, 13) {
		c.caution("Before Linux 5.13 a write in this network namespace changes the " +
			"value of the whole host.")
	}
}

// fewBuckets says why a maximum is too large for the hash table that there will be.
func (c *evaluation) fewBuckets(v int64) (why string, few bool) {
	n, from, ok := c.other("net.netfilter.nf_conntrack_buckets")
	if s, found := c.otherSetting("hashsize"); found {
		if h := numbers(s.value, 1); h.wrong == "" {
			n, from, ok = h.n[0], "hashsize of the module", true
		}
	}
	if !ok { // no host has more by default
		d, _ := knob.MostBuckets.Amount(c.host())
		n, from, ok = d.N, "the most that any host has by default", true
	}
	if !ok || n <= 0 || v <= longChains*n {
		return "", false
	}
	return fmt.Sprintf(
		"%s entries share %s buckets (%s): when the table fills, every packet of a "+
			"tracked connection searches a chain of about %s. Raise "+
			"nf_conntrack_buckets with it, at 8 bytes each.", count(v), count(n), from,
		count(2*v/n)), true
}

func judgeTrackBuckets(c *evaluation) {
	if c.kernel.Series() == oldest {
		c.say(NoEffect,
			"Cannot be written on Linux 4.4 (it can on 4.9): give hashsize to the "+
				"module (options nf_conntrack hashsize=N in modprobe.d).")
		return
	}
	if c.notLoaded() {
		return
	}
	v := c.n[0]
	if v == 0 {
		c.note(OutOfBounds, "The kernel refuses it (EINVAL): a table needs buckets.",
			c.rule.Source)
		return
	}
	c.notef(Effective, "Makes the hash table %s buckets long (%s), for all network "+
		"namespaces, and rebuilds it at once. It does not change "+
		"nf_conntrack_max. The setting is there only after nf_conntrack is "+
		"loaded, which may be later than sysctl.d is read.", count(v), memory(v*8))
	if now, ok := c.runningNumber(); ok && v < now {
		c.notes = nil
		c.notef(BelowDefault, "%s is below what this host has, %s buckets: chains get "+
			"longer.", count(v), count(now))
	}
}

func judgeLoose(c *evaluation) {
	if c.notLoaded() {
		return
	}
	if c.n[0] == 0 {
		c.say(Effective,
			"Connections that the table does not know are no longer picked up in "+
				"the middle: after the rules, the module or the host are "+
				"started again, or an entry was given up too early, their "+
				"packets are INVALID. The default is {d}.")
		return
	}
	c.say(Effective,
		"Picks up connections that the table does not know in the middle; that is the "+
			"default.")
}

// trackTimeRules are the times that entries stay.
func trackTimeRules() (out []rule) {
	for _, t := range knob.TrackStates() {
		out = append(out, rule{key: t.Key(), judge: func(c *evaluation) {
			c.trackTime(t.Entry)
		}})
	}
	return out
}

func (c *evaluation) trackTime(what string) {
	if c.notLoaded() {
		return
	}
	d, _ := c.standard()
	v, def := c.n[0], d.N
	if v <= 0 {
		c.notef(Harmful, "The entry of %s goes at once: later packets of the "+
			"connection are new or INVALID to the rules. The default is %s s.",
			what, count(def))
		return
	}
	if knob.Last(c.key) == "nf_conntrack_tcp_timeout_established" && c.tooShort(v) {
		return
	}
	why := fmt.Sprintf("Keeps the entry of %s for %s s after its last packet", what, count(v))
	switch {
	case v == def:
		why += ", the default."
	case v < def:
		why += fmt.Sprintf(" (%s by default): it leaves the table sooner.", count(def))
	default:
		why += fmt.Sprintf(" (%s by default): it takes room in the table for longer.",
			count(def))
	}
	c.note(Effective, why+c.tracksPerSecond(v)+" It changes no timer of TCP itself.",
		c.rule.Source)
}

// tooShort weighs the time of idle connections against keepalive, which alone keeps their entries.
func (c *evaluation) tooShort(v int64) bool {
	idle, from, _ := c.other("net.ipv4.tcp_keepalive_time")
	if v >= idle {
		return false
	}
	c.sayf(Harmful, "A connection that is idle for %s s loses its entry, and its next "+
		"packet is new or INVALID to the rules, so it hangs behind NAT or a "+
		"firewall. Keepalive probes come after %s s only (tcp_keepalive_time, "+
		"%s), on sockets that use them. The default is {d} s; RFC 5382 wants "+
		"7,440 s at least.", count(v), count(idle), from)
	return true
}

// tracksPerSecond is the ceiling that the time of closed connections sets.
func (c *evaluation) tracksPerSecond(v int64) string {
	if knob.Last(c.key) != "nf_conntrack_tcp_timeout_time_wait" {
		return ""
	}
	most, from, ok := c.other("net.netfilter.nf_conntrack_max")
	if !ok || most <= 0 {
		return ""
	}
	return fmt.Sprintf(
		" nf_conntrack_max = %s (%s) then carries %s new short connections each second.",
		count(most), from, count(most/v))
}

// moduleLine judges modprobe and options of nf_conntrack.
func (c *evaluation) module() {
	const source = "net/netfilter/nf_conntrack_standalone.c; " +
		"net/netfilter/nf_conntrack_core.c nf_conntrack_set_hashsize; modprobe.d(5)"
	switch {
	case c.form == asModule && c.value == "ip_conntrack":
		c.note(Effective,
			"Loads nf_conntrack: ip_conntrack is an old name that the module still "+
				"answers to. Loaded so, its settings are there until the next "+
				"boot; modules-load.d makes it last.", source)
	case c.form == asModule:
		c.note(Effective,
			"Loads connection tracking, so that its settings are there from now "+
				"on; a line in modules-load.d does so before sysctl.d is read "+
				"at boot.", source)
	case c.subject == "ip_conntrack":
		c.note(NoEffect,
			"Acts only where the module is loaded by its old name, which nothing "+
				"does any more: write options nf_conntrack.", "modprobe.d(5)")
	case c.key == "hashsize":
		c.hashSize(source)
	default:
		c.note(Unrelated,
			"Is an option of nf_conntrack that does not set how many connections "+
				"it tracks.", source)
	}
}

func (c *evaluation) hashSize(source string) {
	v := numbers(c.value, 1)
	if v.wrong != "" || first(v.n) <= 0 {
		c.note(OutOfBounds, "The module takes a number above zero here.", source)
		return
	}
	n := first(v.n)
	why := fmt.Sprintf(
		"Makes the hash table of connection tracking %s buckets long (%s) when the "+
			"module is loaded; where nothing else sets it, nf_conntrack_max is 8 "+
			"times as much then.", count(n), memory(n*8))
	if c.subject == "running" {
		why = fmt.Sprintf(
			"Makes the hash table of connection tracking %s buckets long (%s) at "+
				"once, until the module or the host is started again. It does "+
				"not change nf_conntrack_max.", count(n), memory(n*8))
	}
	c.note(Effective, why, source)
	if now, ok := c.read.Maybe(host.Sysctl("net.netfilter.nf_conntrack_buckets")); ok &&
		n < now {
		c.caution("This host has " + count(now) + " now.")
	}
}
