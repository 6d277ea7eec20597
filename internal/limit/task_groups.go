package limit

import (
	"github.com/maxconn/maxconn/internal/host"

	"github.com/maxconn/maxconn/internal/figure"
)

// taskGroup is a cgroup with a limit of its own on tasks.
type taskGroup struct {
	tenants
	path, name      string
	most, now       int64
	limit           taskLimit
	before, refused int64 // since the cgroup was made; in the window
	windowed        bool
}

// taskTenants are the cgroups that bound tasks. One in which no process is known is among them: it
// is in the snapshot because of one, and that a process is in another group than the one that
// bounds its memory is a field that may be missing.
func taskTenants(r *host.Reader, processes []host.Row) []tenants {
	all := cgroupTenants(r, processes, "pids_cgroup", "cgroup")
	known := map[string]bool{}
	for _, t := range all {
		known[t.row.Name()] = true
	}
	for _, row := range r.Rows(host.CgroupKind) {
		if !known[row.Name()] && row.Text("pids_max") != "" {
			all = append(all, newTenants(row, nil))
		}
	}
	return all
}

// newTaskGroup is false for a cgroup without a limit, or whose figures are missing.
func newTaskGroup(r *host.Reader, t tenants) (p taskGroup, ok bool) {
	p = taskGroup{
		tenants:  t,
		path:     t.row.Name(),
		name:     cgroupName(t.row.Name()),
		windowed: windowed(r),
	}
	most, ok1 := bounded(t.row, "pids_max", noCeiling)
	now, ok2 := t.row.Int("pids_current")
	p.most, p.now = most, now
	subject := cgroupSubject(p.path)
	p.limit = taskLimit{name: "pids.max of " + subject, value: most, ceiling: most, exact: true,
		step: Step{
			Label: "tasks that the cgroup and all below it may have", Value: most,
			Unit: "tasks", How: Read,
			From: "cgroup " + p.path + " pids_max",
		}, cgroup: subject, file: cgroupFile(t.row, "pids", "pids.max")}
	p.before = t.row.Count("pids_events_max")
	p.refused, _ = r.Moved(t.row.Fact, "pids_events_max")
	return p, ok1 && ok2 && most < noCeiling && most >= fewThreads && now >= 0
}

// unseen is a cgroup of whose limit, or of whose use of it, nothing is known.
func (p taskGroup) unseen(taken map[string]int64) (Gauge, bool) {
	missing := p.unread("pids_max", "pids_current")
	if missing == "" {
		return Gauge{}, false
	}
	g := blind(Subject{Kind: Cgroup, Name: cgroupSubject(p.path), Cgroup: p.path}, 0,
		lacking(p.row, missing))
	if tasks, held := p.busy(taken); perConnection(tasks, held) {
		g.Bounds = Inbound
	}
	return g, true
}

// busy is how many tasks the processes of the cgroup have, and how many connections they have
// taken.
func (p taskGroup) busy(taken map[string]int64) (tasks, held int64) {
	for _, row := range p.processes {
		tasks += max(row.Count("threads"), 1)
		held += taken[row.Name()]
	}
	return tasks, held
}

// nowStep is the use.
func (p taskGroup) nowStep() Step {
	return Step{
		Label: "tasks in it now",
		Value: p.now,
		Unit:  "tasks",
		How:   Read,
		From:  "cgroup " + p.path + " pids_current",
	}
}

// gauge is the tasks themselves.
func (p taskGroup) gauge() Gauge {
	g := Gauge{
		Subject: Subject{Kind: Cgroup, Name: cgroupSubject(p.path), Cgroup: p.path},
		Unit:    "tasks",
		Ceiling: p.most,
		Used:    p.now,
		Owner:   p.limit.name,
	}
	g.Steps = []Step{p.limit.step, p.nowStep()}
	g.Refusing, g.Refused = g.Full() || p.refused > 0, max(p.refused, 0)
	g.Notice = p.before > 0 && !p.windowed
	switch {
	case g.Refusing || g.IsNear():
		g.Cause = p.name + " has " + figure.Count(p.now) + " of " + plural(p.most, "task") +
			" (pids.max)"
		if p.refused > 0 {
			g.Cause += " and was refused further ones " + plural(p.refused, "time") +
				" in the window"
		}
		g.Remedies = p.raise(max(p.now, p.most))
	case g.Notice:
		g.Cause = p.name + " was refused a task " + plural(p.before, "time") +
			" since it was made (pids.max = " + itoa(p.most) + "); it is not full now"
		g.Remedies = []Remedy{{
			Kind:        Live,
			Setting:     "maxconn check --for 10s",
			Text:        "see whether it still happens",
			TakesEffect: Now,
		}}
	default:
		return g
	}
	g.Evidence = p.evidence()
	return g
}

