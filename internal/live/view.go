package live

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/limit"
)

// View is what is known at one moment, bounded to Options.Series.
type View struct {
	At         time.Time
	Surveyed   time.Time // zero: not yet
	Pace       Pace
	Durations  Histogram
	Spaces     []Space
	Left       map[Table]int  // rows that are not shown
	Events     []Event        // the latest first
	Settings   []Setting      // that apply has written
	Unreadable map[string]int // facts that could not be read, by what can be done about it
}

// Space is a network namespace.
type Space struct {
	Key          string // of its surveys
	Name         string
	Own          bool
	Why          string // it could not be surveyed the last time
	At           time.Time
	Report       diagnose.Report
	Rows         []Row // the fullest first; those that have no seat summed up as "other"
	Listeners    []Listener
	Destinations []Destination
	Processes    []Process
	Figures      []Figure
	Findings     []Finding
	Refused      map[limit.ID]uint64 // since the start, of limits that the kernel counts
}

// View is what is known now. scraper is who asks, "" for nobody in particular: the highest queues
// are those since the same one asked before.
func (s *State) View(now time.Time, scraper string) View {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := View{At: now, Surveyed: s.surveyed, Pace: s.pace, Durations: s.durations.histogram(),
		Left: map[Table]int{Limits: 0, Listeners: 0, Queues: 0, Peers: 0, Processes: 0,
			Findings: 0, Spaces: s.surplus, Snapshot: 0},
		Unreadable: map[string]int{"permission": 0, "absent": 0, "kernel": 0, "other": 0}}
	v.Events = slices.Clone(s.events)
	slices.Reverse(v.Events)
	for why, count := range s.closed {
		v.Unreadable[unreadable(why)] += count
	}
	slot, known := s.scrape(scraper, now)
	for _, n := range s.spaces {
		v.Spaces = append(v.Spaces, n.view(slot, known, scraper))
		for t, count := range n.left {
			v.Left[t] += count
		}
		v.Left[Queues] += n.unwatched
		for _, u := range n.report.Unseen {
			v.Unreadable[unreadable(u.Why)]++
		}
		if n.why != "" {
			v.Unreadable[unreadable(n.why)]++
		}
	}
	slices.SortFunc(v.Spaces, func(a, b Space) int {
		if a.Own != b.Own {
			return map[bool]int{true: -1, false: 1}[a.Own]
		}
		return cmp.Compare(a.Name, b.Name)
	})
	v.settings(s)
	v.fit(s.o.Series - len(v.Settings))
	return v
}

func (n *space) view(slot int, known bool, scraper string) Space {
	v := Space{Key: n.key, Name: n.name, Own: n.own, Why: n.why, At: n.at, Report: n.report,
		Refused: maps.Clone(n.refused)}
	if n.why != "" {
		return v // what was true of it need not be true any more
	}
	v.Destinations, v.Processes = slices.Clone(n.peers), slices.Clone(n.processes)
	v.Figures = slices.Clone(n.figures)
	for _, r := range n.rows {
		if t := n.trends[r.key()]; t != nil {
			r.Trend = slices.Clone(t.used)
		}
		v.Rows = append(v.Rows, r)
	}
	slices.SortFunc(v.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Share(), a.Share()), cmp.Compare(a.key(), b.key()))
	})
	v.Rows = append(v.Rows, n.others...)
	for a, q := range n.queues {
		peak := q.peak(slot, known, scraper)
		l, shown := n.listeners[a]
		if !shown || !q.looked {
			continue
		}
		l.Looked, l.Dropped = true, q.dropped
		l.Queue, l.Peak = int64(q.now.Used), int64(peak)
		l.Ceiling = int64(q.now.Limit) + 1
		v.Listeners = append(v.Listeners, l)
	}
	for a, l := range n.listeners {
		if q := n.queues[a]; q == nil {
			v.Listeners = append(v.Listeners, l)
		}
	}
	slices.SortFunc(v.Listeners, func(a, b Listener) int {
		return cmp.Or(cmp.Compare(b.Peak*a.Ceiling, a.Peak*b.Ceiling),
			cmp.Compare(a.Address, b.Address))
	})
	v.Findings = slices.Clone(n.findings)
	return v
}

// What a row takes of the series.
const (
	seriesOfRow         = 3
	seriesOfListener    = 7
	seriesOfDestination = 4
	seriesOfProcess     = 2
	seriesOfSpace       = 24 // refusals and figures
)

// fit leaves rows out, the emptiest first and those of other namespaces before those of the own,
// until no more than a number of series is left.
func (v *View) fit(most int) {
	total := 0
	for _, s := range v.Spaces {
		total += s.series()
	}
	for share := 0.01; total > most && share <= 2; share *= 2 {
		for _, own := range []bool{false, true} {
			for i := range v.Spaces {
				if s := &v.Spaces[i]; s.Own == own && total > most {
					total -= s.thin(share, v.Left)
				}
			}
		}
	}
	for total > most && len(v.Spaces) > 1 { // each has its refusals at least
		last := v.Spaces[len(v.Spaces)-1]
		total -= last.series()
		v.Spaces = v.Spaces[:len(v.Spaces)-1]
		v.Left[Spaces]++
	}
}

func (s Space) series() int {
	return seriesOfSpace + seriesOfRow*len(s.Rows) + seriesOfListener*len(s.Listeners) +
		seriesOfDestination*len(s.Destinations) + seriesOfProcess*len(s.Processes) +
		len(s.Findings)
}

// thin leaves out the rows below a share of their ceiling, and says how many series that spares.
func (s *Space) thin(share float64, left map[Table]int) int {
	before := s.series()
	s.Rows = without(s.Rows, left, Limits, func(r Row) bool { return r.Share() < share })
	s.Listeners = without(s.Listeners, left, Listeners, func(l Listener) bool {
		return float64(l.Peak) < share*float64(l.Ceiling)
	})
	s.Destinations = without(s.Destinations, left, Peers, func(d Destination) bool {
		return float64(d.Established+d.SYNSent+d.TimeWait) < share*float64(d.Ceiling)
	})
	s.Processes = without(s.Processes, left, Processes, func(p Process) bool {
		return float64(p.Files) < share*float64(p.Ceiling)
	})
	if share > 1 {
		left[Findings] += len(s.Findings)
		s.Findings = nil
	}
	return before - s.series()
}

func without[T any](rows []T, left map[Table]int, t Table, drop func(T) bool) []T {
	n := len(rows)
	rows = slices.DeleteFunc(rows, drop)
	left[t] += n - len(rows)
	return rows
}

// bounds are the upper bounds of the histogram of surveys, in seconds.
var bounds = [...]float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10}

// durations counts how long surveys took.
type durations struct {
	counts [len(bounds) + 1]uint64
	sum    time.Duration
}

func (d *durations) add(took time.Duration) {
	i := slices.IndexFunc(bounds[:], func(b float64) bool { return took.Seconds() <= b })
	if i < 0 {
		i = len(bounds)
	}
	d.counts[i]++
	d.sum += took
}

// Histogram is a cumulative one, as Prometheus has them.
type Histogram struct {
	Count   uint64
	Sum     float64 // seconds
	Buckets map[float64]uint64
}

func (d durations) histogram() Histogram {
	h := Histogram{Sum: d.sum.Seconds(), Buckets: map[float64]uint64{}}
	for i, n := range d.counts {
		h.Count += n
		if i < len(bounds) {
			h.Buckets[bounds[i]] = h.Count
		}
	}
	return h
}
