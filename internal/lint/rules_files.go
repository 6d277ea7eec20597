package lint

import "math"

// fileRules are about descriptors.
var fileRules = []rule{
	{
		key: "fs.file-max", takes: single(unsigned), def: tenth,
		source: "fs/file_table.c alloc_empty_file, files_maxfiles_init (4.4-6.18)", judge: judgeFileMax,
	},
	{
		key: "fs.file-nr", judge: nothing("Shows how many files are open and cannot be written: the write fails. The ceiling is fs.file-max."),
		source: "fs/file_table.c (mode 0444)",
	},
	{
		key: "fs.nr_open", takes: single(between(64, 2147483584)), def: always(1048576),
		does: "Is the highest value that a hard RLIMIT_NOFILE may have: {v}. It raises no limit of a process by itself.",
		less: BelowDefault, lessWhy: "no process can set a hard descriptor limit above it, and units or logins that ask for more fail or get less.",
		source: "kernel/sys.c do_prlimit; fs/file.c sysctl_nr_open (4.4-6.18)",
	},
	{
		key: "fs.epoll.max_user_watches", takes: single(unsigned), def: watches,
		does: "Lets each user watch {v} descriptors with epoll, over all processes; epoll_ctl() fails with ENOSPC above it.",
		less: BelowDefault, lessWhy: "each descriptor that a user watches with epoll counts, over all processes, and epoll_ctl() fails with ENOSPC above it.",
		source: "fs/eventpoll.c ep_insert, eventpoll_init (4.4-6.18)",
	},
	{
		key: "fs.inotify.max_user_watches", takes: single(anyInt), unrelated: true,
		does: "Counts watched files and directories, never sockets.", source: "fs/notify/inotify/inotify_user.c inotify_new_watch",
	},
}

func judgeFileMax(c *call) {
	v := c.n[0]
	does := "Lets the whole host have " + count(v) + " open files (ENFILE above it). It is not what gives \"Too many open files\" in a process (EMFILE): that is its RLIMIT_NOFILE."
	const lower = "the whole host may then open fewer files than without the line, and socket() and accept() fail with ENFILE above it. It is not what gives EMFILE in a process: that is its RLIMIT_NOFILE."
	if now, ok := c.runningNumber(); ok && now > v && now == math.MaxInt64 {
		c.note(BelowDefault, count(v)+" is below what this host has now, "+count(now)+" (no limit, as systemd sets it since version 240): "+lower, c.rule.source+"; systemd 240 NEWS")
		return
	}
	c.compare(c.rule.def(c.ground), v, does, BelowDefault, lower)
	if !c.seen() {
		c.caution("systemd sets it to 9,223,372,036,854,775,807 (no limit) since version 240; on such hosts the line lowers it.")
	}
}
