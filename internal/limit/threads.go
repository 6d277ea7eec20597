package limit

import (
	"cmp"
	"slices"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const Threads ID = "threads"

var _ = register(Limit{
	ID:      Threads,
	Title:   "threads, for servers with a thread for each connection",
	Measure: Held,
	Scope:   Host,
	Bounds:  Flows{Both, Held},
	Doc: "A server that spends a thread or a process on each connection ends where no more " +
		"can be made: clone() fails with EAGAIN, \"Resource temporarily unavailable\", " +
		"and pthread_create() and " +
		"fork() with it. The smallest of several numbers counts: `kernel.threads-max` " +
		"and `kernel.pid_max` for the host, pids.max for a cgroup and all below it, " +
		"RLIMIT_NPROC for a user, and " +
		"`vm.max_map_count` for one process, whose threads need two mappings each. " +
		"Servers with event loops (nginx, HAProxy, Node, Go's goroutines) use a few " +
		"threads for any number of connections and never get here.",
	Formula: "host: min(threads-max, pid_max - 300); cgroup: pids.max; process: " +
		"min(RLIMIT_NPROC unless root, max_map_count / 2); one thread a connection, " +
		"where threads and connections are about as many",
	Myths: []Myth{
		{"each connection needs a thread",
			"epoll, io_uring and goroutines serve any number with a few; then none " +
				"of these numbers bounds connections",
			"fs/eventpoll.c ep_insert; kernel/fork.c copy_process"},
		{"kernel.threads-max is the limit",
			"a pid is needed for each thread as well, and kernel.pid_max is often " +
				"the smaller one (measured: EAGAIN at 32,415 threads with " +
				"pid_max 32768 and threads-max 192730)", "kernel/pid.c alloc_pid"},
		{"\"Cannot allocate memory\" while threads are made means that memory is short",
			"the mapping of a stack fails with ENOMEM at vm.max_map_count, too; " +
				"pthread_create() reports it as EAGAIN", "mm/mmap.c do_mmap"},
		{"RLIMIT_NPROC limits the processes of one service",
			"it counts all tasks of the real user, threads included, on the whole " +
				"host (since Linux 5.14 in his user namespace and those in " +
				"it); root and processes with CAP_SYS_RESOURCE or " +
				"CAP_SYS_ADMIN are exempt", "kernel/fork.c copy_process, " +
				"kernel/ucount.c inc_rlimit_ucounts, d64696905554"},
	},
	Knobs: []string{
		"kernel.threads-max", "kernel.pid_max", "pids.max", "RLIMIT_NPROC",
		"vm.max_map_count",
	},
	Signs: []Sign{
		{
			Text:  "resource temporarily unavailable",
			Errno: "EAGAIN",
			Call:  "clone",
			Means: "no further thread or process: threads-max, pid_max, pids.max " +
				"of a cgroup or RLIMIT_NPROC is reached (from read() or " +
				"accept() on a non-blocking socket it is no error)",
			Look: "maxconn check --limit threads",
		},
		{
			Text:  "resource temporarily unavailable",
			Errno: "EAGAIN",
			Call:  "pthread_create",
			Means: "no further thread: a limit on tasks, or vm.max_map_count or " +
				"memory for its stack",
			Look: "maxconn check --limit threads; wc -l /proc/PID/maps",
		},
		{
			Text:  "cannot allocate memory",
			Errno: "ENOMEM",
			Call:  "mmap",
			Means: "the process has vm.max_map_count mappings, or the memory is " +
				"used up",
			Look: "wc -l /proc/PID/maps; sysctl vm.max_map_count",
		},
		{
			Text: "cgroup: fork rejected by pids controller in …",
			Means: "a cgroup is at its pids.max (TasksMax of the unit, " +
				"--pids-limit of the container)",
			Look: "maxconn check --limit threads; pids.max and pids.events of " +
				"that cgroup",
		},
		{
			Text: "unable to create native thread",
			Means: "a JVM was refused a thread; despite its name, " +
				"OutOfMemoryError, it is a limit on tasks or mappings more " +
				"often than memory",
			Look: "maxconn check --limit threads",
		},
	},
	Sources: []string{
		"kernel/fork.c copy_process (4.4-6.18)",
		"kernel/pid.c alloc_pid (RESERVED_PIDS 300)", "kernel/cgroup/pids.c " +
			"pids_can_fork (4.3-6.18)",
		"mm/mmap.c do_mmap",
		"two mappings a thread: measured on Linux 6.18 with glibc 2.36",
	},
	Needs: []host.Fact{
		{Kind: host.LoadavgKind, Name: "threads"}, host.Sysctl("kernel.threads-max"),
		host.Sysctl("kernel.pid_max"), host.Sysctl("vm.max_map_count"),
		host.All(host.ProcessKind), host.All(host.CgroupKind), host.All(host.InboundKind),
		host.All(host.OutboundKind),
	},
	Refusals: []host.Fact{host.All(host.CgroupKind)}, RefusalsShared: true,
	Gauges: threadGauges,
})

// reservedPIDs are not given out again once the numbers have wrapped
// (include/linux/threads.h RESERVED_PIDS).
const reservedPIDs = 300

// mostPIDs is the largest kernel.pid_max (include/linux/threads.h PID_MAX_LIMIT, 64 bits).
const mostPIDs = 4194304

const (
	// manyThreads is from where a process gets a gauge of its own: event loops and
	// pools stay below.
	manyThreads = 1000
	// fewThreads is up to where a low limit is a sandbox and meant so: sshd before the
	// login runs with RLIMIT_NPROC 0, units with TasksMax=1.
	fewThreads = 16
)

func threadGauges(r *host.Reader, w Workload) []Gauge {
	gauges := []Gauge{hostThreads(r)}
	processes := r.Rows(host.ProcessKind)
	taken := takenByProcess(r, processes)
	for _, t := range taskTenants(r, processes) {
		p, ok := newTaskGroup(r, t)
		if g, unseen := p.unseen(taken); unseen {
			gauges = append(gauges, g)
			continue
		}
		if !ok {
			continue
		}
		gauges = append(gauges, p.gauge())
		if g, ok := p.connections(taken); ok {
			gauges = append(gauges, g)
		}
	}
	gauges = append(gauges, homeless(r, processes, 0)...)
	maps, _ := r.Maybe(host.Sysctl("vm.max_map_count"))
	for _, row := range processes {
		if g, ok := processThreads(row, maps, taken); ok {
			gauges = append(gauges, g)
		}
	}
	return gauges
}

// taskLimit is one of the numbers that end the making of threads.
type taskLimit struct {
	name    string // as settings name it
	value   int64  // as read
	ceiling int64  // in threads
	exact   bool   // at the ceiling the kernel refuses; otherwise it is an estimate from above
	step    Step

	cgroup, file string // of a cgroup: as people write it, and the file of its pids.max
	pid          string // of a process
	hard         int64  // of a process: 0 where it could not be seen
}

// lowestTaskLimit is the one that binds.
func lowestTaskLimit(limits []taskLimit) taskLimit {
	return slices.MinFunc(limits, func(a, b taskLimit) int {
		return cmp.Compare(a.ceiling, b.ceiling)
	})
}

func taskLimitSteps(limits []taskLimit) (out []Step) {
	for _, l := range limits {
		out = append(out, l.step)
	}
	return out
}

// hostThreads bounds no flow of connections: whether one needs a thread is up to the program.
func hostThreads(r *host.Reader) Gauge {
	now := max(r.Int(host.Fact{Kind: host.LoadavgKind, Name: "threads"}), 0)
	limits, unseen := hostTaskLimits(r, now)
	if len(limits) == 0 {
		r.Int(unseen[len(unseen)-1].Fact) // what is left is the reason
		return Gauge{}
	}
	l := lowestTaskLimit(limits)
	g := Gauge{
		Subject: thisHost,
		Unit:    "tasks",
		Ceiling: l.ceiling,
		Used:    settled(now, l.ceiling),
		Owner:   l.name,
		AtMost:  len(unseen) > 0,
		Unseen:  unseen,
		Lift:    l.lift,
	}
	g.Steps = append(taskLimitSteps(limits),
		Step{
			Label: "tasks of the host now" + unsettled(now, l.ceiling),
			Value: g.Used,
			Unit:  "tasks",
			How:   Read,
			From:  "loadavg",
		})
	g.Refusing = g.Full()
	if g.Refusing || g.IsNear() {
		g.Cause = "the host has " + plural(now, "thread") + ", " + l.name + " = " +
			itoa(l.value) + " allows " + figure.Count(l.ceiling)
		g.Evidence = []Evidence{{"loadavg threads", itoa(now),
			"all tasks of the host, kernel threads included; the kernel has no " +
				"counter for refused ones"}}
		g.Remedies, g.Enough = []Remedy{raiseTasks(l, now), fewerThreads()}, 2*now
	}
	return g
}

// hostTaskLimits are threads-max and pid_max, where they are known. More tasks than pid_max
// has pids means that pid_max is not that of the host: since Linux 6.14 each pid namespace
// has its own, while loadavg counts all tasks.
func hostTaskLimits(r *host.Reader, now int64) (limits []taskLimit, unseen []host.Missing) {
	threadsMax, pidMax := host.Sysctl("kernel.threads-max"), host.Sysctl("kernel.pid_max")
	pids, known := r.Maybe(pidMax)
	switch {
	case !known:
		unseen = append(unseen, host.Missing{Fact: pidMax,
			Why: cmp.Or(r.Why(pidMax), "it is not a number")})
	case pids <= now:
		unseen = append(unseen, host.Missing{Fact: pidMax,
			Why: "it is lower than the tasks of the host: that of a pid namespace " +
				"of its own, or lowered while more were running"})
	default:
		n := max(pids-reservedPIDs, 1)
		limits = append(limits, taskLimit{name: pidMax.Name, value: pids, ceiling: n,
			exact: true, step: Step{
				Label: "pids that the host gives out again",
				Sum:   itoa(pids) + " - " + itoa(reservedPIDs),
				Value: n, Unit: "tasks", How: Computed, From: pidMax.Name,
			}})
	}
	if n, ok := r.Maybe(threadsMax); ok {
		n = max(n, 0)
		limits = append(limits, taskLimit{name: threadsMax.Name, value: n, ceiling: n,
			exact: true, step: Step{
				Label: "tasks that the host may have", Value: n, Unit: "tasks",
				How:  Read,
				From: threadsMax.Name,
			}})
	} else {
		unseen = append(unseen, host.Missing{Fact: threadsMax,
			Why: cmp.Or(r.Why(threadsMax), "it is not a number")})
	}
	return limits, unseen
}

// processThreads is the ceiling of a process with very many threads, or close to its user's limit.
func processThreads(row host.Row, maps int64, taken map[string]int64) (Gauge, bool) {
	pid, _ := host.Row{Fields: host.Fields{{Name: "pid", Value: row.Name()}}}.Int("pid")
	now, ok := row.Int("threads")
	if missing, bounds := unseenThreads(row, now, maps, taken); len(missing) > 0 && pid > 0 {
		name := row.Text("name")
		return blind(Subject{Kind: Process, Name: who(name, pid), Process: name, PID: pid},
			bounds, missing...), true
	}
	limits := processTaskLimits(row, now, maps)
	if !ok || pid <= 0 || now < 1 || len(limits) == 0 {
		return Gauge{}, false
	}
	l := lowestTaskLimit(limits)
	if now < manyThreads && (now < fewThreads || now < l.ceiling/2) {
		return Gauge{}, false
	}
	name := row.Text("name")
	g := Gauge{
		Subject: Subject{Kind: Process, Name: who(name, pid), Process: name, PID: pid},
		Unit:    "threads",
		Ceiling: l.ceiling,
		Used:    now,
		AtMost:  true,
		Owner:   l.name,
		Lift:    l.lift,
	}
	switch {
	case perConnection(now, taken[row.Name()]):
		g.Bounds = Inbound
	case perConnection(now, row.Sockets()):
		g.Bounds = Both
	}
	g.Steps = append(taskLimitSteps(limits), Step{
		Label: "threads of the process now",
		Value: now,
		Unit:  "threads",
		How:   Read,
		From:  "process " + itoa(pid),
	})
	g.Refusing = l.exact && g.Full()
	if g.Refusing || g.IsNear() {
		g.Cause = who(name, pid) + " has " + plural(now, "thread") + ", " + l.name + " = " +
			itoa(l.value) + " allows " + figure.Count(l.ceiling) + " at most"
		g.Evidence = []Evidence{{"process " + itoa(pid) + " threads", itoa(now),
			"threads of this process; RLIMIT_NPROC counts all of the user's, " +
				"vm.max_map_count all mappings of the process"}}
		g.Remedies, g.Enough = []Remedy{raiseTasks(l, now), fewerThreads()}, 2*now
	}
	return g, true
}

// unseenThreads are the fields without which nobody knows whether a process is at its limit, and
// which connections that limit bounds: those of a process that has a thread for each.
func unseenThreads(row host.Row, now, maps int64, taken map[string]int64) (out []host.Missing,
	bounds Direction) {
	if row.Text("threads") == "" {
		return []host.Missing{lacking(row, "threads")}, Both
	}
	if perConnection(now, taken[row.Name()]) || perConnection(now, row.Sockets()) {
		bounds = Both
	}
	if row.Text("nproc") == "" && row.Text("uid") != "0" && (bounds != 0 || now >= fewThreads) {
		out = append(out, lacking(row, "nproc"))
	}
	if maps <= 0 && bounds != 0 {
		out = append(out, host.Missing{Fact: host.Sysctl("vm.max_map_count"),
			Why: "it could not be read"})
	}
	return out, bounds
}

// processTaskLimits are RLIMIT_NPROC, which does not bind root, and the mappings that the
// stacks of threads take. A process that has more threads than half its mappings takes one
// each (newer C libraries).
func processTaskLimits(row host.Row, now, maps int64) (limits []taskLimit) {
	pid := row.Name()
	if n, ok := bounded(row, "nproc", noCeiling); ok && n < noCeiling && n >= 0 &&
		row.Text("uid") != "0" {
		hard, _ := bounded(row, "nproc_hard", noCeiling)
		limits = append(limits, taskLimit{name: "RLIMIT_NPROC of process " + pid, value: n,
			ceiling: n, exact: true, pid: pid, hard: hard, step: Step{
				Label: "tasks that its user may have, if no other process of " +
					"the user has any",
				Value: n, Unit: "tasks", How: Read,
				From: "process " + pid + " nproc",
			}})
	}
	each := int64(2)
	if now > maps/2 {
		each = 1
	}
	if maps > 0 {
		limits = append(limits, taskLimit{name: "vm.max_map_count", value: maps,
			ceiling: maps / each, step: Step{
				Label: "threads that its mappings suffice for, " + plural(each,
					"mapping") +
					" each",
				Sum: itoa(maps) + " / " + itoa(each), Value: maps / each,
				Unit: "threads",
				How:  Computed, From: "vm.max_map_count",
			}})
	}
	return limits
}

// raiseTasks raises the number that binds to the next power of two that holds twice of what
// is in use.
func raiseTasks(l taskLimit, now int64) Remedy {
	to := roundUp(2 * min(now, noCeiling/4))
	out := Remedy{
		Kind:        BySetting,
		Setting:     l.name,
		From:        itoa(l.value),
		To:          itoa(to),
		TakesEffect: Now,
		Text:        "allow more threads",
	}
	switch {
	case l.name == "kernel.pid_max":
		out.To = itoa(min(to, mostPIDs))
		out.Text = "allow more threads; " + figure.Count(mostPIDs) + " is the most"
	case l.name == "vm.max_map_count":
		out.To = itoa(4 * min(now, noCeiling/8))
		out.Text = "allow more mappings in a process; it takes effect at the next mmap()"
	case l.cgroup != "":
		out.Text = cmp.Or(byUnit(l.cgroup, "TasksMax", itoa(to)),
			byOwner("allow more tasks", "--pids-limit", l.file, itoa(to)))
	case l.pid != "":
		return l.raiseUser(to, out)
	}
	return out
}

// raiseUser raises RLIMIT_NPROC of a running process: the soft limit up to the hard one, which its
// user may do, or both.
func (l taskLimit) raiseUser(to int64, out Remedy) Remedy {
	const command = "prlimit --pid "
	out.Kind, out.Setting = Live, command+l.pid+" --nproc="+itoa(to)+":"
	switch {
	case l.hard >= to:
		out.Text = "raise the soft limit of the running process; the same user may do it"
	case l.hard > 0:
		out.Setting = command + l.pid + " --nproc=" + itoa(to) + ":" + itoa(to)
		out.Text = "raise both limits of the running process, the hard one is " +
			figure.Count(l.hard) + "; " + needsResource
	default:
		out.Text = "raise the soft limit of the running process, up to the hard limit, " +
			"which could not be seen"
	}
	out.Text += "; LimitNPROC= of its unit for the next start; only by hand, because it " +
		"counts the tasks of all programs of the user"
	return out
}

func fewerThreads() Remedy {
	return Remedy{Kind: ByApplication, TakesEffect: AtStart,
		Text: "an event loop (epoll) or a bounded pool instead of a thread for each " +
			"connection; see whether the number of threads still grows, which " +
			"is a leak"}
}
