package live

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// Destinations says what a View tells of the other ends of outbound connections.
type Destinations string

const (
	FullDestinations Destinations = "full"  // address and port
	PortsOnly        Destinations = "ports" // the port
	NoDestinations   Destinations = "off"
)

// Options bound what is kept.
type Options struct {
	Rows         int // of each table of a namespace; 0: 32
	Namespaces   int // 0: 64
	Series       int // of all that a View shows; 0: 5,000
	Destinations Destinations
}

// State is what is known now. It is safe for concurrent use.
type State struct {
	mu         sync.Mutex
	o          Options
	spaces     map[string]*space
	surplus    int            // namespaces beyond Options.Namespaces
	closed     map[string]int // namespaces that could not be entered, by reason
	scrapers   [mostScrapers]scraper
	durations  durations
	pace       Pace
	surveyed   time.Time
	events     []Event
	applied    []Setting
	notApplied string // why they are not known
	next       chan struct{}
}

// Pace is how often the host is looked at, and what that costs.
type Pace struct {
	Look   time.Duration // from one look at the listeners to the next
	Survey time.Duration // from one survey to the next
	CPU    time.Duration // of the last survey of all namespaces
	Spent  time.Duration // that of all surveys so far
}

// space is a network namespace.
type space struct {
	key       string
	name      string
	own       bool
	why       string // it could not be surveyed the last time
	at        time.Time
	report    diagnose.Report
	limits    map[limit.ID]*seats
	tables    map[Table]*seats
	rows      []Row
	others    []Row
	listeners map[netip.AddrPort]Listener
	peers     []Destination
	processes []Process
	figures   []Figure
	findings  []Finding
	left      map[Table]int
	trends    map[string]*trend
	settings  map[string]string

	half      time.Time
	looked    bool
	moved     bool // TcpExt.ListenOverflows, at the last look
	looks     uint64
	queues    map[netip.AddrPort]*queue
	unwatched int
	drops     map[uint64]dropsAt
	counts    map[host.Fact]int64
	refused   map[limit.ID]uint64
}

// New is a State that knows nothing yet.
func New(o Options) *State {
	if o.Rows <= 0 {
		o.Rows = 32
	}
	if o.Namespaces <= 0 {
		o.Namespaces = 64
	}
	if o.Series <= 0 {
		o.Series = 5000
	}
	if o.Destinations == "" {
		o.Destinations = FullDestinations
	}
	return &State{o: o, spaces: map[string]*space{}, next: make(chan struct{})}
}

// Survey is what one survey of a namespace has found.
type Survey struct {
	Key      string // no other namespace has it
	Name     string // as people know it
	Own      bool   // it is that of this process
	Snapshot host.Snapshot
	Report   diagnose.Report
	Gauges   []limit.Gauge
}

// Enter takes a survey in. It says whether there was room for its namespace.
func (s *State) Enter(now time.Time, v Survey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.space(v.Key, v.Name)
	if n == nil {
		return false
	}
	if n.at.IsZero() && !s.surveyed.IsZero() {
		s.happened(Event{At: now, Space: n.name, What: "came: network namespace " + n.name})
	}
	first := n.at.IsZero()
	n.own, n.why, n.at = v.Own, "", now
	n.report = trimmed(v.Report)
	r := v.Snapshot.Read()
	if !v.Own { // the own one tells of the host
		v.Gauges = slices.DeleteFunc(slices.Clone(v.Gauges), func(g limit.Gauge) bool {
			return g.Subject.Kind == limit.Host
		})
	}
	n.refusals(r, v.Gauges)
	n.left = map[Table]int{}
	n.seatLimits(now, s.o, v.Gauges, window(r))
	before := slices.Clone(n.findings)
	n.find(s.o, v.Gauges)
	s.change(now, n, before, first)
	s.set(now, n, settings(r, v.Snapshot))
	n.seatListeners(now, s.o, r)
	n.seatDestinations(now, s.o, r, v.Gauges)
	n.seatProcesses(now, s.o, r)
	n.figures = figures(r)
	n.forget(now)
	return true
}

// Failed notes that a namespace could not be surveyed: what is known of it grows old.
func (s *State) Failed(now time.Time, key, name, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.space(key, name)
	if n != nil && n.why == "" {
		s.happened(Event{At: now, Space: n.name, What: "not surveyed: " + why})
	}
	if n != nil {
		n.why = why
	}
}

