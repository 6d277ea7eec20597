package live

import (
	"slices"
	"time"
)

// Event is a finding that began or ended.
type Event struct {
	At      time.Time
	Space   string
	Finding Finding
	Ended   bool
}

// mostEvents are kept.
const mostEvents = 100

// change notes what is in one list of findings and not in the other.
func (s *State) change(now time.Time, space string, before, after []Finding) {
	add := func(f Finding, ended bool) {
		s.events = append(s.events, Event{now, space, f, ended})
	}
	for _, f := range before {
		if !slices.Contains(after, f) {
			add(f, true)
		}
	}
	for _, f := range after {
		if !slices.Contains(before, f) {
			add(f, false)
		}
	}
	s.events = slices.Delete(s.events, 0, max(0, len(s.events)-mostEvents))
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
