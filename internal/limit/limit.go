// Package limit is the catalogue: everything finite that TCP connections use
// up on Linux, one value in one file each. It is pure: formulas over declared
// facts (package host), no I/O. The same value serves every verb: check runs it
// on the observed host, plan on the host as it would be, prove against a measurement.
//
// To add a limit, write <id>.go that registers a Limit, and testdata/<id>.txtar; nothing
// else is edited by hand.
package limit

import (
	"cmp"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/host"
)

// Measure is what a ceiling counts. Ceilings of different measures are never compared.
type Measure string

const (
	Held      Measure = "held"       // connections at one time
	PerSecond Measure = "per second" // new connections each second, forever
	Burst     Measure = "burst"      // new connections at once
)

// ID names a limit: stable; file name, argument, metric label, anchor in docs/limits.md.
// Each limit's file declares its own.
type ID string

// Scope is what has a ceiling of its own.
type Scope string

const (
	Peer     Scope = "peer"     // one source address to one destination address and port
	Listener Scope = "listener" // one listening address and port
	Process  Scope = "process"
	Cgroup   Scope = "cgroup"
	User     Scope = "user"
	Netns    Scope = "netns" // one network namespace
	Host     Scope = "host"

	// Kinds of subjects only.
	AnyPeer Scope = "any peer" // any destination without connections
	Source  Scope = "source"   // one source address to all destinations
	Device  Scope = "device"
	Family  Scope = "family" // IPv4 or IPv6
)

// Direction is which connections a gauge bounds.
type Direction uint8

const (
	Outbound Direction = 1 << iota
	Inbound
	Both = Outbound | Inbound
)

// Limit is one entry of the catalogue.
type Limit struct {
	ID      ID
	Title   string // one line, no full stop
	Measure Measure
	Scope   Scope
	// Doc explains the limit in a few sentences of Markdown.
	Doc string
	// Formula is the ceiling in symbols, one line.
	Formula string
	// Myths are beliefs that cost people time, with what is true.
	Myths []Myth
	// Knobs name the sysctls and other settings that act on the limit or are believed
	// to; package knob describes them.
	Knobs []string
	// Signs are the log lines and errors by which the limit shows itself.
	Signs []Sign
	// Sources are the places in the kernel that the formula rests on.
	Sources []string
	// Needs are all facts that Gauges may read; a test holds it to them. host.All names
	// a table.
	Needs []host.Fact
	// Details are those of Needs that bear on words and estimates alone: without them
	// it is as well known whether the limit refuses, and from when on. Where any other
	// could not be read, nobody can say that the host holds.
	Details []host.Fact
	// Bounds are all flows that its gauges may give a ceiling: one that may be lower is
	// what they have where the limit cannot be evaluated.
	Bounds Flows
	// Decides are the wanted flows that nobody can judge where this limit cannot be
	// evaluated. A limit that decides any is one without which check cannot say that a
	// host holds.
	Decides Flows
	// LeftAlone are sysctls that a plan as far as settings go does not raise for it.
	LeftAlone []LeftAlone
	// Silent limits drop a SYN without an answer: the client waits and sends it again.
	Silent bool
	// SoleErrno is what a program that opens connections gets from this limit and from
	// no other.
	SoleErrno string
	// Follows are limits that explain this one where they refuse the same process: their
	// findings come first.
	Follows []ID
	// Refusals are the counters that move where it refuses, drops or kills; host.All names
	// a table of them. None: the kernel counts nothing of it.
	Refusals []host.Fact
	// RefusalsShared says that they also move for other reasons or subjects: the Refused of
	// the gauges is what is this limit's.
	RefusalsShared bool
	// DropReasons are the kernel's names for the segments that it drops
	// (include/net/dropreason-core.h, without SKB_DROP_REASON_).
	DropReasons []string
	// Foreseen is how load reckons with the limit before a run.
	Foreseen Foreseen
	// Gauges evaluates the limit for every subject of the snapshot. Where the
	// reader ends with an error, the result is void and the limit is unseen.
	// Subjects whose own figures are missing are left out, or carry Unseen.
	Gauges func(*host.Reader, Workload) []Gauge
}