func (p taskGroup) raise(need int64) []Remedy {
	return []Remedy{raiseTasks(p.limit, need), fewerThreads()}
}

func (p taskGroup) evidence() []Evidence {
	ev := []Evidence{{"cgroup " + p.path + " pids_current",
		figure.Count(p.now) + " of " + figure.Count(p.most), "threads and processes of " +
			"the cgroup and all below it"}}
	switch {
	case p.refused > 0:
		ev = append(ev, Evidence{"cgroup " + p.path + " pids_events_max",
			"+" + itoa(p.refused), "times that clone() was refused in the window; " +
				"a program may try again"})
	case p.before > 0:
		ev = append(ev, Evidence{"cgroup " + p.path + " pids_events_max", itoa(p.before),
			"times that clone() was refused since the cgroup was made; a program " +
				"may have tried again"})
	}
	return ev
}

// connections is the ceiling on connections where the processes of the cgroup spend a task
// on each that they have taken. Those with few tasks beside their limit are left alone: a
// pool of threads may happen to be as large as the number of connections.
func (p taskGroup) connections(taken map[string]int64) (Gauge, bool) {
	tasks, held := p.busy(taken)
	if !perConnection(tasks, held) || (p.now < manyThreads && p.now*4 < p.most) {
		return Gauge{}, false
	}
	others := max(p.now-held, 0)
	ceiling := max(p.most-others, 0)
	g := Gauge{
		Subject: Subject{Kind: Cgroup, Name: cgroupSubject(p.path), Cgroup: p.path},
		Bounds:  Inbound, Ceiling: ceiling, Used: held, AtMost: true, Near: neverNear,
		Owner: p.limit.name,
		Cause: "the processes of " + p.name +
			" have about one thread for each connection that they accepted " +
			"(inferred from the numbers), and pids.max = " + itoa(p.most),
		Evidence: p.evidence(),
		// raiseTasks doubles
		Lift: func(need int64) []Remedy {
			return p.raise((min(need, most) + others + 1) / 2)
		},
	}
	g.Steps = []Step{
		p.limit.step, p.nowStep(),
		{
			Label: "connections that its processes have accepted",
			Value: held,
			Unit:  "connections",
			How:   Read,
			From:  "sock_diag",
		},
		{
			Label: "connections at one task each, beside the tasks that serve none",
			Sum:   itoa(p.most) + " - " + itoa(others),
			Value: ceiling,
			Unit:  "connections",
			How:   Computed,
		},
	}
	return g, true
}

// perConnection says whether there are about as many threads as connections: only then do
// threads bound them.
func perConnection(threads, connections int64) bool {
	return connections >= fewThreads && threads*2 >= connections && connections*2 >= threads
}

// takenByProcess is how many connections each process has accepted and not closed, by pid.
// A process of which no listener's row speaks (workers that share a listener) has those
// that it did not open itself.
func takenByProcess(r *host.Reader, processes []host.Row) map[string]int64 {
	in, out := openByProcess(r.Rows(host.InboundKind)), openByProcess(r.Rows(host.OutboundKind))
	taken := map[string]int64{}
	for _, row := range processes {
		n, known := in[row.Name()]
		if !known {
			n = open(row) - out[row.Name()]
		}
		taken[row.Name()] = min(max(n, 0), mostFiles)
	}
	return taken
}

// openByProcess sums the open connections of rows by the process that holds most of a row.
func openByProcess(rows []host.Row) map[string]int64 {
	sum := map[string]int64{}
	for _, row := range rows {
		if pid := row.Text("pid"); pid != "" {
			sum[pid] += max(open(row)-max(row.Count("unaccepted"), 0), 0)
		}
	}
	return sum
}

// open is the connections of a row that a program holds and may have a thread for.
func open(row host.Row) (n int64) {
	for _, state := range []string{"ESTABLISHED", "CLOSE_WAIT", "SYN_SENT"} {
		n += min(max(row.Count(state), 0), mostFiles)
	}
	return n
}