// space is the namespace of a key, or nil where there is no room for another one.
func (s *State) space(key, name string) *space {
	n := s.spaces[key]
	if n != nil {
		return n
	}
	if len(s.spaces) >= s.o.Namespaces {
		return nil
	}
	n = &space{key: key, name: s.unused(name), limits: map[limit.ID]*seats{},
		tables: map[Table]*seats{},
		trends: map[string]*trend{}, queues: map[netip.AddrPort]*queue{},
		drops: map[uint64]dropsAt{}, counts: map[host.Fact]int64{},
		refused: map[limit.ID]uint64{}}
	for _, l := range limit.Catalogue() {
		if len(l.Refusals) > 0 {
			n.refused[l.ID] = 0
		}
	}
	s.spaces[key] = n
	return n
}

// unused is a name that no other namespace has: "web", "web~2".
func (s *State) unused(name string) string {
	taken := func(name string) bool {
		for _, n := range s.spaces {
			if n.name == name {
				return true
			}
		}
		return false
	}
	for i, first := 2, name; taken(name); i++ {
		name = first + "~" + itoa(i)
	}
	return name
}

// Keep forgets all namespaces but these, and notes how many there was no room for and why others
// could not be entered.
func (s *State) Keep(now time.Time, keys []string, surplus int, closed map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.spaces {
		if !slices.Contains(keys, key) {
			s.gone(now, key)
		}
	}
	s.surplus, s.closed = surplus, closed
}

// Gone forgets a namespace that has ended.
func (s *State) Gone(now time.Time, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone(now, key)
}

func (s *State) gone(now time.Time, key string) {
	if n := s.spaces[key]; n != nil {
		s.happened(Event{At: now, Space: n.name, What: "went: network namespace " + n.name})
		delete(s.spaces, key)
	}
}

// Surveyed ends a survey of all namespaces that took a time and has seen something.
func (s *State) Surveyed(now time.Time, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.durations.add(took)
	s.surveyed = now
	s.turn()
}

// Paced notes what the last survey took of the processor, and when the next one comes.
func (s *State) Paced(cpu, every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pace.Survey, s.pace.CPU = every, cpu
	s.pace.Spent += cpu
}

// Pace is how often the host is looked at now.
func (s *State) Pace() Pace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pace
}

// Looked notes how often the listeners are looked at.
func (s *State) Looked(every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pace.Look = every
}

// window is the time that a survey speaks of, 0 for one sample.
func window(r *host.Reader) time.Duration {
	d, _ := time.ParseDuration(r.Optional(host.System("window")))
	return d
}

// refusals adds what the gauges say was refused since the survey before, and what moved of the
// counters that no look has read.
func (n *space) refusals(r *host.Reader, gauges []limit.Gauge) {
	if !r.Has(host.System("window")) {
		return
	}
	for _, g := range gauges {
		if g.Limit.RefusalsShared && g.Refused > 0 {
			n.refused[g.Limit.ID] += uint64(g.Refused)
		}
	}
	for _, l := range limit.Catalogue() {
		for _, f := range l.Refusals {
			if _, watched := n.counts[f]; watched || l.RefusalsShared {
				continue
			}
			if moved, _ := r.Moved(f); moved > 0 {
				n.refused[l.ID] += uint64(moved)
			}
		}
	}
}

// forget drops the queues of listeners that are gone, and the trends of rows that are not shown.
func (n *space) forget(now time.Time) {
	for a, q := range n.queues {
		if !q.looked && now.Sub(q.seen) > time.Minute {
			delete(n.queues, a)
		}
	}
	shown := map[string]bool{}
	for _, r := range n.rows {
		shown[r.key()] = true
	}
	for key := range n.trends {
		if !shown[key] {
			delete(n.trends, key)
		}
	}
}

// mostListed is how many rows of a report are kept of each list.
const mostListed = 64

// trimmed is a report without the rows beyond those that anybody reads on a screen.
func trimmed(r diagnose.Report) diagnose.Report {
	r.Findings = clipped(r.Findings)
	r.Capacity.Outbound = clipped(r.Capacity.Outbound)
	r.Capacity.Inbound = clipped(r.Capacity.Inbound)
	return r
}

func clipped[T any](all []T) []T { return slices.Clone(all[:min(len(all), mostListed)]) }

// unreadable sorts the reasons why facts are missing into what can be done about them.
func unreadable(why string) string {
	switch {
	case strings.Contains(why, "permission") || strings.Contains(why, "not permitted") ||
		why == host.Masked || why == host.Unlisted:
		return "permission"
	case host.IsAbsence(why) || why == host.InChild:
		return "absent"
	case strings.Contains(why, "kernel"):
		return "kernel"
	}
	return "other"
}
