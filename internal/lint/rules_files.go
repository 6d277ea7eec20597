package lint

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// fileRules are about descriptors.
var fileRules = []rule{
	{key: "fs.file-max", judge: judgeFileMax},
	{
		key: "fs.nr_open",
		does: "Is the highest value that a hard RLIMIT_NOFILE may have: {v}. It raises " +
			"no limit of a process by itself.",
		less: BelowDefault,
		lessWhy: "no process can set a hard descriptor limit above it, and units or " +
			"logins that ask for more fail or get less.",
	},
	{
		key: "fs.epoll.max_user_watches",
		does: "Lets each user watch {v} descriptors with epoll, over all processes; " +
			"epoll_ctl() fails with ENOSPC above it.",
		less: BelowDefault,
		lessWhy: "each descriptor that a user watches with epoll counts, over all " +
			"processes, and epoll_ctl() fails with ENOSPC above it.",
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

const rlimitSource = "kernel/sys.c do_prlimit; fs/file.c alloc_fd"

// systemdOpen is what systemd makes of fs.nr_open at boot since version 240 (src/core/main.c
// bump_file_max_and_nr_open: the largest power of two that the kernel takes, made a multiple of 8).
const systemdOpen = 1073741816

// mostSensible is the descriptor limit above which programs that walk over all numbers
// suffer, and no host needs more.
const mostSensible = 10_000_000

// rlimit judges limits.conf, ulimit, prlimit and units.
func (c *evaluation) rlimit() {
	key := c.key
	if slices.Contains(fileLimits, key) {
		key = "nofile"
	}
	switch key {
	case "nofile", "ulimit -n", "prlimit --nofile", "LimitNOFILE", "DefaultLimitNOFILE",
		"RLIMIT_NOFILE", "max-open-files":
		c.nofile()
	case "Backlog":
		c.socketBacklog()
	case "MaxConnections", "MaxConnectionsPerSource":
		c.note(Effective, "Bounds how many connections are served at once, each by a "+
			"process "+
			"of its own; systemd closes further ones at once.", "systemd.socket(5)")
	case "nproc", "ulimit -u", "LimitNPROC", "DefaultLimitNPROC", "TasksMax", "DefaultTasksMax":
		if c.ignoredWord() {
			return
		}
		c.note(Effective, "Bounds processes and threads ("+c.reach()+
			"). It bounds connections only of servers with a thread for each.",
			"kernel/fork.c copy_process; limits.conf(5), systemd.exec(5), "+
				"systemd.resource-control(5)")
	case "MemoryMax", "MemoryLimit":
		c.note(Effective,
			"Bounds the memory of the unit, kernel memory of its connections "+
				"included: about "+limit.IdleSize+" for each idle one.",
			"mm/memcontrol.c try_charge_memcg; systemd.resource-control(5)")
	default:
		c.note(Unrelated, "Is not about how many connections there can be.",
			"limits.conf(5)")
	}
}

// reach says whom the limit is for.
func (c *evaluation) reach() string {
	switch c.form {
	case asLimits:
		domain, _, _ := strings.Cut(c.subject, " ")
		who := "of " + domain
		if domain == "*" {
			who = "of all users but root"
		}
		return "login sessions " + who +
			" through PAM, from the next login on; systemd services take the Limit " +
			"lines of their units"
	case asUnit:
		if strings.HasPrefix(c.key, "Default") {
			return "all units that say nothing else, from their next start on"
		}
		return "the processes of the unit, from its next start on"
	case asContainer:
		return "the processes of the container, when it is made again"
	case asProgram:
		return "the processes of " + c.subject + ", from its next start on"
	}
	if c.key == "prlimit --nofile" {
		return "that process, from its next descriptor on"
	}
	return "this shell and what it starts from then on; services and sessions that run " +
		"keep theirs"
}

// ignoredWord is for words that systemd does not take: it has infinity, and not unlimited.
func (c *evaluation) ignoredWord() bool {
	if c.form != asUnit || c.value != "unlimited" && c.value != "-1" {
		return false
	}
	c.note(OutOfBounds, "systemd does not take "+c.value+" and ignores the line with a "+
		"warning; "+
		"no limit is written infinity.", "systemd.exec(5), systemd.resource-control(5); "+
		"measured with systemd 252")
	return true
}

// socketBacklog is the queue that systemd asks for.
func (c *evaluation) socketBacklog() {
	const source = "systemd.socket(5) Backlog=; net/socket.c __sys_listen_socket"
	v := numbers(c.value, 1)
	if v.wrong != "" || v.rest != "" {
		c.note(OutOfBounds, "It is not a number that systemd takes here: the line is "+
			"ignored.", source)
		return
	}
	most, from, ok := c.other("net.core.somaxconn")
	switch given := limit.QueueLimit(v.n[0], most); {
	case !ok:
		c.note(Effective, "Asks listen() for a queue of "+count(v.n[0])+".", source)
	case v.n[0] == math.MaxUint32:
		c.note(Effective, "Asks listen() for the longest queue there is, which systemd "+
			"does "+
			"without the line as well: net.core.somaxconn, "+count(most)+" ("+from+").",
			source)
	case given < v.n[0]:
		c.note(OutOfBounds, fmt.Sprintf("Asks listen() for a queue of %s, and "+
			"net.core.somaxconn, %s (%s), binds first: the queue is %s long.",
			count(v.n[0]), count(most), from, count(given)), source)
	case given < most:
		c.note(BelowDefault, fmt.Sprintf("The queue is %s long; without the line systemd "+
			"asks for the most there is, net.core.somaxconn, %s (%s).", count(given),
			count(most), from), source)
	default:
		c.note(Effective, "The queue is "+count(given)+" long, as net.core.somaxconn "+
			"allows ("+from+").", source)
	}
}

func (c *evaluation) nofile() {
	if c.ignoredWord() {
		return
	}
	soft, hard, isPair := strings.Cut(c.value, ":")
	if !isPair {
		hard = soft
	}
	if slices.Contains(noLimit, soft) || slices.Contains(noLimit, hard) {
		c.unlimitedFiles()
		return
	}
	low, err1 := strconv.ParseInt(soft, 10, 64)
	high, err2 := strconv.ParseInt(hard, 10, 64)
	switch {
	case err1 != nil || err2 != nil || low < 0 || high < 0:
		c.note(OutOfBounds,
			"It is not a number that is accepted here: the line is ignored with "+
				"an error.", c.reader())
	case low > high:
		c.note(OutOfBounds, fmt.Sprintf("The soft limit, %s, is above the hard one, %s.",
			count(low), count(high)), c.reader())
	default:
		c.filesTo(low, high)
	}
}

var noLimit = []string{"unlimited", "infinity", "-1"}

// reader is the manual page of what reads the line.
func (c *evaluation) reader() string {
	return map[form]string{asLimits: "limits.conf(5)", asUnit: "systemd.exec(5)",
		asContainer: "getrlimit(2)"}[c.form] +
		map[bool]string{true: "getrlimit(2)"}[c.form == asUlimit]
}

func (c *evaluation) unlimitedFiles() {
	const walk = "programs that walk over all descriptor numbers (to close them, or to " +
		"size a table) then take minutes or gigabytes; give the number that is needed"
	switch c.form {
	case asUlimit:
		c.note(OutOfBounds,
			"The kernel refuses a descriptor limit above fs.nr_open (EPERM), and "+
				"unlimited is above it: nothing is set.", rlimitSource)
	case asContainer:
		c.note(OutOfBounds,
			"The kernel refuses a descriptor limit above fs.nr_open (EPERM), and "+
				"unlimited is above it: the container does not start.",
			rlimitSource)
	case asLimits:
		c.note(Harmful, "pam_limits puts fs.nr_open in its place, 1 million or 1 billion: "+
			walk+".", "limits.conf(5); moby issue 38814")
	default:
		c.note(Harmful, "systemd gives what fs.nr_open allows, 1 million or 1 billion: "+
			walk+".", "systemd.exec(5); moby issue 38814")
	}
}

func (c *evaluation) filesTo(low, n int64) {
	open, from, _ := c.other("fs.nr_open")
	if from != byDefault || n <= open || n > systemdOpen {
		c.filesBelow(low, n, open, from)
		return
	}
	c.filesBelow(low, n, systemdOpen, "systemd's")
	c.caution("fs.nr_open is " + count(systemdOpen) + " where systemd 240 or newer runs, " +
		"which " +
		"raises it at boot, and " + count(open) + " elsewhere: there the kernel refuses " +
		"what is above (EPERM).")
}

// filesBelow judges a limit where fs.nr_open is known, or taken to be that.
func (c *evaluation) filesBelow(low, n, open int64, from string) {
	switch {
	case n > open && c.form == asUnit:
		c.note(OutOfBounds,
			fmt.Sprintf("%s is above fs.nr_open, %s (%s): systemd gives the most "+
				"that the kernel allows.", count(n), count(open), from),
			rlimitSource+"; systemd.exec(5)")
		return
	case n > open:
		c.note(OutOfBounds,
			fmt.Sprintf("%s is above fs.nr_open, %s (%s): the kernel refuses it "+
				"(EPERM)%s.", count(n), count(open), from, c.lockedOut()),
			rlimitSource+"; limits.conf(5)")
		return
	case n > mostSensible:
		c.note(Harmful,
			fmt.Sprintf("No program needs %s descriptors, and those that walk over "+
				"all numbers suffer from it. Give the number that is needed.",
				count(n)), "moby issue 38814")
		return
	}
	if now, ok := c.ownHard(); ok && n < now && c.form == asLimits &&
		!strings.HasSuffix(c.subject, " soft") {
		c.note(BelowDefault,
			fmt.Sprintf("%s is below the hard limit that a shell has here, %s: the "+
				"line lowers it (%s).", count(n), count(now), c.reach()),
			rlimitSource+"; limits.conf(5)")
		return
	}
	if n < kernelHard && c.setsHard() {
		c.note(BelowDefault, fmt.Sprintf("%s is below the hard limit that the kernel "+
			"gives "+
			"every process, %s (systemd gives services 524,288): without privilege "+
			"nothing gets more (%s).", count(n), count(kernelHard), c.reach()),
			"include/asm-generic/resource.h INIT_RLIMITS; systemd-system.conf(5) "+
				"DefaultLimitNOFILE=")
		return
	}
	c.note(Effective, "Sets "+c.whichLimit(low, n)+" ("+c.reach()+
		"). Each connection takes one.", rlimitSource+"; "+c.reader())
}

// kernelHard is INR_OPEN_MAX, the hard limit that the first process begins with.
const kernelHard = 4096

// setsHard says whether the hard limit is set, alone or with the soft one.
func (c *evaluation) setsHard() bool {
	return c.form != asProgram && !strings.HasSuffix(c.subject, "soft")
}

// whichLimit says in words what is set.
func (c *evaluation) whichLimit(low, high int64) string {
	which := c.subject
	if c.form == asLimits {
		_, which, _ = strings.Cut(c.subject, " ")
	}
	switch {
	case low != high:
		return fmt.Sprintf("the soft limit on descriptors to %s and the hard one to %s",
			count(low), count(high))
	case which == "soft" || which == "hard":
		return fmt.Sprintf("the %s limit on descriptors to %s", which, count(high))
	}
	return "the limit on descriptors, soft and hard, to " + count(high)
}

// lockedOut is what comes of a limit that PAM cannot set.
func (c *evaluation) lockedOut() string {
	if c.form != asLimits {
		return ""
	}
	return ", and where pam_limits is required the login is refused"
}

// ownHard is the hard limit of the shell that maxconn was started from.
func (c *evaluation) ownHard() (int64, bool) {
	return c.read.Maybe(host.System("own-files-hard"))
}
