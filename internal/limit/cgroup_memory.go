package limit

import (
	"cmp"
	"slices"

	"github.com/maxconn/maxconn/internal/host"
)

const CgroupMemory ID = "cgroup-memory"

var _ = register(Limit{
	ID:      CgroupMemory,
	Title:   "connections that the memory limit of a cgroup leaves room for",
	Measure: Held,
	Scope:   Cgroup,
	Bounds:  Flows{Both, Held},
	Doc: "The kernel memory of connections counts against the memory limit of the cgroup " +
		"(container, service) whose process holds them: sockets, files and epoll " +
		"entries, " +
		"and in version 2 the data in their queues as well (`sock` in memory.stat). A " +
		"container of 512 MiB that is otherwise empty ends at about 130,000 idle " +
		"connections, however many the host can hold. " +
		"When nothing can be given back, charges for data fail (windows shrink, " +
		"transfers stall) and those for sockets end in the cgroup's OOM killer. " +
		"Page cache counts as used but is given back on demand: usage close to the " +
		"limit is normal and no fault by itself.",
	Formula: "held = connections now + (limit - usage + page cache) / kernel memory that one " +
		"connection is charged; for each cgroup with a limit; " +
		"the room is rounded to two digits, because it moves all the time; at " +
		"most, as if all that can be given back or swapped out were, and as if the " +
		"program itself took none",
	Myths: []Myth{
		{"usage at the limit means that the container is out of memory",
			"page cache is charged too and given back first; only the event `oom` " +
				"(version 1: oom_kill) says that it did not suffice",
			"mm/memcontrol.c try_charge_memcg; " +
				"Documentation/admin-guide/cgroup-v2.rst memory.events"},
		{"memory.events max counts failures",
			"it counts each time that the limit was met and pages were given back " +
				"to stay below it; a cgroup that reads files does that all day",
			"Documentation/admin-guide/cgroup-v2.rst memory.events"},
		{"socket buffers are the host's business, not the container's",
			"in version 2 they are charged to the cgroup in addition to tcp_mem " +
				"(since 4.5, unless booted with cgroup.memory=nosocket); in " +
				"version 1 only to memory.kmem.tcp, and only when that has a limit",
			"mm/memcontrol.c mem_cgroup_charge_skmem, f7e1cb6ec51b"},
		{"the listener's cgroup pays for its connections",
			"a connection is charged to the cgroup of the process that calls " +
				"accept(); before Linux 6.12 the socket itself, made while a " +
				"packet was received, was not charged at all, only its file " +
				"and data; before about 5.6 the data did go to the cgroup of " +
				"the listener", "net/ipv4/inet_connection_sock.c " +
				"inet_csk_accept, 9028cdeb38e1, d752a4986532"},
	},
	Knobs: []string{
		"memory.max", "memory.limit_in_bytes", "memory.kmem.tcp.limit_in_bytes",
		"memory.high", "cgroup.memory=nosocket", "net.core.bypass_prot_mem",
	},
	Signs: []Sign{
		{
			Text: "Memory cgroup out of memory",
			Means: "a cgroup was at its memory limit with nothing left to give " +
				"back, and the kernel killed a process in it; the log names " +
				"the cgroup and the process",
			Look: "maxconn check --limit cgroup-memory; memory.events of that cgroup",
		},
		{
			Text:  "oom-kill:constraint=CONSTRAINT_MEMCG",
			Means: "the same, in the line that names the cgroup (oom_memcg=)",
			Look:  "maxconn check --limit cgroup-memory",
		},
		{
			Text:  "cannot allocate memory",
			Errno: "ENOMEM",
			Call:  "socket",
			Means: "the kernel memory of a socket could not be charged to the " +
				"cgroup, or the host has none",
			Look: "maxconn check --limit cgroup-memory --limit connection-memory",
		},
	},
	Sources: []string{
		"mm/memcontrol.c try_charge_memcg, mem_cgroup_charge_skmem (4.5-6.18)",
		"net/ipv4/tcp_ipv4.c tcp_prot, fs/file_table.c files_init, fs/eventpoll.c " +
			"eventpoll_init (SLAB_ACCOUNT: not yet in 4.14, in 4.18)",
		"net/ipv4/inet_connection_sock.c inet_csk_accept (net/ipv4/af_inet.c " +
			"__inet_accept since 6.18)",
		"Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst",
	},
	Needs: append([]host.Fact{host.All(host.CgroupKind), host.All(host.ProcessKind),
		host.All(host.ListenerKind), host.Meminfo("SwapFree"),
		host.System("cgroup-options"), host.System("kernel")}, endpointNeeds...),
	Details: append([]host.Fact{host.All(host.ListenerKind), host.Meminfo("SwapFree"),
		host.System("cgroup-options"), host.System("kernel")}, endpointNeeds...),
	Refusals: []host.Fact{host.All(host.CgroupKind)}, RefusalsShared: true,
	Foreseen: Foreseen{Each: PerEnd}, Gauges: cgroupMemoryGauges,
})

