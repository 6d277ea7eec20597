package refusal

import (
	"cmp"
	"slices"
	"strconv"
)

// Filter is what is wanted of the lines; the zero value is all of them.
type Filter struct {
	Limits  []string // IDs
	Process string   // a name or a number
}

// Wants says whether a line passes.
func (f Filter) Wants(l Line) bool {
	return (len(f.Limits) == 0 || slices.Contains(f.Limits, l.Limit)) &&
		(f.Process == "" || f.Process == l.Process ||
			f.Process == strconv.FormatInt(l.PID, 10))
}

// Tally adds lines and counters up.
type Tally struct {
	events map[place]int64 // attributed
	drops  map[place]int64 // at listeners, without an event
	moved  map[counter]int64
}

type place struct{ limit, netns string }

type counter struct {
	place
	name string
}

// NewTally is one of nothing.
func NewTally() *Tally {
	return &Tally{map[place]int64{}, map[place]int64{}, map[counter]int64{}}
}

// Add enters a line.
func (t *Tally) Add(l Line) {
	at := place{l.Limit, l.NetNS}
	switch {
	case l.What.Consequence():
	case l.SeenBy == Event:
		t.events[at] += l.Count
	default:
		t.drops[at] += l.Count
	}
}

// Moved enters a counter of a network namespace.
func (t *Tally) Moved(limit, netns, name string, by int64) {
	t.moved[counter{place{limit, netns}, name}] += by
}

// Refused are the counters that moved and the places with events that none counts, sorted.
func (t *Tally) Refused() (all []Moved) {
	counted := map[place]bool{}
	for c, by := range t.moved {
		events, drops := t.events[c.place], t.drops[c.place]
		if by <= 0 && events == 0 && drops == 0 {
			continue
		}
		counted[c.place] = true
		all = append(all, Moved{Limit: c.limit, NetNS: c.netns, Counter: c.name,
			Moved: by, Attributed: events, AtListener: drops})
	}
	for _, places := range []map[place]int64{t.events, t.drops} {
		for at := range places {
			if counted[at] {
				continue
			}
			counted[at] = true
			all = append(all, Moved{Limit: at.limit, NetNS: at.netns,
				Attributed: t.events[at], AtListener: t.drops[at]})
		}
	}
	slices.SortFunc(all, func(a, b Moved) int {
		return cmp.Or(cmp.Compare(a.NetNS, b.NetNS), cmp.Compare(a.Limit, b.Limit),
			cmp.Compare(a.Counter, b.Counter))
	})
	return all
}
