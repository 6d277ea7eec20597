// Package diagnose turns a snapshot into a report: what the host can make and hold, what
// binds first, and what is wrong, worst first. It is pure: the catalogue (package limit)
// holds all knowledge of single limits, this package only compares what they say.
package diagnose

import (
	"strconv"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// Schema names the JSON form of a Report. Fields may be added, none renamed.
const Schema = "maxconn.report/1"

// Report is what check prints. Counts are connections, rates connections per second.
type Report struct {
	Schema   string    `json:"schema"`
	Host     Host      `json:"host"`
	Capacity Capacity  `json:"capacity"`
	Findings []Finding `json:"findings"`
	// Workload is what was wanted with --inbound and --outbound, each goal with its verdict.
	Workload []Judged `json:"workload,omitempty"`
	Unseen   []Unseen `json:"unseen"`
	// Asked are the limits that were asked for, by ID; none: all of the catalogue.
	Asked []string `json:"asked,omitempty"`
	// Checked are all limits that could be evaluated, with how many subjects each.
	Checked []Checked `json:"checked"`
	// Verdict is "holds", "binds" or "unknown": exit status 0, 1 and 2.
	Verdict Verdict `json:"verdict"`
}

// Host says what the report is about.
type Host struct {
	Name      string `json:"name"`
	Kernel    string `json:"kernel"`
	Netns     string `json:"netns"`
	NetnsName string `json:"netns_name,omitempty"`
	Scope     string `json:"scope,omitempty"` // "initial" or "child" network namespace
	User      string `json:"user,omitempty"`
	// Holders is how the holders of sockets were found where that was not by /proc: "eBPF".
	Holders string `json:"holders,omitempty"`
	Window  string `json:"window,omitempty"` // length of the observation, "" for one sample
	// Glance is the time between two looks at the counters of one sample, "" for one look.
	Glance string `json:"glance,omitempty"`
	// Process and PID are set where the report is about one process alone. Process is
	// "" where it could not be seen.
	Process string `json:"process,omitempty"`
	PID     int64  `json:"pid,omitempty"`
}

// Capacity is the answer in two tables: towards destinations, and for each listener.
type Capacity struct {
	Outbound []Outbound `json:"outbound"`
	Inbound  []Inbound  `json:"inbound"`
}

// Outbound is the capacity from a source address to one destination. Empty source and
// destination stand for any that has no connections yet.
type Outbound struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Process     string `json:"process,omitempty"`
	PID         int64  `json:"pid,omitempty"`
	Now         int64  `json:"now"` // sockets there now, TIME_WAIT included
	Held        int64  `json:"held"`
	PerSecond   int64  `json:"per_second"`
	BoundBy     string `json:"bound_by"` // what bounds held
	RateBy      string `json:"per_second_bound_by"`
	AtMost      bool   `json:"at_most,omitempty"` // of held
	// AtMostWhy is what may make held lower.
	AtMostWhy  []string `json:"at_most_why,omitempty"`
	RateAtMost bool     `json:"per_second_at_most,omitempty"`
	// How each ceiling was got, "" where there is none.
	HeldHow limit.How `json:"held_how,omitempty"`
	RateHow limit.How `json:"per_second_how,omitempty"`
}

// Inbound is the capacity of one listener; a SO_REUSEPORT group is one.
type Inbound struct {
	Listener string `json:"listener"`
	// Closed says that it listens no more: only its connections are left, and no new ones come.
	Closed  bool   `json:"closed,omitempty"`
	Process string `json:"process"`
	PID     int64  `json:"pid"`
	// connections there now, without TIME_WAIT and half-open ones
	Now     int64  `json:"now"`
	Held    int64  `json:"held"`
	Burst   int64  `json:"burst"`
	BoundBy string `json:"bound_by"` // what bounds held
	BurstBy string `json:"burst_bound_by"`
	AtMost  bool   `json:"at_most,omitempty"` // of held
	// AtMostWhy is what may make held lower.
	AtMostWhy   []string `json:"at_most_why,omitempty"`
	BurstAtMost bool     `json:"burst_at_most,omitempty"`
	// How each ceiling was got, "" where there is none.
	HeldHow  limit.How `json:"held_how,omitempty"`
	BurstHow limit.How `json:"burst_how,omitempty"`
}

