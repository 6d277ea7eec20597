package limit

import (
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const ProcessFiles ID = "process-files"

var _ = register(Limit{
	ID:      ProcessFiles,
	Title:   "file descriptors of a process",
	Measure: Held,
	Scope:   Process,
	Bounds:  Flows{Both, Held},
	Doc: "Every connection that a program holds is a file descriptor. RLIMIT_NOFILE, its " +
		"soft value, bounds the highest descriptor number plus one; above it socket(), " +
		"accept() and open() " +
		"fail with EMFILE, \"Too many open files\". A server that meets it in accept() " +
		"leaves the connection in the accept queue, is told at once that one is " +
		"waiting, and may spin at 100 % CPU while clients see a connection " +
		"that nobody answers. No kernel counter tells. Files, listeners, pipes and " +
		"epoll instances count as well. " +
		"The soft limit can be raised on the running process, up to the hard one, " +
		"without a restart and without privilege for one's own processes; " +
		"programs with a bound of their own do not profit from it: nginx " +
		"(worker_connections), and all that use select(), which ends at descriptor " +
		"1,023. " +
		"Go programs raise their soft limit to the hard one when they start (since " +
		"Go 1.19).",
	Formula: "held = RLIMIT_NOFILE soft - descriptors that are not connections; for each " +
		"process; full when descriptors in use >= soft",
	Myths: []Myth{
		{"raising fs.file-max cures \"Too many open files\"",
			"EMFILE is the limit of the process; fs.file-max is that of the host " +
				"and gives ENFILE, \"Too many open files in system\"",
			"fs/file.c alloc_fd, fs/file_table.c alloc_empty_file"},
		{"a new limit needs a restart",
			"prlimit() on the running process counts for the very next descriptor " +
				"(measured: soft 64 -> 500)", "kernel/sys.c do_prlimit"},
		{"/etc/security/limits.conf sets the limits of services",
			"pam_limits reads it when a login session opens; a systemd service has " +
				"none and takes LimitNOFILE= of its unit",
			"limits.conf(5), pam_limits(8), systemd.exec(5)"},
		{"the more the better: LimitNOFILE=infinity",
			"some programs walk over all possible descriptor numbers, 1 billion " +
				"with infinity, and select() breaks above 1,023; take what " +
				"is needed", "systemd.exec(5) LimitNOFILE=; moby issue 38814"},
		{"the limit counts open files",
			"it bounds the highest number plus one; after it was lowered, a " +
				"process may have more open than the limit says",
			"fs/file.c alloc_fd; getrlimit(2)"},
	},
	Knobs: []string{
		"RLIMIT_NOFILE soft", "RLIMIT_NOFILE hard", "fs.nr_open", "LimitNOFILE",
		"limits.conf", "ulimit -n", "worker_rlimit_nofile", "fs.file-max",
	},
	Signs: []Sign{
		{
			Text:  "too many open files",
			Errno: "EMFILE",
			Call:  "accept",
			Means: "the process is at its RLIMIT_NOFILE soft limit; accept() " +
				"leaves the connection in the queue and fails again at once",
			Look: "maxconn check --limit process-files; prlimit --pid PID --nofile",
		},
		{
			Text:  "too many open files",
			Errno: "EMFILE",
			Call:  "socket",
			Means: "the process is at its RLIMIT_NOFILE soft limit and cannot open " +
				"a connection",
			Look: "maxconn check --limit process-files",
		},
		{
			Text:  "too many open files",
			Errno: "EMFILE",
			Call:  "open",
			Means: "the process is at its RLIMIT_NOFILE soft limit; connections " +
				"use the same numbers as files",
			Look: "maxconn check --limit process-files",
		},
		{
			Text:  "setrlimit(RLIMIT_NOFILE, …) failed",
			Errno: "EPERM",
			Call:  "setrlimit",
			Means: "the wanted hard limit is above the present one and " +
				"CAP_SYS_RESOURCE is missing, or it is above fs.nr_open",
			Look: "sysctl fs.nr_open; prlimit --pid PID --nofile",
		},
	},
	Sources: []string{
		"fs/file.c alloc_fd (4.4-6.18)", "kernel/sys.c do_prlimit (4.4-6.18)",
		"include/asm-generic/resource.h INIT_RLIMITS",
		"net/socket.c __sys_accept4 (4.4-6.18)",
		"systemd-system.conf(5) DefaultLimitNOFILE= 1024:524288", "select(2) FD_SETSIZE",
		"Go release notes " +
			"1.19 (os)",
	},
	Needs: []host.Fact{host.All(host.ProcessKind), host.Sysctl("fs.nr_open"),
		host.All(host.ListenerKind), host.System("window")},
	Details:   []host.Fact{host.Sysctl("fs.nr_open"), host.All(host.ListenerKind)},
	SoleErrno: "EMFILE",
	LeftAlone: []LeftAlone{{"fs.nr_open", "some programs walk over all descriptor numbers"}},
	Gauges:    processFilesGauges,
})

// fileTable is the descriptors of one process.
type fileTable struct {
	row         host.Row
	pid         int64
	name, unit  string
	soft, hard  int64 // noCeiling for "unlimited"
	hardKnown   bool
	files       int64
	connections int64 // estimated where not all descriptors were looked at
	all         bool  // all descriptors were looked at
	estimated   bool  // some were, and fairly
	off         int64 // by how much the estimate may be
	tables      int64 // that threads have for themselves, and the process's
	fullest     int64 // descriptors of the one with most
	leak        bool  // most connections are in CLOSE_WAIT
	nrOpen      int64 // fs.nr_open, 0 where it is not known
	// listeners of the process, of which connections wait for accept()
	waiting []member
}

const (
	// noCeiling stands for "unlimited", "max" and the numbers that the kernel uses for them.
	noCeiling = int64(1) << 62
	// mostFiles is more descriptors than a process can have: fs.nr_open ends below 2^31
	// (fs/file.c sysctl_nr_open_max).
	mostFiles = int64(1) << 31
)

func processFilesGauges(r *host.Reader, w Workload) []Gauge {
	nrOpen, _ := r.Maybe(host.Sysctl("fs.nr_open"))
	waiting := waitingByProcess(r)
	var gauges []Gauge
	for _, row := range r.Rows(host.ProcessKind) {
		t, ok := newFileTable(row)
		t.nrOpen, t.waiting = nrOpen, waiting[t.pid]
		switch missing := t.unknown(); {
		case missing != "":
			gauges = append(gauges, blind(t.subject(), Both, lacking(row, missing)))
		case ok:
			gauges = append(gauges, t.gauge())
		}
	}
	return gauges
}

// newFileTable is false for a row without the figures that nothing can be said without, and
// for one that has nothing to say.
func newFileTable(row host.Row) (t fileTable, ok bool) {
	t = fileTable{row: row, name: row.Text("name"), unit: row.Text("unit")}
	t.pid, _ = host.Row{Fields: host.Fields{{Name: "pid", Value: row.Name()}}}.Int("pid")
	soft, ok1 := bounded(row, "soft", mostFiles)
	files, ok2 := row.Int("files")
	if below, ok := row.Int("files_below"); ok && below < files {
		files = below // the limit was lowered, and what lies above it takes nothing from it
	}
	t.soft, t.files, t.fullest, t.tables = soft, files, files, 1
	if n, ok := row.Int("tables"); ok && n > 1 && n < mostFiles {
		t.tables, t.fullest = n, min(max(row.Count("files_most"), 0), files)
	}
	t.hard, t.hardKnown = bounded(row, "hard", mostFiles)
	if t.all = row.Text("attributed") == "all"; t.all {
		t.connections = min(max(row.Sockets(), 0), files)
	} else if n, ok := row.Int("estimate"); ok && n >= 0 {
		t.connections, t.estimated = min(n, files), true
		t.off = min(max(row.Count("error"), 0), files)
	}
	t.leak = row.Count("CLOSE_WAIT")*2 > row.Sockets()
	return t, ok1 && ok2 && t.pid > 0 && soft >= 0 && files >= 0 && files <= mostFiles &&
		!t.sealed()
}

// sealed is a process that gave up its right to open anything, with what it has still open:
// sshd before the login, dhcpcd (setrlimit to 0 or 1 as a sandbox). That is meant so.
func (t fileTable) sealed() bool { return t.soft <= 8 && t.hard == t.soft && t.files > t.soft }

// bounded is a field that may say that there is no limit, by a word or by a number from most on.
func bounded(row host.Row, field string, most int64) (int64, bool) {
	if text := row.Text(field); text == "unlimited" || text == "max" {
		return noCeiling, true
	}
	n, ok := row.Int(field)
	if n >= most {
		return noCeiling, ok
	}
	return n, ok
}

// other is the descriptors that are not connections, as far as is known.
func (t fileTable) other() int64 {
	if !t.all && !t.estimated {
		return 0
	}
	return t.files - t.connections
}

// most is how many descriptors the process may have in all its tables.
func (t fileTable) most() int64 { return min(t.soft, mostFiles) * t.tables }

func (t fileTable) full() bool { return t.soft < noCeiling && t.fullest >= t.soft }

// near is decided in descriptors: a process with few connections and many files is as close
// to EMFILE.
func (t fileTable) near() bool { return t.soft < noCeiling && t.fullest*10 >= t.soft*9 }

// gauge counts every descriptor as a connection where it is not known which are: the figure
// that decides, descriptors against the soft limit, stays right.
func (t fileTable) gauge() Gauge {
	used := t.connections
	if !t.all && !t.estimated {
		used = t.files
	}
	g := Gauge{
		Subject: t.subject(), Bounds: Both,
		Ceiling: max(t.most()-t.other(), 0), Used: used, AtMost: !t.all,
		Unbounded: t.soft >= noCeiling,
		Owner:     t.owner(), Steps: t.steps(used), Refusing: t.full(), Lift: t.lift,
	}
	switch {
	case t.all:
	case t.estimated:
		g.Most = min(max(t.most()-t.other()+t.off, 0), t.most())
		g.Why = "connections of the process were counted in a sample of its descriptors"
	default:
		g.Unit = "descriptors"
	}
	if t.row.Text("unseen_tables") != "" {
		g.AtMost, g.Why = true, "threads with descriptors of their own could not be seen"
	}
	if g.Unbounded {
		g.Ceiling, g.AtMost, g.Steps = 0, false, g.Steps[1:2]
		return g
	}
	g.Near, g.Harms = t.nearShare(g.Ceiling), t.near()
	if t.near() {
		g.Cause, g.Evidence = t.cause(), t.evidence()
		g.Remedies = t.remedies(t.wanted(t.fullest))
		if !t.leak && !t.loose() {
			g.Enough = t.wanted(t.files) - t.other()
		}
	}
	return g
}

// wanted is twice as many descriptors as are open, or more where more connections wait for one.
func (t fileTable) wanted(open int64) int64 {
	var queued int64
	for _, m := range t.waiting {
		queued += m.queue
	}
	return open + max(open, 2*min(queued, most))
}

// nearShare is the share of the ceiling in connections at which 90 % of the descriptors are
// in use. Half a connection less keeps rounding from hiding the very last one.
func (t fileTable) nearShare(ceiling int64) float64 {
	connections := float64((t.most()*9+9)/10-t.other()) - 0.5
	if connections <= 0 || ceiling <= 0 {
		return 0
	}
	return connections / float64(ceiling)
}

func (t fileTable) steps(used int64) []Step {
	from := "process " + itoa(t.pid)
	steps := []Step{
		{
			ID:    SoftFiles,
			Label: "soft limit of descriptors",
			Value: t.soft,
			Unit:  "descriptors",
			How:   Read,
			From:  from + " soft",
		},
		{
			Label: "descriptors in use",
			Value: t.files,
			Unit:  "descriptors",
			How:   Read,
			From:  from + " files",
		},
	}
	if t.tables > 1 {
		steps[0].Label += " of each of " + itoa(t.tables) +
			" tables (threads have their own)"
	}
	if !t.all && !t.estimated {
		return append(steps, Step{
			Label: "not all of them were looked at: at most, if every one is a " +
				"connection",
			Value: t.soft,
			Unit:  "connections",
			How:   Computed,
		})
	}
	connections := Step{Label: "of these TCP connections", Value: used, Unit: "connections",
		How: Read, From: from}
	if t.estimated {
		connections.How = Computed
		connections.Label += ", estimated from a sample (" + t.row.Text("attributed") +
			" of them), off by " + figure.Count(t.off) + " at most"
	}
	return append(steps,
		connections,
		Step{
			Label: "descriptors for something else (files, listeners, pipes, epoll)",
			Sum:   itoa(t.files) + " - " + itoa(used),
			Value: t.other(),
			Unit:  "descriptors",
			How:   Computed,
		},
		Step{
			Label: "connections that the process can hold",
			Sum:   t.limits() + " - " + itoa(t.other()),
			Value: max(t.most()-t.other(), 0),
			Unit:  "connections",
			How:   Computed,
		})
}

// owner names who set the soft limit, as far as the numbers tell.
func (t fileTable) owner() string {
	switch {
	case t.soft == 1024 && t.hard == 4096:
		return "the kernel's default (1024:4096)"
	case t.soft == 1024 && t.hard == 524288:
		return "the default of systemd (DefaultLimitNOFILE=1024:524288)"
	case strings.HasSuffix(t.unit, ".service"):
		return "LimitNOFILE of " + t.unit + " or the program itself"
	case t.unit != "":
		return "the program that started the process in " + t.unit +
			" (container runtime, login session) or the program itself"
	}
	return "the program that started the process (ulimit -n, container runtime) or the " +
		"program itself"
}

func (t fileTable) cause() string {
	text := t.holder() + " has " + figure.Count(t.fullest) + " of " + plural(t.soft,
		"descriptor") + " open; RLIMIT_NOFILE soft comes from " + t.owner()
	switch {
	case t.fullest > t.soft:
		text = who(t.name, t.pid) + " has " + plural(t.fullest, "descriptor") +
			" open and RLIMIT_NOFILE soft was lowered to " + figure.Count(t.soft) +
			" after that"
	case t.hard == t.soft:
		text += ", the hard limit is the same"
	case t.hard >= noCeiling:
		text += ", the hard limit is unlimited"
	case t.hard > t.soft:
		text += ", the hard limit is " + figure.Count(t.hard)
	}
	switch {
	case t.leak:
		text += "; most of its connections are in CLOSE_WAIT: the peer has closed " +
			"them, the program has not"
	case (t.all || t.estimated) && t.connections*2 < t.files:
		text += "; only " + t.about() + figure.Count(t.connections) +
			" of them are TCP connections" + t.holders()
	}
	if t.full() && len(t.waiting) > 0 {
		sum := int64(0)
		for _, m := range t.waiting {
			sum += m.queue
		}
		text += "; accept() fails with EMFILE while " + plural(sum, "connection") + " wait"
	}
	return text
}

func (t fileTable) evidence() []Evidence {
	ev := []Evidence{{"process " + itoa(t.pid) + " files",
		figure.Count(t.fullest) + " of " + figure.Count(t.soft),
		"descriptors in use; the kernel has no counter for refused ones, the program's " +
			"log has EMFILE"}}
	for _, m := range t.waiting {
		ev = append(ev, Evidence{"sock_diag " + m.row.Name(),
			itoa(m.queue) + " of " + itoa(m.capacity()),
			"connections wait for accept()"})
	}
	meaning := "connections of the process"
	if !t.all {
		meaning += ", of the descriptors that were looked at"
	}
	for _, state := range host.States {
		if n := t.row.Count(state); n > 0 {
			ev = append(ev, Evidence{"sock_diag " + state, itoa(n), meaning})
		}
	}
	return ev
}
