package lint

import (
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
				"packet in a round "+
				"trip, or waits for a timeout.",
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
		if strings.HasPrefix(k.Name, "net.ipv4.route.") {
			out = append(out, rule{key: k.Name,
				judge: nothing("Does nothing since Linux 3.6: the IPv4 route " +
					"cache that " +
					"it sized is gone. The file is there and takes what is " +
					"written.")})
		}
	}
	return append(out, rule{key: "net.ipv6.route.max_size", judge: judgeRoutes})
}

func judgeRoutes(c *evaluation) {
	if c.since(6, 3) {
		c.say(NoEffect,
			"Does nothing since Linux 6.3: IPv6 routes are not counted against it "+
				"any more.")
		return
	}
	c.say(Unrelated, "Bounds cached IPv6 routes, not connections.")
}

func judgeBypass(c *evaluation) {
	if first(c.n) == 0 {
		c.say(Effective, "New sockets count in net.ipv4.tcp_mem. That is the default.")
		return
	}
	c.say(Effective,
		"What new sockets of this network namespace queue no longer counts in "+
			"net.ipv4.tcp_mem, the bound of the whole host: only the memory limit "+
			"of their cgroup bounds it, and where it has none nothing but the "+
			"host's memory does. It moves no ceiling on connections.")
}
