// Package refusal is what is said of connections that were refused, while it happens: a line for
// each kind, process and place, and at the end how that agrees with what the kernel counts.
package refusal

import (
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// The schemas of Line and Sum. Fields may be added, none renamed.
const (
	LineSchema = "maxconn.refusal/1"
	SumSchema  = "maxconn.refusals/1"
)

// SeenBy is how a refusal was noticed.
type SeenBy string

const (
	Event   SeenBy = "event"   // the kernel reported each one
	Counter SeenBy = "counter" // a counter of the kernel moved
)

// What is what happened, in the words of a line.
type What string

const (
	NoPort      What = "no free port"
	PortTaken   What = "bound port in use"
	Failed      What = "connect failed"
	NoAnswer    What = "SYN repeated"
	QueueFull   What = "accept queue full"
	SynAckAgain What = "SYN-ACK repeated"
	Dropped     What = "segment dropped"
	NoFile      What = "no free descriptor"
	AtListener  What = "dropped by the listener"
)

// Consequence says that it only tells of a refusal that may have been elsewhere: of a peer, or on
// the way.
func (w What) Consequence() bool { return w == Failed || w == NoAnswer || w == SynAckAgain }

// Line is what happened at one place since the line before.
type Line struct {
	Schema      string `json:"schema"`
	Time        string `json:"time"`  // of the last one, RFC 3339
	Limit       string `json:"limit"` // ID; "" where no limit of this host is known to do it
	What        What   `json:"what"`
	Errno       string `json:"errno"`   // "EADDRNOTAVAIL"; "" where no call failed
	Call        string `json:"call"`    // "connect"; "" where it was none of a process
	Process     string `json:"process"` // "" where not known
	PID         int64  `json:"pid"`
	Unit        string `json:"unit"`
	NetNS       string `json:"netns"` // as the user or the system names it, else its inode number
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Listener    string `json:"listener"`
	Client      string `json:"client"`           // the last one
	Reason      string `json:"reason,omitempty"` // the kernel's, for a segment that it drops
	// Queue and Backlog are of a listener whose accept queue was full: it takes Backlog + 1.
	Queue   int64  `json:"queue,omitempty"`
	Backlog int64  `json:"backlog,omitempty"`
	Count   int64  `json:"count"`
	SeenBy  SeenBy `json:"seen_by"`
}

// Sum is what a trace comes to.
type Sum struct {
	Schema  string  `json:"schema"`
	Seconds float64 `json:"seconds"`
	Refused []Moved `json:"refused"`
	// Lost are events for which the kernel had no room; LeftOut are those of lines that were
	// not shown, because there were too many.
	Lost    uint64 `json:"lost_events"`
	LeftOut int64  `json:"left_out"`
	// Missing says what could not be seen, and why.
	Missing []string `json:"missing"`
}

// Moved is what the kernel counted, and what of it was attributed to a process or listener.
type Moved struct {
	Limit      string `json:"limit"`
	NetNS      string `json:"netns"`
	Counter    string `json:"counter"` // "" where the kernel counts nothing of it
	Moved      int64  `json:"moved"`
	Attributed int64  `json:"attributed"` // by events
	AtListener int64  `json:"at_listener,omitempty"`
}

// Refusing says whether anything was refused, by an event or by a counter.
func (s Sum) Refusing() bool {
	return slices.ContainsFunc(s.Refused, func(m Moved) bool {
		return m.Moved > 0 || m.Attributed > 0 || m.AtListener > 0
	})
}

// OfErrno is the limit that a call ends at with this error and with no other, "" where none is.
func OfErrno(errno string) string {
	return first(func(l *limit.Limit) bool { return l.SoleErrno == errno })
}

// OfReason is the limit that drops a segment for this reason of the kernel, "" where none is.
func OfReason(reason string) string {
	return first(func(l *limit.Limit) bool { return slices.Contains(l.DropReasons, reason) })
}

func first(is func(*limit.Limit) bool) string {
	for _, l := range limit.Catalogue() {
		if is(l) {
			return string(l.ID)
		}
	}
	return ""
}

// Reasons are the kernel's names for drops that a limit is known to cause.
func Reasons() (all []string) {
	for _, l := range limit.Catalogue() {
		all = append(all, l.DropReasons...)
	}
	return all
}

// Counters are the counters of a network namespace that move where a limit refuses.
func Counters() (all []host.Fact) {
	for _, l := range limit.Catalogue() {
		for _, f := range l.Refusals {
			if f.Kind == host.CounterKind && strings.HasPrefix(f.Name, "TcpExt.") {
				all = append(all, f)
			}
		}
	}
	return all
}

// OfCounter is the limit that moves a counter.
func OfCounter(f host.Fact) string {
	return first(func(l *limit.Limit) bool { return slices.Contains(l.Refusals, f) })
}
