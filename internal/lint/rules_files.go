package lint

import "math"

// fileRules are about descriptors.
var fileRules = []rule{
	{key: "fs.file-max", judge: judgeFileMax},
	{
		key: "fs.nr_open",
		does: "Is the highest value that a hard RLIMIT_NOFILE may have: {v}. It raises " +
			"no limit of a process by itself.",
		less: BelowDefault,
		lessWhy: "no process can set a hard descriptor limit above it, and units or " +
			"logins that ask for more fail or " +
			"get less.",
	},
	{
		key: "fs.epoll.max_user_watches",
		does: "Lets each user watch {v} descriptors with epoll, over all processes; " +
			"epoll_ctl() fails with ENOSPC " +
			"above it.",
		less: BelowDefault,
		lessWhy: "each descriptor that a user watches with epoll counts, over all " +
			"processes, and epoll_ctl() fails " +
			"with ENOSPC above it.",
	},
}

func judgeFileMax(c *evaluation) {
	v := c.n[0]
	does := "Lets the whole host have " + count(v) +
		" open files (ENFILE above it). It is not what gives \"Too many open files\" " +
		"in a process (EMFILE): that is its RLIMIT_NOFILE."
	const lower = "the whole host may then open fewer files than without the line, and " +
		"socket() and accept() fail with ENFILE above it. It is not what gives EMFILE " +
		"in a process: that is its RLIMIT_NOFILE."
	if now, ok := c.runningNumber(); ok && now > v && now == math.MaxInt64 {
		c.note(BelowDefault, count(v)+" is below what this host has now, "+count(now)+
			" (no limit, as systemd sets it since version 240): "+lower,
			c.rule.Source+"; systemd 240 NEWS")
		return
	}
	d, _ := c.standard()
	c.compare(d, v, does, BelowDefault, lower)
	if !c.seen() {
		c.caution("systemd sets it to 9,223,372,036,854,775,807 (no limit) since " +
			"version 240; on such hosts the line lowers it.")
	}
}
