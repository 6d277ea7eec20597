package lint

import (
	"fmt"

	"github.com/maxconn/maxconn/internal/knob"
)

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
		c.note(Effective,
			fmt.Sprintf("Sets the first %d of three numbers (bytes: least, at "+
				"first, most) and leaves the others as they are.", len(c.n)),
			c.rule.Source)
		return
	}
	least, start, most := c.n[0], c.n[1], c.n[2]
	if least > start || start > most {
		c.note(Harmful,
			fmt.Sprintf("The three numbers (bytes: least, at first, most) have to "+
				"ascend, and %s do not; the kernel does not check it.", c.shown()),
			c.rule.Source)
		return
	}
	does := fmt.Sprintf(
		"Lets the kernel grow the %s buffer of one connection to %s. It sets "+
			"throughput over long ways, not how many connections there can be: an "+
			"idle one has no buffer.", way, memory(most))
	d, _ := c.standard()
	c.compare(d, most, does, BelowDefault,
		fmt.Sprintf("the %s buffer of a connection cannot grow as far as without the "+
			"line. It sets throughput over long ways, not how many connections "+
			"there can be.", way))
	if least > 64<<10 {
		c.caution(fmt.Sprintf(
			"The first number, %s, is what each connection may take even when "+
				"memory is short (tcp_mem): with 100,000 busy connections "+
				"that is %s.", memory(least), memory(saturated(least, 100_000))))
	}
	if first, _ := knob.FirstWindow.Amount(c.host()); way == "receive" && first.N > start &&
		c.since(4, 20) {
		c.caution(fmt.Sprintf(
			"The second number, %s, is below the default of %s%s: the first window "+
				"is smaller.",
			count(start), count(first.N), first.Words))
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
	c.say(NoEffect,
		fmt.Sprintf("Does nothing for TCP, whose sockets begin with the second number "+
			"of %s; UDP, raw and Unix "+
			"sockets get %s ({d} bytes by default).", instead, memory(c.n[0])))
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