func cgroupMemoryGauges(r *host.Reader, w Workload) []Gauge {
	// where no cgroup can be seen, the limit is unseen and not absent
	r.Table(host.CgroupKind)
	servers := accepting(r)
	processes := r.Rows(host.ProcessKind)
	gauges := append(unseenGroups(r), homeless(r, processes, Both)...)
	for _, t := range cgroupTenants(r, processes, "cgroup") {
		accepts := slices.ContainsFunc(t.processes, func(p host.Row) bool {
			return servers[p.Name()]
		})
		c := chargeOf(r, t.row.Text("version"), accepts)
		m, ok := newCgroupMemory(r, t)
		switch missing := t.unread("memory_max", "memory_current"); {
		case missing == "memory_max" || ok && missing != "":
			gauges = append(gauges, blind(m.subject(), Both, lacking(t.row, missing)))
		case ok && c.least > 0:
			gauges = append(gauges, m.gauge(c))
		}
	}
	return gauges
}

// unseenGroups are the processes and cgroups that limits may bind which could not be read: those of
// a group that is not mounted, of a group's own file, and of the groups around a container.
func unseenGroups(r *host.Reader) (gauges []Gauge) {
	blind := func(s Subject, why string) {
		gauges = append(gauges, Gauge{Subject: s, Bounds: Both, Unbounded: true,
			AtMost: true, Why: why})
	}
	known := map[string]bool{}
	for _, row := range r.Rows(host.CgroupKind) {
		path := row.Name()
		known[path] = true
		s := Subject{Kind: Cgroup, Name: cgroupSubject(path), Cgroup: path}
		switch _, ok := bounded(row, "memory_max", noCeiling); {
		case row.Text("above") != "":
			blind(s, "limits of the cgroups around this container cannot be seen")
		case !ok && path != "/" && row.Text("pids_max") == "":
			blind(s, "the memory limit of "+cgroupName(path)+" could not be read")
		}
	}
	for _, row := range r.Rows(host.ProcessKind) {
		path := row.Text("cgroup")
		if row.Text("unseen_cgroup") == "" && (path == "" || known[path]) {
			continue
		}
		pid, _ := host.Row{Fields: host.Fields{{Name: "pid", Value: row.Name()}}}.Int("pid")
		if name := row.Text("name"); pid > 0 {
			blind(Subject{Kind: Process, Name: who(name, pid), Process: name, PID: pid},
				"limits of its cgroup could not be seen")
		}
	}
	return gauges
}