// Flows are wanted flows of a direction that ask for a measure, "" for any. The zero value is none.
type Flows struct {
	Direction Direction
	Measure   Measure
}

// Has says whether flows of a direction that ask for a measure are among them.
func (f Flows) Has(d Direction, m Measure) bool {
	return f.Direction&d == d && (f.Measure == "" || f.Measure == m)
}

// AnyOf says whether a workload wants such a flow.
func (f Flows) AnyOf(w Workload) bool {
	asks := func(g Goal) bool { return f.Measure == "" || g.Want(f.Measure) > 0 }
	return f.Direction&Outbound != 0 && slices.ContainsFunc(w.Outbound, asks) ||
		f.Direction&Inbound != 0 && slices.ContainsFunc(w.Inbound, asks)
}

// LeftAlone is a sysctl that stays as it is, and why.
type LeftAlone struct{ Name, Why string }

// Foreseen says how many of a limit's connections a run of load takes.
type Foreseen struct {
	Each Each
	// OthersShare, such as 16 for a sixteenth of the ceiling, is what a run leaves to
	// the rest of the host, which can do nothing without. 0: the limit is nobody
	// else's.
	OthersShare int64
	// SparesAdministrators: who has CAP_SYS_ADMIN goes past it.
	SparesAdministrators bool
}

// Each is what one connection between two ends on one host counts as.
type Each uint8

const (
	Unforeseen    Each = iota
	PerEnd             // two
	PerConnection      // one
)

// Myth is a common belief and what is true instead.
type Myth struct {
	Belief string `json:"belief"`
	Truth  string `json:"truth"`
	Source string `json:"source"`
}

// Sign is a text by which a limit shows itself: a log line or an errno.
type Sign struct {
	Text  string // as logged; matched without regard to case, "…" stands for anything
	Errno string // EADDRNOTAVAIL, or ""
	Call  string // which call returns the errno: connect, bind, accept
	Means string
	Look  string // what to look at next: a command or a fact
}

// How says where a figure comes from.
type How string

const (
	Read     How = "read"     // from the kernel
	Computed How = "computed" // by the formula shown
	Measured How = "measured" // by an experiment on this kernel
)

// StepID names a step for code that looks for its value; the label may be reworded.
type StepID string

const (
	QueueLength    StepID = "queue-length"
	HalfOpenPlaces StepID = "half-open-places"
	// the release does not tell which
	HalfOpenPlacesOrOne StepID = "half-open-places-or-one-more"
	// its kernel memory, on one side
	IdleConnection StepID = "idle-connection"
	EntriesHere    StepID = "entries-of-this-namespace"
	EntriesOfAll   StepID = "entries-of-all-namespaces" // that they may have
	ReuseDelay     StepID = "reuse-delay"
	SoftFiles      StepID = "soft-limit-of-descriptors"
	FinTimeout     StepID = "fin-timeout"
)

// Step is one line of a formula with this host's figures put in.
type Step struct {
	ID    StepID `json:"-"`             // "" where nothing but people look for it
	Label string `json:"label"`         // "ports in ip_local_port_range"
	Sum   string `json:"sum,omitempty"` // "60999 - 32768 + 1", or "" for a figure that was read
	Value int64  `json:"value"`
	Unit  string `json:"unit,omitempty"` // "ports", "connections", "" where plain
	How   How    `json:"how"`
	From  string `json:"from,omitempty"` // the fact, for figures that were read
}

// Evidence is a fact that shows what happens, with its meaning in words.
type Evidence struct {
	Fact    string `json:"fact"`
	Value   string `json:"value"`
	Meaning string `json:"meaning"`
}

