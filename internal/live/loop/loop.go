//go:build linux

// Package loop looks at the running kernel again and again, and tells package live: at listeners
// several times a second, and at everything else as often as the processor time for it allows.
package loop

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/clock"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/live"
	"github.com/maxconn/maxconn/internal/observe"
)

// How often. Shares are of one processor: surveys take at most a two hundredth, looks a thousandth
// as long as they come every quarter of a second, so that both and the scrapes stay below one per
// cent.
const (
	surveyShare    = 200
	shortestSurvey = time.Second
	longestSurvey  = time.Minute
	lookShare      = 1000
	shortestLook   = 100 * time.Millisecond
	usualLook      = 250 * time.Millisecond
	alive          = time.Second // how often a namespace is asked whether it is still there
)

// Options say what to look at.
type Options struct {
	Subject    observe.Options // one namespace
	All        bool            // all that can be seen, in place of Subject
	Namespaces int             // at most; 0: 64
	Every      time.Duration   // from one survey to the next; 0: as often as they may
	Tape       Tape            // nil: nobody wants it
}

// Tape gets the surveys that the state gets.
type Tape interface {
	Enter(now time.Time, v live.Survey)
	Failed(now time.Time, key, name, why string)
	Gone(now time.Time, key string)
}

// noTape is for those who want none.
type noTape struct{}

func (noTape) Enter(time.Time, live.Survey)             {}
func (noTape) Failed(time.Time, string, string, string) {}
func (noTape) Gone(time.Time, string)                   {}

// Loop feeds a State.
type Loop struct {
	o     Options
	state *live.State

	mu     sync.Mutex // guards spaces, and each Looker
	spaces map[string]*space
}

// space is a namespace that is looked at.
type space struct {
	key, name string
	own       bool
	path      netns.Path
	id        netns.ID
	looker    *observe.Looker // nil: it could not be opened
	before    host.Snapshot
	taken     time.Time // of before; zero: there is none
	asked     time.Time // whether it is still there
}

// New is a loop that feeds a state.
func New(o Options, state *live.State) *Loop {
	if o.Namespaces <= 0 {
		o.Namespaces = 64
	}
	if o.Tape == nil {
		o.Tape = noTape{}
	}
	return &Loop{o: o, state: state, spaces: map[string]*space{}}
}

// Run surveys until ctx ends. first is called after the first survey, with the error of a subject
// that cannot be observed.
func (l *Loop) Run(ctx context.Context, first func(error)) {
	defer l.close()
	err := l.survey(ctx)
	first(err)
	var looks sync.WaitGroup
	looks.Go(func() { l.looks(ctx) })
	defer looks.Wait()
	for sleep(ctx, l.pause()) {
		l.survey(ctx) // its error is in the state
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return ctx.Err() == nil
	}
}

// pause is the time until the next survey.
func (l *Loop) pause() time.Duration { return l.state.Pace().Survey }