// homeless are the processes whose cgroup is not known although this host has cgroups.
func homeless(r *host.Reader, processes []host.Row, bounds Direction) (gauges []Gauge) {
	if len(r.Rows(host.CgroupKind)) == 0 {
		return nil
	}
	for _, row := range processes {
		if firstField(row, []string{"cgroup", "pids_cgroup", "unseen_cgroup"}) == "" {
			s := Subject{Kind: Process, Process: row.Text("name")}
			s.PID, _ = host.Row{Fields: host.Fields{{Name: "pid",
				Value: row.Name()}}}.Int("pid")
			s.Name = who(s.Process, s.PID)
			gauges = append(gauges, blind(s, bounds, lacking(row, "cgroup")))
		}
	}
	return gauges
}

// memoryGroup is a cgroup with a memory limit, in bytes.
type memoryGroup struct {
	tenants
	path, name     string
	windowed       bool
	version        string
	limit, current int64
	cache          int64 // page cache that can be given back
	cacheKnown     bool
	slack          int64  // what else may be given back or swapped out
	sock           int64  // data in queues; part of current in version 2 only
	oom            int64  // since the cgroup was made
	oomMoved, met  int64  // in the window: not held by giving back; limit met
	meter          string // the field that counts met
	file           string // that has the limit
}

// newCgroupMemory is false for a cgroup without a limit, or whose figures are missing.
func newCgroupMemory(r *host.Reader, t tenants) (m memoryGroup, ok bool) {
	m = memoryGroup{
		tenants:  t,
		path:     t.row.Name(),
		name:     cgroupName(t.row.Name()),
		windowed: windowed(r),
		version:  t.row.Text("version"),
	}
	limit, ok1 := bounded(t.row, "memory_max", noCeiling)
	current, ok2 := t.row.Int("memory_current")
	m.limit, m.current = limit, current
	m.cache, m.cacheKnown = t.row.Int("memory_file")
	m.cacheKnown = m.cacheKnown && m.cache >= 0 && m.cache < noCeiling
	m.slack, m.file = slack(r, t.row), "memory.max"
	if m.version == "1" {
		m.file = "memory.limit_in_bytes"
	}
	if kmem, ok := bounded(t.row, "memory_kmem_max", noCeiling); ok && kmem < m.limit {
		m.kmem(kmem)
	}
	m.sock, m.oom = max(t.row.Count("memory_sock"), 0), t.row.Count("memory_events_oom")
	m.oomMoved, _ = r.Moved(t.row.Fact, "memory_events_oom")
	m.meter = "memory_events_max"
	if m.version == "1" {
		m.meter = "memory_failcnt"
	}
	m.met, _ = r.Moved(t.row.Fact, m.meter)
	return m, ok1 && limit > 0 && limit < noCeiling &&
		(!ok2 || current >= 0 && current < noCeiling)
}

func (m memoryGroup) subject() Subject {
	return Subject{Kind: Cgroup, Name: cgroupSubject(m.path), Cgroup: m.path}
}

// kmem takes over the limit of kernel memory where that is the lower one (version 1). Page
// cache is no kernel memory.
func (m *memoryGroup) kmem(limit int64) {
	if used, ok := m.row.Int("memory_kmem"); ok && used >= 0 && used < noCeiling {
		m.limit, m.current, m.cache, m.slack = limit, used, 0, used
		m.file = "memory.kmem.limit_in_bytes"
	}
}

// slack is what else may be given back at most: kernel objects, and memory of programs where
// there is swap. Of kernel memory in version 1 nobody knows how much.
func slack(r *host.Reader, row host.Row) int64 {
	n := max(row.Count("memory_slab"), 0) + max(row.Count("memory_kmem"), 0)
	swap, known := r.Maybe(host.Meminfo("SwapFree"))
	anon, counted := row.Int("memory_anon")
	switch {
	case row.Text("memory_slab") == "" && row.Text("memory_kmem") == "":
		n = noCeiling
	case known && swap <= 0:
	case !counted:
		n = noCeiling
	case !known:
		n += anon
	default:
		n += min(anon, min(swap, noCeiling>>10)<<10)
	}
	return min(max(n, 0), noCeiling)
}