// Severity orders findings.
type Severity string

const (
	Critical Severity = "critical" // refuses connections now, or in the window
	Warning  Severity = "warning"  // near, harmful, or would not hold what is wanted
	Info     Severity = "info"     // worth knowing
)

// Finding is one limit and one subject with something to say.
type Finding struct {
	Limit    string        `json:"limit"`
	Severity Severity      `json:"severity"`
	Subject  string        `json:"subject"`
	Process  string        `json:"process"`
	PID      int64         `json:"pid"`
	Measure  limit.Measure `json:"measure"`
	// what Ceiling and Used count where that is not connections
	Unit      string `json:"unit,omitempty"`
	Ceiling   int64  `json:"ceiling"`
	Unbounded bool   `json:"unbounded,omitempty"` // the kernel sets no ceiling here
	AtMost    bool   `json:"at_most,omitempty"`
	// CeilingHow says how the ceiling was got, "" where there is none.
	CeilingHow limit.How `json:"ceiling_how,omitempty"`
	Used       int64     `json:"used"`
	// what was asked for with --inbound, --outbound
	Demand   int64            `json:"demand,omitempty"`
	Refused  int64            `json:"refused,omitempty"`
	Cause    string           `json:"cause"`
	Owner    string           `json:"owner"`
	Evidence []limit.Evidence `json:"evidence"`
	Remedies []limit.Remedy   `json:"remedies"`
	Steps    []limit.Step     `json:"steps"`
	Sources  []string         `json:"sources"`
}

// Unseen is a fact that could not be read, and which limits would have used it.
type Unseen struct {
	Fact   string   `json:"fact"`
	Why    string   `json:"why"`
	Limits []string `json:"limits,omitempty"`
	// Decides: without it nobody can say that the host holds.
	Decides bool `json:"decides,omitempty"`
}

// Checked is a limit that was evaluated.
type Checked struct {
	Limit    string `json:"limit"`
	Subjects int    `json:"subjects"`
	Findings int    `json:"findings"`
}

// Verdict is the report in one word.
type Verdict string

const (
	Holds   Verdict = "holds"
	Binds   Verdict = "binds"
	Unknown Verdict = "unknown"
)

// Options narrow a diagnosis.
type Options struct {
	Workload limit.Workload
	Limits   []string // IDs; empty means all
	PID      int64    // only this process; 0 means all
}

// Check evaluates the whole catalogue on a snapshot.
func Check(s host.Snapshot, o Options) Report {
	r, _ := CheckAll(s, o)
	return r
}

// CheckAll is Check, with all gauges, also those that have nothing to say.
func CheckAll(s host.Snapshot, o Options) (Report, []limit.Gauge) {
	e := evaluate(s, o)
	r := Report{
		Schema:  Schema,
		Host:    About(s),
		Asked:   o.Limits,
		Checked: e.checked,
	}
	if r.Host.PID = o.PID; o.PID != 0 {
		row, _ := s.Read().Row(host.ProcessKind, strconv.FormatInt(o.PID, 10))
		r.Host.Process = row.Text("name")
	}
	r.Capacity = capacity(s, e, o)
	r.Findings = findings(s, e, o)
	r.Workload = e.judged(s, o)
	r.Unseen = e.unseenList() // what is unknown of the workload included
	count(r.Checked, r.Findings)
	r.Verdict = verdict(r)
	return r, e.gauges
}

// About says what a snapshot is about.
func About(s host.Snapshot) Host {
	r := s.Read()
	text := func(name string) string { return r.Optional(host.System(name)) }
	return Host{
		Name:      text("name"),
		Kernel:    text("kernel"),
		Netns:     text("netns"),
		NetnsName: text("netns-name"),
		Scope:     text("scope"),
		User:      text("user"),
		Holders:   text("holders"),
		Window:    text("window"),
		Glance:    text("glance"),
	}
}

func count(checked []Checked, findings []Finding) {
	for i := range checked {
		for _, f := range findings {
			if f.Limit == checked[i].Limit {
				checked[i].Findings++
			}
		}
	}
}
