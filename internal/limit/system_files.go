package limit

import (
	"strconv"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const SystemFiles ID = "system-files"

var _ = register(Limit{
	ID:      SystemFiles,
	Title:   "open files of the whole host",
	Measure: Held,
	Scope:   Host,
	Bounds:  Flows{Both, Held},
	Doc: "Every connection that a program holds is an open file, and `fs.file-max` bounds " +
		"the open files of all processes in all containers together. " +
		"At the limit, or up to 32 files a CPU beyond it, socket(), accept() and " +
		"open() fail with ENFILE, \"Too many open files in system\", and the log says " +
		"\"VFS: file-max limit N reached\". " +
		"Processes with CAP_SYS_ADMIN are exempt, so the administrator's shell may " +
		"work while the services do not. The default is a tenth of the memory in KB; " +
		"systemd (240 and later) raises it to the largest number there is, which is no " +
		"limit. Descriptors that share one open file (dup(), fork()) count once.",
	Formula: "held = fs.file-max; each connection is one open file, and so is everything " +
		"else that is open: see the first number of fs.file-nr",
	Myths: []Myth{
		{"\"Too many open files\" is cured by fs.file-max",
			"that is EMFILE, the limit of one process (`process-files`); this one " +
				"says \"Too many open files in system\"",
			"fs/file_table.c alloc_empty_file"},
		{"the second number of fs.file-nr is the free ones",
			"it is always 0 since Linux 2.6; free is the third number minus the first",
			"proc(5) /proc/sys/fs/file-nr"},
		{"root can open files, so the limit is not reached",
			"CAP_SYS_ADMIN goes above the limit, everybody else is refused",
			"fs/file_table.c " +
				"alloc_empty_file"},
	},
	Knobs: []string{
		"fs.file-max", "fs.file-nr", "fs.nr_open", "fs.inode-max",
	},
	Signs: []Sign{
		{
			Text:  "too many open files in system",
			Errno: "ENFILE",
			Call:  "socket",
			Means: "the host has fs.file-max files open and the process has no " +
				"CAP_SYS_ADMIN; or the kernel had no memory for the socket " +
				"(\"socket: no more sockets\" in its log), which a higher " +
				"fs.file-max does not change",
			Look: "maxconn check --limit system-files; sysctl fs.file-nr; dmesg",
		},
		{
			Text:  "too many open files in system",
			Errno: "ENFILE",
			Call:  "accept",
			Means: "the host has fs.file-max files open and the process has no " +
				"CAP_SYS_ADMIN, and the connection stays in the accept queue; " +
				"or the kernel had no memory for a socket (sock_alloc), which " +
				"a higher fs.file-max does not change",
			Look: "maxconn check --limit system-files; sysctl fs.file-nr",
		},
		{
			Text: "VFS: file-max limit … reached",
			Means: "somebody was refused an open file; printed only when the " +
				"number is higher than at the last message",
			Look: "maxconn check --limit system-files; lsof counts by process",
		},
	},
	Sources: []string{"fs/file_table.c alloc_empty_file (get_empty_filp before 4.19)",
		"net/socket.c __sock_create, do_accept (sock_alloc: ENFILE without an inode)",
		"fs/file_table.c files_maxfiles_init (4.4-6.18)", "systemd NEWS, version 240: " +
			"fs.file-max"},
	Needs: []host.Fact{host.Sysctl("fs.file-nr"), host.Sysctl("fs.file-max"),
		host.All(host.ProcessKind)},
	SoleErrno: "ENFILE",
	// fs/file_table.c alloc_empty_file
	Foreseen: Foreseen{Each: PerEnd, OthersShare: 16, SparesAdministrators: true},
	Gauges:   systemFilesGauges,
})

func systemFilesGauges(r *host.Reader, w Workload) []Gauge {
	numbers := r.Ints(host.Sysctl("fs.file-nr"), 3)
	open, most := max(numbers[0], 0), numbers[2] // the third number is fs.file-max
	if n, ok := r.Maybe(host.Sysctl("fs.file-max")); ok {
		most = n
	}
	g := Gauge{
		Subject: thisHost, Bounds: Both, Unit: "open files", Ceiling: max(most, 0),
		Used: settled(open, most), Owner: "fs.file-max",
		Unbounded: most >= noCeiling, Lift: func(need int64) []Remedy {
			return []Remedy{raiseFileMax(most, min(need, noCeiling/2))}
		},
	}
	g.Spares, g.MaySpare = spared(r)
	g.Steps = []Step{{
		Label: "files open on the host" + unsettled(open, most),
		Value: g.Used,
		Unit:  "files",
		How:   Read,
		From:  "fs.file-nr",
	}}
	if g.Unbounded {
		g.Ceiling = 0
		return []Gauge{g}
	}
	g.Steps = append(g.Steps, Step{
		Label: "open files that the host may have, one for each connection",
		Value: g.Ceiling,
		Unit:  "connections",
		How:   Read,
		From:  "fs.file-max",
	})
	g.Refusing = g.Full()
	if g.Refusing || g.IsNear() {
		g.Enough = 2 * min(open, noCeiling/4)
		g.Cause = "the host has " + figure.Count(open) + " files open, fs.file-max is " +
			figure.Count(most)
		g.Evidence = []Evidence{{"fs.file-nr",
			figure.Count(open) + " of " + figure.Count(most), "open files of all " +
				"processes and containers; processes with CAP_SYS_ADMIN are " +
				"not refused"}}
		g.Remedies = []Remedy{
			raiseFileMax(most, 2*min(open, noCeiling/4)),
			{
				Kind: ByApplication,
				Text: "see who has them open: the number of entries in " +
					"/proc/PID/fd, by process; one that only grows is a " +
					"leak, and a higher limit only postpones its end",
				TakesEffect: Now,
			},
		}
	}
	return []Gauge{g}
}

// spared are the processes that open files above fs.file-max. In snapshots that do not say
// who has CAP_SYS_ADMIN, root may.
func spared(r *host.Reader) (sure, perhaps []int64) {
	for _, row := range r.Rows(host.ProcessKind) {
		pid, err := strconv.ParseInt(row.Name(), 10, 64)
		switch sysadmin := row.Text("sysadmin"); {
		case err != nil:
		case sysadmin == "yes":
			sure = append(sure, pid)
		case sysadmin == "" && row.Text("uid") == "0":
			perhaps = append(perhaps, pid)
		}
	}
	return sure, perhaps
}

func raiseFileMax(from, need int64) Remedy {
	to := itoa(roundUp(max(need, 8192)))
	return Remedy{Kind: BySetting, Setting: "fs.file-max", From: itoa(from), To: to,
		TakesEffect: Now,
		Text: "allow more open files; each takes about 1 KB of kernel memory " +
			"with its inode and dentry, a socket about " + IdleSize,
		Change: host.Setting{Fact: host.Sysctl("fs.file-max"), Want: to},
		Sum:    figure.Count(need) + " open files, up to the next power of two",
		Cost: "none by itself; each open file takes about 1 KB of kernel " +
			"memory, a TCP socket about " + IdleSize,
		Risk: "one value for the host and all containers: programs that leak " +
			"files may take more memory before they are stopped",
		Lasts: untilBoot,
	}
}

// settled is a number that changes every second, rounded down to two digits as long as it
// is far (below half) from its limit, so that the report of a quiet host stays the same.
func settled(n, limit int64) int64 {
	if n < limit/2 {
		return roughly(n)
	}
	return n
}

// unsettled tells in a label that settled rounds.
func unsettled(n, limit int64) string {
	if n < limit/2 {
		return ", rounded down to two digits"
	}
	return ""
}
