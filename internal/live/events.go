package live

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// Event is something that happened in a network namespace, or to it.
type Event struct {
	At       time.Time
	Space    string
	Severity diagnose.Severity // of a finding that began or ended, else ""
	What     string            // one line
}

// mostEvents are kept.
const mostEvents = 100

func (s *State) happened(e Event) {
	s.events = append(s.events, e)
	s.events = slices.Delete(s.events, 0, max(0, len(s.events)-mostEvents))
}

// change notes which findings began and ended, or are of another severity now. What is only worth
// knowing comes and goes too often.
func (s *State) change(now time.Time, n *space, before []Finding, first bool) {
	began := "began"
	if first {
		began = "already there"
	}
	add := func(f Finding, what string) {
		words := what + ": " + string(f.Severity) + " " + string(f.Limit) + " at " +
			f.Subject
		if i := slices.IndexFunc(n.rows, f.isOf); i >= 0 && !n.rows[i].Unbounded {
			words += ", " + figure.Count(n.rows[i].Used) + " of " +
				figure.Count(n.rows[i].Ceiling)
		}
		s.happened(Event{now, n.name, f.Severity, words})
	}
	for _, f := range before {
		goesOn := func(g Finding) bool {
			return g.Severity != diagnose.Info && g.Limit == f.Limit &&
				g.Subject == f.Subject && g.Process == f.Process
		}
		if f.Severity != diagnose.Info && !slices.ContainsFunc(n.findings, goesOn) {
			add(f, "ended")
		}
	}
	for _, f := range n.findings {
		if f.Severity != diagnose.Info && !slices.Contains(before, f) {
			add(f, began)
		}
	}
}

// isOf says whether a finding is about what a row counts.
func (f Finding) isOf(r Row) bool { return f.Limit == r.Limit && f.Subject == r.Subject }

// settings are values that ceilings follow from and that somebody may change: sysctls, and the
// queue limits of listening sockets.
func settings(r *host.Reader, s host.Snapshot) map[string]string {
	all := map[string]string{}
	for _, f := range s.Facts() {
		if f.Kind != host.SysctlKind {
			continue
		}
		k := knob.Lookup(f.Name)
		if got, _ := s.Lookup(f); got.Err == "" && k != nil && k.Takes.Kind != knob.Shown {
			all[f.Name] = got.Text
		}
	}
	for _, row := range r.Rows(host.ListenerKind) {
		if len(all) < mostSettings {
			all["queue limit of "+row.Name()] = figure.Count(row.Count("limit"))
		}
	}
	return all
}

// mostSettings are kept of a namespace.
const mostSettings = 1024

// set notes which settings have another value than at the survey before.
func (s *State) set(now time.Time, n *space, after map[string]string) {
	before := n.settings
	n.settings = after
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if old, known := before[name]; known && old != after[name] {
			words := "changed: " + name + " from " + cmp.Or(old, "(empty)") + " to " +
				cmp.Or(after[name], "(empty)")
			s.happened(Event{At: now, Space: n.name, What: words})
		}
	}
}

// Next is closed when the survey after this moment has ended.
func (s *State) Next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next
}

// turn tells those who wait for Next.
func (s *State) turn() {
	close(s.next)
	s.next = make(chan struct{})
}
