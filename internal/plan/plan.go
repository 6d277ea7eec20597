// Package plan turns a wanted workload into ordered changes of settings, and
// says what no setting lifts. It is pure: the same catalogue that judged the host
// judges it again as it would be, so a plan is known to hold before anything is written.
package plan

import (
	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// Schema names the JSON form of a Plan. Fields may be added, none renamed.
const Schema = "maxconn.plan/1"

// Plan is what would be changed, in the order that the kernel accepts. It is a file: reviewed,
// carried, applied later; apply refuses it on another host, or where a value has changed meanwhile.
type Plan struct {
	Schema   string   `json:"schema"`
	Host     Host     `json:"host"`
	Workload Workload `json:"workload"`
	// Aim is what the plan is for: "workload"; "mend", what check complains of; "most",
	// as far as settings go.
	Aim     Aim      `json:"aim"`
	Changes []Change `json:"changes"`
	// Left is what no setting lifts: more source addresses, connection reuse, who closes first.
	Left []Left `json:"left"`
	// Holds says whether the workload fits after the changes, by the same model.
	Holds bool `json:"holds"`
	// Verdict says the same in one word: holds, binds, or unknown where it is unknown.
	Verdict diagnose.Verdict `json:"verdict"`
	// Unseen are facts for want of which limits could not be judged.
	Unseen []diagnose.Unseen `json:"unseen"`
}

// Aim is what a plan is for.
type Aim string

const (
	Fit  Aim = "workload" // a wanted workload
	Mend Aim = "mend"     // what check complains of
	Most Aim = "most"     // as far as settings go, each listener and destination for itself
)

// Host identifies where the plan was made.
type Host struct {
	Name   string `json:"name"`
	Kernel string `json:"kernel"`
	Netns  string `json:"netns"` // "net:[4026531840]"
	// Cookie is the kernel's number of the network namespace, which no other namespace
	// of this boot gets, other than the one in Netns; 0 where it was not told.
	Cookie uint64 `json:"netns_cookie,omitempty"`
	// Scope is what the namespace is: "initial", the host's own, or "child"; "" where
	// that was not known.
	Scope string `json:"scope,omitempty"`
	Boot  string `json:"boot"` // RFC 3339; running processes are named only within one boot
}

// Workload is what is wanted, as it was asked for.
type Workload struct {
	Outbound []Goal `json:"outbound"`
	Inbound  []Goal `json:"inbound"`
}

// Goal is one wanted flow; see limit.Goal.
type Goal struct {
	Subject   string `json:"subject"`
	Held      int64  `json:"held,omitempty"`
	PerSecond int64  `json:"per_second,omitempty"`
	Burst     int64  `json:"burst,omitempty"`
}

// Target is what a change writes to.
type Target struct {
	// Kind is sysctl, process, listener or link.
	Kind host.Kind `json:"kind"`
	// Name is the sysctl's name, the pid, "address:port" ("address:port~2" for a
	// further member of a SO_REUSEPORT group) or the device.
	Name string `json:"name"`
	// Field is "" for a sysctl, soft or hard for a process (descriptors), limit for a
	// listener, txqueuelen for a link.
	Field string `json:"field,omitempty"`
	// Start is when the process started, in clock ticks since boot as /proc/PID/stat
	// says: a pid alone may be somebody else's by now. For a listener it is that of its
	// process.
	Start uint64 `json:"start,omitempty"`
	// PID is the process that holds the listener.
	PID int64 `json:"pid,omitempty"`
	// Inode is the listening socket's, so that the one member of a group is meant.
	Inode uint64 `json:"inode,omitempty"`
	// Cookie is the kernel's number of the listening socket, which no other socket of this boot
	// gets; 0 where it was not read.
	Cookie uint64 `json:"cookie,omitempty"`
	// Index is the device's, which the next device of its name does not get; 0 where it was
	// not read.
	Index int64 `json:"index,omitempty"`
}

// Same says whether two targets are one. One that was written down without a cookie or an
// index may be the other.
func (t Target) Same(o Target) bool {
	if t.Cookie == 0 || o.Cookie == 0 {
		t.Cookie, o.Cookie = 0, 0
	}
	if t.Index == 0 || o.Index == 0 {
		t.Index, o.Index = 0, 0
	}
	return t == o
}

// Change is a target with its old and its new value, and the reasons.
type Change struct {
	Target Target `json:"target"`
	// Setting is the target in words: "net.core.somaxconn", "descriptor limit of nginx
	// (pid 12)".
	Setting string `json:"setting"`
	From    string `json:"from"`
	To      string `json:"to"`
	Why     string `json:"why"`   // formula with figures
	Limit   string `json:"limit"` // ID
	// TakesEffect is "now", "at the next listen()", "at the next start of the process",
	// "in the next network namespace" or "at the next boot".
	TakesEffect limit.Effect `json:"takes_effect"`
	// OldLast is for how many seconds what is there goes on as it was, where the change acts on
	// connections that are opened after it.
	OldLast float64 `json:"old_last_seconds,omitempty"`
	Owner   string  `json:"owner"` // who set the old value
	Cost    string  `json:"cost,omitempty"`
	Risk    string  `json:"risk,omitempty"`
	// Lasts says until when it holds if nobody persists it.
	Lasts string `json:"lasts,omitempty"`
	// Unit is the systemd unit of the process, and Limits its descriptor limits after
	// the plan, "soft:hard": what a unit file or limits.conf has to say at its next
	// start.
	Unit   string `json:"unit,omitempty"`
	Limits string `json:"limits,omitempty"`
}

// Left is what the plan cannot do.
type Left struct {
	Limit   string           `json:"limit"`
	Subject string           `json:"subject"`
	Kind    limit.RemedyKind `json:"kind"`
	Text    string           `json:"text"`
	// Cause is what does not fit, with figures.
	Cause string `json:"cause,omitempty"`
	// Binds says that the workload does not fit because of it: Wanted is more than
	// Possible. Without it, it is something to see to as well, which nobody can tell
	// from outside.
	Binds    bool          `json:"binds"`
	Wanted   int64         `json:"wanted,omitempty"`
	Possible int64         `json:"possible,omitempty"`
	Measure  limit.Measure `json:"measure,omitempty"`
}

// Fact is the fact of a snapshot that the target is.
func (t Target) Fact() host.Fact {
	name := t.Name
	if t.Field != "" {
		name += "#" + t.Field
	}
	return host.Fact{Kind: t.Kind, Name: name}
}

// Settings are the changes as a what-if for host.Snapshot.With.
func (p Plan) Settings() []host.Setting {
	out := make([]host.Setting, len(p.Changes))
	for i, c := range p.Changes {
		out[i] = host.Setting{Fact: c.Target.Fact(), Want: c.To}
	}
	return out
}