// mayHave is the room if all that can be given back is, but for what connections take.
func (m memoryGroup) mayHave(c charge) int64 {
	all := m.limit - min(m.connections*c.least, m.limit)
	if !m.cacheKnown {
		return all
	}
	return min(all, max(m.limit-m.current, 0)+m.cache+m.slack)
}

// room is what the limit leaves for more, page cache given back. Without knowing the cache
// it is all that connections do not take already: far too much rather than a false alarm.
func (m memoryGroup) room(c charge) int64 {
	if !m.cacheKnown {
		return max(m.limit-m.connections*c.bytes, 0)
	}
	return min(max(m.limit-m.current+min(m.cache, m.current), 0), m.limit)
}

// exhausted: less than 5 % is left although page cache counts as free.
func (m memoryGroup) exhausted(c charge) bool { return m.cacheKnown && m.room(c) < m.limit/20 }

func (m memoryGroup) gauge(c charge) Gauge {
	room := c.fits(roughly(m.room(c)))
	g := Gauge{
		Subject: m.subject(),
		Bounds:  Both, Ceiling: m.connections + room, Used: m.connections, AtMost: true,
		Doubt: !m.cacheKnown,
		Most:  m.connections + c.mayFit(roughlyUp(m.mayHave(c))),
		Owner: "memory limit of " + m.name, Steps: m.steps(c, room), Unseen: m.unseen(),
		Lift: func(need int64) []Remedy {
			return []Remedy{m.raise((min(need, mostFiles) - m.connections - room) *
				c.bytes)}
		},
	}
	g.Refusing, g.Refused = m.oomMoved > 0, max(m.oomMoved, 0)
	// The limit is met with nothing left to give back; with page cache left it is daily
	// routine.
	g.Harms = m.met > 0 && m.exhausted(c)
	g.Notice = m.oom > 0 && !m.windowed
	left := "; about " + mebibytes(roughly(m.room(c))) + " are left of its limit of " +
		mebibytes(m.limit) + m.cacheWords()
	switch {
	case g.Refusing:
		g.Cause = m.name + " ran out of memory " + plural(m.oomMoved, "time") +
			" in the window" + left
	case g.Harms:
		g.Cause = m.name + " meets its memory limit again and again" + left
	case g.IsNear():
		g.Cause = "the kernel memory of " + plural(m.connections, "connection") +
			" takes about " + mebibytes(m.connections*c.bytes) + " in " + m.name + left
	case g.Notice:
		g.Cause = m.name + " has run out of memory " + plural(m.oom, "time") +
			" since it was made" + left
	default:
		return g
	}
	g.Evidence = m.evidence(c)
	g.Remedies = []Remedy{m.raise(m.limit), closeIdle()}
	if !g.Refusing && !g.Harms && !g.IsNear() {
		g.Remedies = []Remedy{{
			Kind:        Live,
			Setting:     "maxconn check --for 10s",
			Text:        "see whether it still happens",
			TakesEffect: Now,
		}}
	}
	return g
}

func (m memoryGroup) cacheWords() string {
	if m.cacheKnown {
		return " when its page cache is given back"
	}
	return " at most (its page cache could not be seen)"
}

