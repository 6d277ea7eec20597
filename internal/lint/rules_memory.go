package lint

import "fmt"

// memoryRules are about memory for data of TCP connections.
var memoryRules = []rule{{key: "net.ipv4.tcp_mem", judge: judgeTCPMem}}

// judgeTCPMem weighs the third number, the hard ceiling. It counts pages; the numbers that
// are quoted most often are bytes of tcp_rmem, or of somebody else's host.
func judgeTCPMem(c *evaluation) {
	if len(c.n) < 3 {
		c.note(Effective,
			fmt.Sprintf("Sets the first %d of three numbers (pages: no care, "+
				"pressure, ceiling) and leaves the others as they are.", len(c.n)),
			c.rule.Source)
		return
	}
	low, pressure, high := c.n[0], c.n[1], c.n[2]
	if low > pressure || pressure > high {
		c.note(Harmful,
			fmt.Sprintf("The three numbers (pages: no care, pressure, ceiling) "+
				"have to ascend, and %s do not; the kernel does not check it.",
				c.shown()), c.rule.Source)
		return
	}
	page := c.host().PageSize()
	d, _ := c.standard()
	is := fmt.Sprintf("%s pages (%s)", count(high), memory(saturated(high, page)))
	if m, ok := c.host().Memory(); ok && high > m/page {
		c.note(Harmful,
			fmt.Sprintf("Counts pages, not bytes: a ceiling of %s is more than the "+
				"memory of this host, %s, so nothing is under pressure before "+
				"the memory is used up. The default is about %s pages.", is,
				memory(m), count(twoDigits(d.N))), c.rule.Source)
		return
	} else if !ok && saturated(high, page) > 64<<30 && saturated(low, page) < 1<<30 {
		c.note(Harmful,
			fmt.Sprintf("Counts pages, not bytes: the ceiling is %s, more than the "+
				"memory of most hosts, while it begins to save memory at %s "+
				"pages (%s) already.", is, count(pressure),
				memory(saturated(pressure, page))), c.rule.Source)
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