// Remedy is something that would lift the limit or the fault.
type Remedy struct {
	Kind        RemedyKind `json:"kind"`
	Setting     string     `json:"setting"` // sysctl name or command, for Setting and Live
	From        string     `json:"from"`
	To          string     `json:"to"`
	Text        string     `json:"text"`
	TakesEffect Effect     `json:"takes_effect"`
	// OldLast is how long what is there before a Change goes on as it was, where the change
	// acts on new connections only.
	OldLast time.Duration `json:"-"`
	// Change is what a machine would write, for remedies that are one; the Fact's
	// name may address a field of a row ("4711#soft"). Empty where only words help.
	Change host.Setting `json:"-"`
	// For a Change: Sum is how its value comes about, with figures and the margin; Cost
	// is what it takes of kernel memory; Risk is what may go wrong; Lasts is how long
	// it holds.
	Sum   string `json:"-"`
	Cost  string `json:"-"`
	Risk  string `json:"-"`
	Lasts string `json:"-"`
	// Also marks what has to be seen to as well, because a Change alone may not suffice
	// and nobody can tell from outside.
	Also bool `json:"-"`
}

// IsChange says whether a machine could carry the remedy out.
func (m Remedy) IsChange() bool { return m.Change.Fact.Kind != "" }

// Effect is when a remedy acts, in words; those that several have, or that a program asks for, are
// constants.
type Effect string

const (
	Now          Effect = "now"
	NowForNew    Effect = "now, for new connections"
	NowInInitial Effect = "now; to be written in the initial network namespace"
	AtBind       Effect = "at the next bind()"
	AtBoot       Effect = "at the next boot"
	AtClose      Effect = "at the next close()"
	AtConnect    Effect = "at the next connect()"
	AtListen     Effect = "at the next listen()"
	AtStart      Effect = "at the next start of the process"
)

// RemedyKind is who has to act.
type RemedyKind string

const (
	BySetting     RemedyKind = "setting"     // a kernel setting
	Live          RemedyKind = "live"        // an action on the running process
	ByApplication RemedyKind = "application" // only the program's code or configuration
	ByTopology    RemedyKind = "topology"    // more addresses, other routes, who closes first
)

// Subject is whose ceiling it is. Name is how people write it: "0.0.0.0:8080",
// "10.0.0.1 -> 10.0.0.9:5432", "nginx (pid 12)", "this host".
type Subject struct {
	Kind        Scope
	Name        string
	Process     string
	PID         int64
	Source      string // address
	Destination string // address:port
	Listener    string // address:port
	Cgroup      string
	UID         string
}

// The subjects that need no name.
var (
	anyPeer   = Subject{Kind: AnyPeer, Name: "any one destination"}
	thisNetns = Subject{Kind: Netns, Name: "this network namespace"}
	thisHost  = Subject{Kind: Host, Name: "this host"}
)

// Gauge is a limit evaluated for one subject.
type Gauge struct {
	Limit   *Limit // filled in by Evaluate
	Subject Subject
	Measure Measure // "" means the limit's own
	Bounds  Direction
	// Ceiling and Used are in connections, or connections per second, or in Unit.
	// Unbounded says that the kernel sets no ceiling here (Ceiling is then 0 and says
	// nothing).
	Ceiling, Used int64
	Unbounded     bool
	// Unit is what Ceiling and Used count where that is not connections: "tasks",
	// "entries". A gauge that bounds a flow (Bounds) has at most Ceiling connections
	// all the same: each takes one or more of the unit.
	Unit string
	// AtMost marks a ceiling that is computed without a figure that could not
	// be seen: the true one may be lower. With Unbounded it is one of which nothing is
	// known.
	AtMost bool
	// Doubt says that for want of Unseen the true ceiling may be anything up to Ceiling: no
	// figure of a flow that it bounds is exact.
	Doubt bool
	// Decides says that for want of Unseen nobody knows whether it refuses now.
	Decides bool
	// Fits is what a wanted workload may ask of it, where that is less than Ceiling: what
	// the evidence speaks for, or what chance leaves. 0: Ceiling.
	Fits int64
	// Sure is what it holds, of a ceiling in Doubt, whatever is not known.
	Sure int64
	// Why is what may lower an AtMost ceiling, in a few words; "" where the formula
	// itself is no more than a bound.
	Why string
	// Most is more than Ceiling where that is an estimate: the true ceiling is not
	// above Most. Faults and wanted workloads are judged by Ceiling. 0: Ceiling.
	Most int64
	// Near is the share of the ceiling at which to warn; 0 means 0.9.
	Near float64
	// Refusing: the kernel refuses connections now, shown by a queue or table that is
	// full or a counter that moved in the window. Refused is how many, for sorting.
	Refusing bool
	Refused  int64
	// Harms: something is wrong although the ceiling is far. Notice: worth a
	// line, nothing is wrong now.
	Harms, Notice bool
	Cause         string // one sentence, no full stop
	// who set the number: "listen() argument of the application", "kernel default"
	Owner    string
	Steps    []Step
	Evidence []Evidence
	Remedies []Remedy
	// Lift says what would raise the ceiling to need; diagnose asks it where a
	// wanted workload does not fit. nil: Remedies, if any, is all there is.
	Lift func(need int64) []Remedy
	// Enough is the ceiling under which what is there now would be no fault; plan asks
	// Lift for it. 0: nothing is wrong, or a higher ceiling would not cure it. It
	// follows from the use alone, never from the ceiling.
	Enough int64
	// Peak is more than Enough where some were refused in the window and the use is low again:
	// what then came at once, at a full ceiling. It follows from the ceiling, so a plan asks
	// for it of the host as it was seen, and not of the host as it would be.
	Peak int64
	// Cure is what a plan carries out where a higher ceiling is not the answer, Enough is 0
	// and settings end the fault all the same: those of Remedies that suffice.
	Cure []Remedy
	// Spares are the ids of processes whose connections it does not bind although it
	// bounds all others, MaySpare those of which that is not known.
	Spares, MaySpare []int64
	// Unseen are facts that would have sharpened this gauge, with the reason.
	Unseen []host.Missing
}