func (m memoryGroup) steps(c charge, room int64) []Step {
	most := roughlyUp(m.mayHave(c))
	from := "cgroup " + m.path + " "
	left := Step{
		Label: "memory left when page cache is given back, rounded down to two digits",
		Value: roughly(m.room(c)),
		Unit:  "bytes",
		How:   Computed,
		From:  from + "memory_current, memory_file",
	}
	if !m.cacheKnown {
		left.Label = "memory left at most, as if only connections took any, rounded " +
			"down to two digits"
		left.Sum, left.From = itoa(m.limit)+" - "+itoa(m.connections)+" * "+itoa(c.bytes),
			""
	}
	return append(c.steps[:len(c.steps):len(c.steps)],
		Step{
			Label: "memory limit of the cgroup",
			Value: m.limit,
			Unit:  "bytes",
			How:   Read,
			From:  from + "memory_max",
		},
		left,
		Step{
			Label: "further connections that fit, rounded down to two digits",
			Sum:   itoa(left.Value) + " / " + itoa(c.bytes),
			Value: room,
			Unit:  "connections",
			How:   Computed,
		},
		Step{
			Label: "connections of its processes now",
			Value: m.connections,
			Unit:  "connections",
			How:   Read,
			From:  "sock_diag",
		},
		Step{
			Label: "connections that the cgroup's memory is taken to hold",
			Sum:   itoa(m.connections) + " + " + itoa(room),
			Value: m.connections + room,
			Unit:  "connections",
			How:   Computed,
		},
		Step{
			Label: "at most, with all that can be given back or swapped out, " +
				"rounded up",
			Sum:   itoa(m.connections) + " + " + itoa(most) + " / " + itoa(c.least),
			Value: m.connections + c.mayFit(most),
			Unit:  "connections",
			How:   Computed,
		})
}

func (m memoryGroup) unseen() (out []host.Missing) {
	if !m.cacheKnown {
		out = append(out,
			host.Missing{Fact: host.Fact{Kind: host.CgroupKind,
				Name: m.path + "#memory_file"}, Why: "the page cache of the " +
				"cgroup is not known, so neither is what the limit leaves"})
	}
	if m.partly {
		out = append(out, host.Missing{Fact: host.Fact{Kind: host.CgroupKind, Name: m.path},
			Why: "not all descriptors of its processes were looked at: it may hold " +
				"more connections"})
	}
	return out
}

func (m memoryGroup) evidence(c charge) []Evidence {
	from := "cgroup " + m.path + " "
	ev := []Evidence{{from + "memory_current",
		mebibytes(m.current) + " of " + mebibytes(m.limit), "programs, kernel objects " +
			"and page cache; close to the limit is normal for a cgroup that " +
			"reads files"}}
	if m.cacheKnown {
		ev = append(ev, Evidence{from + "memory_file", mebibytes(m.cache),
			"page cache, given back before anything is refused"})
	}
	ev = append(ev, Evidence{"sock_diag", itoa(m.connections),
		"connections of its processes, about " + mebibytes(m.connections*c.bytes) +
			" of kernel objects"})
	if m.sock > 0 {
		meaning := "data in the queues of its sockets, part of memory_current"
		if m.version == "1" {
			meaning = "data in the queues of its sockets, not counted against " +
				"this limit"
		}
		ev = append(ev, Evidence{from + "memory_sock", mebibytes(m.sock), meaning})
	}
	switch {
	case m.oomMoved > 0:
		ev = append(ev, Evidence{from + "memory_events_oom", "+" + itoa(m.oomMoved),
			"times in the window that giving memory back did not suffice; a " +
				"process may have been killed"})
	case m.oom > 0:
		ev = append(ev, Evidence{from + "memory_events_oom", itoa(m.oom),
			"times since the cgroup was made that giving memory back did not " +
				"suffice; a process may have been killed"})
	}
	if m.met > 0 {
		ev = append(ev, Evidence{from + m.meter, "+" + itoa(m.met),
			"times in the window that the limit was met and memory had to be given " +
				"back; by itself no failure"})
	}
	return ev
}

// raise gives the cgroup that many bytes more.
func (m memoryGroup) raise(more int64) Remedy {
	const mib = 1 << 20
	to := (m.limit + max(more, 0) + mib - 1) / mib * mib
	name := m.file
	text := cmp.Or(byUnit(m.path, "MemoryMax", itoa(to)),
		byOwner("a higher limit", "--memory", cgroupFile(m.row, "memory", name), itoa(to)))
	return Remedy{Kind: BySetting, Setting: name + " of " + cgroupSubject(m.path),
		From: itoa(m.limit), To: itoa(to), TakesEffect: Now,
		Text: text + "; no higher than the host has memory for, and no use where an " +
			"ancestor's limit is lower"}
}
