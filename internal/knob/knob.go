package knob

import (
	"math"

	"github.com/maxconn/maxconn/internal/host"
)

// Knob is one setting and what the kernel (or the program that applies it) does with it.
type Knob struct {
	// Name is a sysctl with dots, or what people write: "RLIMIT_NOFILE soft",
	// "TCP_DEFER_ACCEPT". A "*" stands for one part, the name of a device.
	Name string
	// Also are names that other programs have for it: TasksMax.
	Also []string
	// Does says what changes when it changes, and when that takes effect; Not what it is
	// believed to do and does not. Both go on after the name, and neither repeats what the
	// fields below say: see Says.
	Does, Not string
	// Source is where in the kernel that is: file and function, commits with their release.
	Source string

	// Since and Until are the first release that has it, and the first without it.
	Since, Until Span
	// Scope is whose value it is.
	Scope Scope
	// Takes is what the kernel accepts.
	Takes Takes
	// Default is what the kernel begins with.
	Default Default
	// Module has to be loaded before a sysctl is there, and Option is what sets it to a
	// value when the module is loaded: so it lasts over a boot. Other sysctls last by
	// sysctl.d, fields of processes by their unit, those of devices by a udev rule.
	Module, Option string

	// Aside says that it does not bear on how many connections there can be, whatever its
	// value.
	Aside bool
	// Field is what a plan addresses where it is no sysctl: "process#soft".
	Field string
	// After are the settings that have to be written before it.
	After []string
	// InUse is what of it is in use: rollback never goes below.
	InUse Use
	// Plan is what a plan may write to it, nil where none does. Never is why, of
	// settings that are often advised.
	Plan  *Plan
	Never string
	// SafeInPods is the release of Kubernetes from which on a kubelet lets a pod set it without
	// being told to, the zero one for never (Kubernetes
	// documentation, Using sysctls in a Kubernetes cluster).
	SafeInPods host.Version
}

// Gone says whether a kernel is known to have lost the setting; one that is not known is the
// newest.
func (k *Knob) Gone(r host.Release) bool {
	if k.Until.None() {
		return false
	}
	yes, sure := k.Until.Reached(r)
	return yes && sure || !r.Known()
}

// Plan is what a plan may write to a setting.
type Plan struct {
	Limits      []string // IDs of the limits that a plan lifts by it
	Least, Most int64    // of each number of the new value
	// gives says whether a value gives connections more than another and takes nothing away;
	// nil: a larger number does.
	gives func(from, to string) bool
}

// plan is what a plan may write, to lift these limits.
func plan(least, most int64, limits ...string) *Plan {
	return &Plan{Limits: limits, Least: least, Most: most}
}

// giving is a plan for a setting of which more is no larger number.
func (p *Plan) giving(gives func(from, to string) bool) *Plan {
	p.gives = gives
	return p
}

// The largest values that a plan has: an int of the kernel; what a process may have open (fs/file.c
// sysctl_nr_open_max); process numbers (include/linux/threads.h PID_MAX_LIMIT); thread numbers
// (include/uapi/linux/futex.h FUTEX_TID_MASK). Hosts end at 64 TiB
// (arch/x86/include/asm/sparsemem.h MAX_PHYSMEM_BITS, four levels of page tables): that many pages,
// and of open files, one for 10 KiB (fs/file_table.c files_maxfiles_init), the next power of two.
const (
	mostInt     = 1<<31 - 1
	mostOpen    = 2147483584
	mostPIDs    = 4 << 20
	mostThreads = 1<<30 - 1
	mostPages   = 1 << 34
	mostFiles   = 1 << 33
)

// Use is what is counted of a setting.
type Use uint8

const (
	NotCounted Use = iota
	TrackedConnections
	OpenFiles
	Tasks
	TimeWaits
	Orphans
	QueuePages // of TCP
	LocalPorts
	Neighbours4
	Neighbours6
)

// String goes on after a number: "files are open on this host"; "" where nothing is counted.
func (u Use) String() string {
	return map[Use]string{
		TrackedConnections: "connections are tracked",
		OpenFiles:          "files are open on this host",
		Tasks:              "threads run on this host",
		TimeWaits:          "sockets are in TIME_WAIT",
		Orphans:            "connections are orphans",
		QueuePages:         "pages are taken by TCP buffers",
		LocalPorts: "local ports of the present range are in use by outgoing " +
			"connections",
		Neighbours4: "neighbours are in the table",
		Neighbours6: "neighbours are in the table",
	}[u]
}

// Fact is the fact of a snapshot whose first number is the count; the zero Fact where no
// single fact is: local ports are counted by socket.
func (u Use) Fact() host.Fact {
	return map[Use]host.Fact{
		TrackedConnections: host.Sysctl("net.netfilter.nf_conntrack_count"),
		OpenFiles:          host.Sysctl("fs.file-nr"),
		Tasks:              {Kind: host.LoadavgKind, Name: "threads"},
		TimeWaits:          host.Sockstat("TCP.tw"),
		Orphans:            host.Sockstat("TCP.orphan"),
		QueuePages:         host.Sockstat("TCP.mem"),
		Neighbours4:        {Kind: host.NeighbourKind, Name: "arp.entries"},
		Neighbours6:        {Kind: host.NeighbourKind, Name: "ndisc.entries"},
	}[u]
}

// Span is a release from which on something is so. Where the releases between were not looked at,
// it is after one and at the latest in another.
type Span struct{ After, By host.Version }