// blind is a gauge of a subject whose figures could not be seen.
func blind(s Subject, bounds Direction, unseen ...host.Missing) Gauge {
	return Gauge{Subject: s, Bounds: bounds, Unbounded: true, AtMost: true, Decides: true,
		Unseen: unseen}
}

// of is the gauge for another measure than the limit's own.
func (g Gauge) of(m Measure) Gauge {
	g.Measure = m
	return g
}

// lacking is a field of a row that could not be seen.
func lacking(row host.Row, field string) host.Missing {
	return host.Missing{Fact: host.Fact{Kind: row.Fact.Kind,
		Name: row.Name() + "#" + field}, Why: "it could not be read"}
}

// Blind says that there may be a ceiling lower than any that is known, and nobody knows of it.
func (g Gauge) Blind() bool { return g.Doubt || g.Unbounded && g.AtMost }

// Bound is what the true ceiling is not above.
func (g Gauge) Bound() int64 { return max(g.Ceiling, g.Most) }

// Full says whether the ceiling is reached.
func (g Gauge) Full() bool { return !g.Unbounded && g.Used >= g.Ceiling }

// IsNear says whether the use is close enough to the ceiling to warn.
func (g Gauge) IsNear() bool {
	near := cmp.Or(g.Near, 0.9)
	return !g.Unbounded && g.Used > 0 && float64(g.Used) >= near*float64(g.Ceiling)
}

// catalogue is filled by register while the package is initialised and never
// changes after that.
var catalogue []*Limit

// register adds a limit to the catalogue; each file of a limit calls it once.
func register(l Limit) *Limit {
	l.Signs = append(l.Signs, programSigns(l.ID)...)
	catalogue = append(catalogue, &l)
	return &l
}

// Catalogue lists all limits, sorted by ID.
func Catalogue() []*Limit {
	return slices.SortedFunc(slices.Values(catalogue), func(a, b *Limit) int {
		return cmp.Compare(a.ID, b.ID)
	})
}

// Find returns the limit with this ID, or nil.
func Find(id ID) *Limit {
	for _, l := range catalogue {
		if l.ID == id {
			return l
		}
	}
	return nil
}

// Evaluate runs the limit on a snapshot. The reader tells which facts were used; its error, if
// any, is why the limit could not be evaluated.
func (l *Limit) Evaluate(s host.Snapshot, w Workload) ([]Gauge, *host.Reader) {
	r := s.Read()
	gauges := l.Gauges(r, w)
	if r.Err() != nil {
		return nil, r
	}
	for i := range gauges {
		gauges[i].Limit = l
		gauges[i].Measure = cmp.Or(gauges[i].Measure, l.Measure)
	}
	return gauges, r
}
