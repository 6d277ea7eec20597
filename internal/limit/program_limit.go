package limit

import (
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

const ProgramLimit ID = "program-limit"

var _ = register(Limit{
	ID:      ProgramLimit,
	Title:   "connections that a program allows itself",
	Measure: Held,
	Scope:   Process,
	Doc: "A program may stop before the kernel does: nginx at `worker_connections`, HAProxy " +
		"at `maxconn`, a client at the size of its pool, a server at a semaphore in " +
		"front of accept(). The kernel knows of none of them. Where the program is nginx " +
		"or HAProxy and its configuration can be read, the figure is that of the " +
		"configuration; of every other program nobody can say from outside what it " +
		"allows itself, and so what its connections are bound by is at most what the " +
		"kernel gives: \"<=\". A ceiling that is reached is exact all the same.",
	Formula: "held = worker_connections of nginx for each worker, or maxconn of HAProxy; at " +
		"most, because connections to backends and listeners count as well; unknown for " +
		"other programs",
	Myths: []Myth{
		{"a higher RLIMIT_NOFILE lets nginx hold more connections",
			"worker_connections bounds each worker whatever its descriptors allow; " +
				"above it nginx closes idle connections and then new ones " +
				"(\"worker_connections are not enough\")",
			"nginx src/core/ngx_connection.c ngx_get_connection"},
	},
	Knobs: []string{"worker_connections"},
	Signs: []Sign{{
		Text: "reached the configured maximum connection limit",
		Means: "HAProxy holds as many connections as maxconn in its section global " +
			"allows; further clients wait in the accept queue",
		Look: "maxconn check --limit program-limit; maxconn in haproxy.cfg",
	}},
	Sources: []string{
		"nginx src/core/ngx_connection.c ngx_get_connection, ngx_drain_connections",
		"haproxy doc/configuration.txt maxconn, src/listener.c listener_accept",
	},
	Needs:  []host.Fact{host.All(host.ProcessKind), host.All(host.InboundKind)},
	Gauges: programLimitGauges,
})

func programLimitGauges(r *host.Reader, w Workload) (gauges []Gauge) {
	for _, row := range r.Rows(host.ProcessKind) {
		pid, _ := host.Row{Fields: host.Fields{{Name: "pid", Value: row.Name()}}}.Int("pid")
		if pid <= 0 {
			continue
		}
		name := row.Text("name")
		g := Gauge{Subject: Subject{Kind: Process, Name: who(name, pid), Process: name,
			PID: pid}, Bounds: Both, AtMost: true, Unbounded: true,
			Why: "a limit inside the program cannot be seen"}
		rate := g
		rate.Measure, rate.Bounds = PerSecond, Outbound
		gauges = append(gauges, g, rate)
		if own, ok := row.Int("own_limit"); ok && own > 0 && own < noCeiling {
			g.configured(r, row, own)
			gauges = append(gauges, g)
		}
	}
	return gauges
}

// configured takes over what the program's configuration allows.
func (g *Gauge) configured(r *host.Reader, row host.Row, own int64) {
	setting, used := row.Text("own_limit_name"), max(row.Sockets(), 0)
	if row.Text("own_limit_counts") == "inbound" {
		g.Bounds, used = Inbound, acceptedBy(r, g.Subject.PID)
	}
	g.Unbounded, g.Ceiling, g.Used = false, own, min(used, own)
	g.Why = setting + " counts listeners and connections to backends too"
	g.Owner = setting + " in the configuration of " + g.Subject.Process
	g.Steps = []Step{{Label: g.Owner, Value: own, Unit: "connections", How: Read,
		From: "process " + row.Name() + " own_limit"}}
	g.Remedies = []Remedy{{Kind: ByApplication, TakesEffect: "when the program reads it again",
		Text: "raise " + setting + " in the configuration of " + g.Subject.Process +
			" (" + figure.Count(own) + " for each process now), and have it read " +
			"again"}}
	if g.IsNear() {
		g.Cause = g.Subject.Name + " has " + figure.Count(g.Used) + " of the " +
			figure.Count(own) + " connections that " + setting + " allows it"
	}
}

// acceptedBy is the connections of the listeners whose connections are a process's.
func acceptedBy(r *host.Reader, pid int64) (n int64) {
	for _, row := range r.Rows(host.InboundKind) {
		if row.Count("pid") == pid {
			n += max(row.Sockets()-row.Count("TIME_WAIT")-row.Count("SYN_RECV"), 0)
		}
	}
	return n
}