// Since is an exact release.
func Since(major, minor int) Span { return Span{By: host.V(major, minor)} }

// Between says that something is not so in one release, and is in another.
func Between(after, by host.Version) Span { return Span{after, by} }

// None says that there is no such release.
func (s Span) None() bool { return s == Span{} }

// Reached says whether a release is late enough; sure is false between the two ends.
func (s Span) Reached(r host.Release) (yes, sure bool) {
	v := r.Series()
	switch {
	case v.Compare(s.By) >= 0:
		return true, true
	case !s.After.IsZero() && s.After.Compare(v) < 0:
		return false, false
	}
	return false, true
}

// String is "Linux 4.12", or "Linux 4.12 at the latest (not yet in 4.10)".
func (s Span) String() string {
	if s.After.IsZero() {
		return "Linux " + s.By.String()
	}
	return "Linux " + s.By.String() + " at the latest (not yet in " + s.After.String() + ")"
}

// Scope is whose value a sysctl is. The zero value means the whole host: one value that every
// namespace shows.
type Scope struct {
	// Netns says that each network namespace has a value of its own, from Own on where that
	// is given; before, and without Netns, the initial namespace alone has the setting, for
	// all.
	Netns bool
	Own   Span
	// Initial says that the setting belongs to the initial network namespace, which alone
	// shows it.
	Initial bool
	// ReadOnly is from when on other network namespaces show the host's value and cannot
	// write it; with Initial they did not show it before.
	ReadOnly Span
	// Copied says that a new namespace begins with the value of the initial one, and not with
	// the default.
	Copied bool
}

var (
	// PerNetns has a value in each network namespace, as long as there were namespaces or
	// since 4.4.
	PerNetns = Scope{Netns: true}
	// InitialOnly is shown in the initial network namespace alone.
	InitialOnly = Scope{Initial: true}
	// WholeHost is not of the network.
	WholeHost = Scope{}
)

// PerNetnsSince has a value in each network namespace since a release.
func PerNetnsSince(s Span) Scope { return Scope{Netns: true, Own: s} }

// InChild says whether a network namespace that is not the initial one shows the setting; sure is
// false where the releases around were not looked at.
func (s Scope) InChild(r host.Release) (shown, sure bool) {
	switch {
	case s.Initial && s.ReadOnly.None():
		return false, true
	case s.Initial:
		return s.ReadOnly.Reached(r)
	case s.Netns && !s.Own.None():
		return s.Own.Reached(r)
	}
	return true, true
}

// ReadOnlyInChild says whether other network namespaces show the host's value and cannot write it.
func (s Scope) ReadOnlyInChild(r host.Release) bool {
	yes, _ := s.ReadOnly.Reached(r)
	return yes && !s.ReadOnly.None()
}

// OfNetns says whether a value written now, on a kernel of today, is that of one network namespace.
func (s Scope) OfNetns() bool { return s.Netns && s.ReadOnly.None() }

// Kind is what a setting takes.
type Kind uint8

const (
	Text     Kind = iota // anything; not looked at
	Numbers              // whole numbers
	Seconds              // numbers that the kernel multiplies by HZ (proc_dointvec_jiffies)
	PortList             // 8080,9000-9010
	Ports                // two ports
	Word                 // a name
	Shown                // nothing: the kernel shows it, and refuses every write
)

// Bound is what a number may be from a release on.
type Bound struct {
	Since    host.Version
	Low, Top int64
}

// Takes is what the kernel accepts for a setting.
type Takes struct {
	Kind   Kind
	N      int // how many numbers
	Bounds []Bound
	// Unit is that of the numbers, in the plural: "seconds"; "" where it is a count or
	// a switch.
	Unit string
}

// The bounds that many settings share.
var (
	anyInt = []Bound{{Low: math.MinInt32, Top: math.MaxInt32}}
	// oneByte: proc_dou8vec_minmax since 5.13 (net/ipv4/sysctl_net_ipv4.c; proc_dointvec in
	// 5.10, u8 in 5.14), an int before.
	oneByte  = []Bound{anyInt[0], from(5, 13, 0, 255)}
	unsigned = []Bound{{Low: 0, Top: math.MaxInt64}}
)

func atLeast(low int64) []Bound { return []Bound{{Low: low, Top: math.MaxInt32}} }

func between(low, top int64) []Bound { return []Bound{{Low: low, Top: top}} }

// from adds bounds that came with a release.
func from(major, minor int, low, top int64) Bound { return Bound{host.V(major, minor), low, top} }

func one(b []Bound) Takes            { return Takes{Kind: Numbers, N: 1, Bounds: b} }
func several(n int, b []Bound) Takes { return Takes{Kind: Numbers, N: n, Bounds: b} }
func seconds() Takes                 { return Takes{Seconds, 1, anyInt, "seconds"} }
func (t Takes) in(unit string) Takes { t.Unit = unit; return t }
func shown() Takes                   { return Takes{Kind: Shown} }
func (t Takes) bounded() (Bound, bool) {
	b := t.At(host.Release{})
	return b, b != anyInt[0] && b != unsigned[0]
}

// At is the bound on a kernel; one that is not known has the latest.
func (t Takes) At(r host.Release) (b Bound) {
	for _, x := range t.Bounds {
		if !r.Known() || r.Compare(x.Since) >= 0 {
			b = x
		}
	}
	return b
}
