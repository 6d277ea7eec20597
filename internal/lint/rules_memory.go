package lint

import (
	"fmt"

	"github.com/maxconn/maxconn/internal/knob"
)

// memoryRules are about memory for data of TCP connections.
var memoryRules = []rule{{key: "net.ipv4.tcp_mem", judge: judgeTCPMem}}

// judgeTCPMem weighs the third number, the hard ceiling. It counts pages; the numbers that
// are quoted most often are bytes of tcp_rmem, or of somebody else's host.
func judgeTCPMem(c *evaluation) {
	if len(c.n) < 3 {
		c.notef(Effective, "Sets the first %d of three numbers (pages: no care, "+
			"pressure, ceiling) and leaves the others as they are.", len(c.n))
		return
	}
	low, pressure, high := c.n[0], c.n[1], c.n[2]
	if low > pressure || pressure > high {
		c.notef(Harmful, "The three numbers (pages: no care, pressure, ceiling) "+
			"have to ascend, and %s do not; the kernel does not check it.", c.shown())
		return
	}
	page := c.host().PageSize()
	d, _ := c.standard()
	is := fmt.Sprintf("%s pages (%s)", count(high), memory(saturated(high, page)))
	if m, ok := c.host().Memory(); ok && high > m/page {
		c.notef(Harmful, "Counts pages, not bytes: a ceiling of %s is more than the "+
			"memory of this host, %s, so nothing is under pressure before "+
			"the memory is used up. The default is about %s pages.", is,
			memory(m), count(twoDigits(d.N)))
		return
	} else if !ok && saturated(high, page) > 64<<30 && saturated(low, page) < 1<<30 {
		c.notef(Harmful, "Counts pages, not bytes: the ceiling is %s, more than the "+
			"memory of most hosts, while it begins to save memory at %s "+
			"pages (%s) already.", is, count(pressure),
			memory(saturated(pressure, page)))
		return
	}
	not := " It does not bound the number of connections: idle ones hold no pages of it " +
		"(measured: 30,000 moved it by 0)."
	if c.kernel.Before(6, 0) { // 4890b686f408: sockets give back what they have in reserve
		not = " It does not bound the number of connections, though an idle one keeps " +
			"a page in reserve before Linux 6.0, on the side that opened it " +
			"(measured on 5.10), and gives it back under pressure."
	}
	does := fmt.Sprintf(
		"Lets data in the queues of all TCP connections of the host take %s; from %s "+
			"pages on it saves memory, above the ceiling connections are reset.", is,
		count(pressure)) + not
	lower := "data in the queues of all TCP connections may take " + is +
		" only; above it the kernel resets connections (TCPAbortOnMemory)." + not
	c.compare(d, high, does, Harmful, lower)
}

// saturated multiplies without running over.
func saturated(a, b int64) int64 {
	if b != 0 && a > (1<<62)/b {
		return 1 << 62
	}
	return a * b
}

// bufferRules are about buffers of single sockets.
var bufferRules = []rule{
	{key: "net.ipv4.tcp_rmem", judge: func(c *evaluation) { c.buffers("receive") }},
	{key: "net.ipv4.tcp_wmem", judge: func(c *evaluation) { c.buffers("send") }},
	{key: "net.core.rmem_max", judge: func(c *evaluation) {
		c.socketCap("SO_RCVBUF", "tcp_rmem")
	}},
	{key: "net.core.wmem_max", judge: func(c *evaluation) {
		c.socketCap("SO_SNDBUF", "tcp_wmem")
	}},
	{key: "net.core.rmem_default", judge: func(c *evaluation) { c.socketDefault("tcp_rmem") }},
	{key: "net.core.wmem_default", judge: func(c *evaluation) { c.socketDefault("tcp_wmem") }},
	{key: "net.ipv4.tcp_moderate_rcvbuf", judge: judgeModerate},
}

func (c *evaluation) buffers(way string) {
	if len(c.n) < 3 {
		c.notef(Effective, "Sets the first %d of three numbers (bytes: least, at "+
			"first, most) and leaves the others as they are.", len(c.n))
		return
	}
	least, start, most := c.n[0], c.n[1], c.n[2]
	if least > start || start > most {
		c.notef(Harmful, "The three numbers (bytes: least, at first, most) have to "+
			"ascend, and %s do not; the kernel does not check it.", c.shown())
		return
	}
	does := fmt.Sprintf("Lets the kernel grow the %s buffer of one connection to %s. It sets "+
		"throughput over long ways, not how many connections there can be: an "+
		"idle one has no buffer.", way, memory(most))
	d, _ := c.standard()
	c.compare(d, most, does, BelowDefault,
		fmt.Sprintf("the %s buffer of a connection cannot grow as far as without the "+
			"line. It sets throughput over long ways, not how many connections "+
			"there can be.", way))
	if least > 64<<10 {
		c.cautionf("The first number, %s, is what each connection may take even when "+
			"memory is short (tcp_mem): with 100,000 busy connections "+
			"that is %s.", memory(least), memory(saturated(least, 100_000)))
	}
	if first, _ := knob.FirstWindow.Amount(c.host()); way == "receive" && first.N > start &&
		c.since(4, 20) {
		c.cautionf("The second number, %s, is below the default of %s%s: the first window "+
			"is smaller.", count(start), count(first.N), first.Words)
	}
}

func (c *evaluation) socketCap(option, instead string) {
	does := fmt.Sprintf(
		"Caps what a program may ask for with %s at %s. TCP that leaves its buffers to "+
			"the kernel takes no notice of it and has the third number of %s.", option,
		memory(c.n[0]), instead)
	d, _ := c.standard()
	c.compare(d, c.n[0], does, BelowDefault,
		fmt.Sprintf("programs get less with %s than without the line. TCP that leaves "+
			"its buffers to the kernel takes no notice of it and has the third "+
			"number of %s.", option, instead))
}

func (c *evaluation) socketDefault(instead string) {
	c.sayf(NoEffect, "Does nothing for TCP, whose sockets begin with the second number "+
		"of %s; UDP, raw and Unix "+
		"sockets get %s ({d} bytes by default).", instead, memory(c.n[0]))
}

func judgeModerate(c *evaluation) {
	if c.n[0] == 0 {
		c.say(Harmful,
			"Receive buffers of connections no longer grow with their speed: each "+
				"stays at the second number of tcp_rmem, and far or fast peers "+
				"are slowed down. The default is {d}.")
		return
	}
	c.say(Unrelated, "The kernel sizes receive buffers by itself; that is the default.")
}