// survey looks at all namespaces, one after the other.
func (l *Loop) survey(ctx context.Context) error {
	begun, before := time.Now(), spent()
	spaces, err := l.list()
	seen := false
	for _, s := range spaces {
		if e := l.one(ctx, s); e == nil {
			seen = true
		} else if err == nil && len(spaces) == 1 {
			err = e
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	cpu := spent() - before
	l.state.Paced(cpu, cmp.Or(l.o.Every, min(max(cpu*surveyShare, shortestSurvey),
		longestSurvey)))
	if seen {
		l.state.Surveyed(time.Now(), time.Since(begun))
	}
	return err
}

// spent is the processor time of this process so far, 0 where the kernel does not tell.
func spent() time.Duration {
	d, err := clock.Process()
	if err != nil {
		return 0
	}
	return d
}

// one surveys a namespace.
func (l *Loop) one(ctx context.Context, s *space) error {
	o := observe.Options{Namespace: s.path, Name: l.o.Subject.Name, Root: l.o.Subject.Root}
	if l.o.All {
		o.Name = s.name
	}
	taken := time.Now()
	snapshot, err := observe.Observe(ctx, o)
	if err == nil && s.id.Inode != 0 &&
		snapshot.Read().Optional(host.System("netns")) != s.id.String() {
		err = errors.New("the namespace has ended")
	}
	if err != nil {
		if ctx.Err() == nil {
			now := time.Now()
			l.o.Tape.Failed(now, s.key, s.name, err.Error())
			l.state.Failed(now, s.key, s.name, err.Error())
		}
		return err
	}
	window := snapshot
	if !s.taken.IsZero() {
		window = observe.Since(s.before, snapshot, taken.Sub(s.taken))
	}
	s.before, s.taken = host.Baseline(snapshot), taken
	report, gauges := diagnose.CheckAll(window, diagnose.Options{})
	name := s.name
	if s.own && snapshot.Read().Optional(host.System("scope")) == "initial" {
		name = "host"
	}
	now, v := time.Now(), live.Survey{Key: s.key, Name: name, Own: s.own,
		Snapshot: window, Report: report, Gauges: gauges}
	l.o.Tape.Enter(now, v)
	l.state.Enter(now, v)
	return nil
}

// list finds the namespaces to survey, and lets those go that have ended.
func (l *Loop) list() ([]*space, error) {
	if !l.o.All {
		return l.only()
	}
	listing, err := netns.System().List()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*space
	var keys []string
	for _, ns := range listing.Namespaces[:min(len(listing.Namespaces), l.o.Namespaces)] {
		s := l.spaces[ns.ID.String()]
		if s == nil {
			s = &space{key: ns.ID.String(), name: nameOf(ns), own: ns.Own, id: ns.ID}
			l.spaces[s.key] = s
		}
		if s.path = ns.Path; ns.Own {
			s.path = ""
		}
		s.open()
		all, keys = append(all, s), append(keys, s.key)
	}
	for _, key := range l.drop(keys) {
		l.o.Tape.Gone(time.Now(), key)
	}
	closed := map[string]int{}
	for _, u := range listing.Unreadable {
		closed[u.Reason] += u.Count
	}
	l.state.Keep(time.Now(), keys, max(0, len(listing.Namespaces)-l.o.Namespaces), closed)
	return all, nil
}

// only is the one namespace that was asked for.
func (l *Loop) only() ([]*space, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.spaces[""]
	if s == nil {
		s = &space{name: l.o.Subject.Name, own: true, path: l.o.Subject.Namespace}
		if s.name == "" {
			s.name = "own"
		}
		l.spaces[""] = s
	}
	s.open()
	return []*space{s}, nil
}

// open makes the looker of a namespace, unless there is one. Without it there are no peaks.
func (s *space) open() {
	if s.looker != nil {
		return
	}
	looker, err := observe.OpenLooker(observe.Options{Namespace: s.path})
	if err != nil {
		return // the survey says why
	}
	if s.id.Inode != 0 && looker.ID != s.id {
		looker.Close() // the path leads to another one by now
		return
	}
	s.looker, s.id, s.asked = looker, looker.ID, time.Now()
}

// drop lets the namespaces go that are not among those to keep. l.mu is held.
func (l *Loop) drop(keep []string) (gone []string) {
	kept := map[string]bool{}
	for _, key := range keep {
		kept[key] = true
	}
	for key, s := range l.spaces {
		if !kept[key] {
			s.close()
			delete(l.spaces, key)
			gone = append(gone, key)
		}
	}
	return gone
}

func (s *space) close() {
	if s.looker != nil {
		s.looker.Close()
		s.looker = nil
	}
}

func (l *Loop) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(nil)
}

// looks looks at the listeners of all namespaces until ctx ends.
func (l *Loop) looks(ctx context.Context) {
	facts := countedFacts()
	every := shortestLook
	for sleep(ctx, every) {
		before := time.Now()
		l.look(facts)
		took := time.Since(before) // of the wall: the process may be surveying meanwhile
		every = max(shortestLook, min(took*lookShare, usualLook), took*lookShare/4)
		l.state.Looked(every)
	}
}

// countedFacts are the counters that tell of refusals.
func countedFacts() (facts []host.Fact) {
	for _, l := range limit.Catalogue() {
		facts = append(facts, l.Refusals...)
	}
	return facts
}

func (l *Loop) look(facts []host.Fact) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var queues []live.Queue
	for key, s := range l.spaces {
		if s.looker == nil || s.ended() {
			if s.looker != nil && l.o.All {
				now := time.Now()
				l.o.Tape.Gone(now, key)
				l.state.Gone(now, key)
			}
			s.close()
			continue
		}
		found, counts, err := s.looker.Look(facts)
		if err != nil {
			s.close() // the next survey opens it again
			continue
		}
		queues = queues[:0]
		for _, q := range found {
			queues = append(queues, live.Queue{Listener: q.Listener, Cookie: q.Cookie,
				Used: q.Used, Limit: q.Limit, Drops: q.Drops})
		}
		l.state.Look(key, time.Now(), queues, counts)
	}
}

// ended says whether the path leads elsewhere by now: a looker would keep a namespace from ending.
func (s *space) ended() bool {
	if s.path == "" || time.Since(s.asked) < alive {
		return false
	}
	s.asked = time.Now()
	id, err := netns.Identify(s.path)
	return err != nil || id != s.id
}

// nameOf is what people call a namespace, without a number that comes and goes.
func nameOf(ns netns.Namespace) string {
	switch {
	case len(ns.Names) > 0:
		return strings.Join(ns.Names, ",")
	case ns.Own:
		return "own"
	case ns.Comm != "":
		return ns.Comm
	}
	return "unnamed"
}
