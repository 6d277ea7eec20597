// Package trace reports what is refused on this host while it happens: by programs in the kernel
// that count refusals (package bpf), and by counters of listeners and network namespaces where the
// kernel has no event. It changes nothing, and nothing of it outlives the process.
package trace

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/refusal"
)

// Space is a network namespace that is looked at.
type Space struct {
	Path  netns.Path // "" for the own one
	Name  string     // as lines call it
	Inode uint32
}

// Options say what to look at.
type Options struct {
	Spaces []Space
	All    bool // events of every network namespace, not of Spaces alone
	Files  bool // EMFILE and ENFILE: a tax on every system call of the host
	Filter refusal.Filter
	Every  time.Duration // how often lines come; 0 means a second
}

// mostLines are shown each time; what is left out is counted.
const mostLines = 200

// Trace is under way from Start until Close. Not for concurrent use.
type Trace struct {
	options Options
	events  *bpf.Refusals // nil where the kernel reports nothing to this process
	spaces  []*space
	names   map[uint32]string // of network namespaces, by inode
	holders *holders
	tally   *refusal.Tally
	sum     refusal.Sum
	begun   time.Time
	clock   time.Duration // bpf.SinceBoot at begun
}

// Start begins. What cannot be seen is in the sum, not an error.
func Start(o Options) *Trace {
	if o.Every == 0 {
		o.Every = time.Second
	}
	t := &Trace{options: o, names: map[uint32]string{}, holders: newHolders(),
		tally: refusal.NewTally(), sum: refusal.Sum{Schema: refusal.SumSchema}}
	for _, s := range o.Spaces {
		t.names[s.Inode] = s.Name
	}
	only := uint32(0)
	if !o.All && len(o.Spaces) == 1 {
		only = o.Spaces[0].Inode
	}
	var err error
	t.events, err = bpf.NewRefusals(bpf.RefusalOptions{NetNS: only, Files: o.Files,
		Reasons: refusal.Reasons()})
	if err != nil {
		t.miss("no events: " + err.Error())
	} else {
		for _, m := range t.events.Missing {
			t.miss(m.Error())
		}
	}
	for _, s := range o.Spaces {
		opened, err := openSpace(s)
		if err != nil {
			t.miss("counters of network namespace " + s.Name + ": " + err.Error())
			continue
		}
		t.spaces = append(t.spaces, opened)
	}
	t.begun, t.clock = time.Now(), bpf.SinceBoot()
	return t
}

func (t *Trace) miss(why string) { t.sum.Missing = append(t.sum.Missing, why) }

// Missing says what cannot be seen, and why.
func (t *Trace) Missing() []string { return t.sum.Missing }

// Close ends it.
func (t *Trace) Close() {
	if t.events != nil {
		t.events.Close()
	}
	for _, s := range t.spaces {
		s.close()
	}
	t.holders.close()
}

// Run hands out lines until ctx ends, and then returns the sum. The error is that of show.
func (t *Trace) Run(ctx context.Context, show func(refusal.Line) error) (refusal.Sum, error) {
	tick := time.NewTicker(t.options.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			err := t.look(show)
			return t.finished(), err
		case <-tick.C:
			if err := t.look(show); err != nil {
				return t.finished(), err
			}
		}
	}
}

// look hands out what has happened since the last one, the oldest first.
func (t *Trace) look(show func(refusal.Line) error) error {
	for _, s := range t.spaces {
		// One that ends keeps what the last look saw.
		_ = s.look()
	}
	var events []bpf.Refusal
	if t.events != nil {
		if err := t.events.Read(func(r bpf.Refusal) {
			events = append(events, r)
		}); err != nil {
			return err
		}
	}
	slices.SortFunc(events, func(a, b bpf.Refusal) int { return cmp.Compare(a.Last, b.Last) })
	var unnamed []uint32
	for _, r := range events {
		if r.PID == 0 {
			unnamed = append(unnamed, r.Inode)
		}
		for _, s := range t.spaces {
			if s.Inode == r.NetNS {
				s.attributed(r)
			}
		}
	}
	t.holders.resolve(unnamed)
	var lines []refusal.Line
	for _, r := range events {
		if line, ok := t.line(r); ok {
			lines = append(lines, line)
		}
	}
	for _, s := range t.spaces {
		lines = append(lines, t.dropsOf(s)...)
	}
	return t.show(lines, show)
}

// show hands out the lines that are wanted, and counts all.
func (t *Trace) show(lines []refusal.Line, show func(refusal.Line) error) error {
	shown := 0
	for _, line := range lines {
		t.tally.Add(line)
		if !t.options.Filter.Wants(line) {
			continue
		}
		if shown++; shown > mostLines {
			t.sum.LeftOut += line.Count
			continue
		}
		if err := show(line); err != nil {
			return err
		}
	}
	return nil
}

// finished is the sum of all that was seen.
func (t *Trace) finished() refusal.Sum {
	for _, s := range t.spaces {
		s.counted(t.tally)
	}
	t.sum.Refused = t.tally.Refused()
	t.sum.Seconds = time.Since(t.begun).Seconds()
	if t.events == nil {
		return t.sum
	}
	totals, err := t.events.Totals()
	if err != nil {
		t.miss("lost events: " + err.Error())
	}
	for _, total := range totals {
		t.sum.Lost += total.Lost
	}
	return t.sum
}

// spaceName is how lines call a network namespace.
func (t *Trace) spaceName(inode uint32) string {
	if name, ok := t.names[inode]; ok {
		return name
	}
	return "net:[" + strconv.FormatUint(uint64(inode), 10) + "]"
}
