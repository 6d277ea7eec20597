package lint

import (
	"slices"
	"sort"

	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/sysctld"
)

// precedence is the settings of one key that are read together: who has the last word, and
// who stands below. -1 is nobody.
type precedence struct {
	taken    []int // in systemd's order, without those that the kernel refuses
	last     int   // the one that wins with systemd
	other    int   // the last whose value is another than the winner's
	refused  int   // one that the kernel refuses and that systemd would write
	excluded int   // "-key" where that has the last word with systemd
	procps   int   // the one that wins with sysctl --system
}

func emptyPrecedence() *precedence {
	return &precedence{last: -1, other: -1, refused: -1, excluded: -1, procps: -1}
}

// precedence is what setting i stands among; it is empty where nothing overrides it. All
// refusals are known by then.
func (o *order) precedence(i int) *precedence {
	s := o.settings[i]
	if !oneOfForms(s.form, asConf, asExclude, asWrite, asLimits, asUnit, asQueue) &&
		s.block == "" ||
		o.branches[s.file] || o.apart[s.file] && s.block == "" || s.world.scope != "" ||
		s.where != "" {
		// in a tree, and on other hosts, two names of one setting belong to two things
		return emptyPrecedence()
	}
	key := o.keys[i]
	if o.rivals[key] == nil { // it does nothing, whatever it sets
		return emptyPrecedence()
	}
	if o.precedences[key] == nil {
		o.precedences[key] = o.build(o.rivals[key])
	}
	return o.precedences[key]
}

func (o *order) build(all []int) *precedence {
	l := emptyPrecedence()
	for _, j := range all {
		if !o.refused[j] && !o.skipped(o.settings[j].file) &&
			o.settings[j].form != asExclude {
			l.taken = append(l.taken, j)
		}
	}
	slices.SortFunc(l.taken, func(a, b int) int { return o.compare(a, b, o.systemd) })
	if oneOfForms(o.settings[all[0]].form, asConf, asExclude) {
		o.decide(l, all)
	} else if n := len(l.taken); n > 0 {
		l.last, l.procps = l.taken[n-1], l.taken[n-1]
	}
	for _, j := range l.taken {
		if l.last >= 0 && !o.same(l.last, j) {
			l.other = j
		}
	}
	return l
}

// decide asks sysctld for the winners: of all lines, and of those that the kernel takes.
func (o *order) decide(l *precedence, all []int) {
	taken := slices.DeleteFunc(slices.Clone(all), func(j int) bool { return o.refused[j] })
	var exclusion bool
	if l.last, exclusion = o.winner(sysctld.Systemd, o.systemd, taken); exclusion {
		l.last, l.excluded = -1, l.last
	} else if l.last < 0 {
		l.excluded = o.lastExclusion(taken)
	}
	if l.procps, exclusion = o.winner(sysctld.Procps, o.procps, taken); exclusion {
		l.procps = -1
	}
	// a name that is not there is nobody's rival
	there := slices.DeleteFunc(slices.Clone(all), func(j int) bool { return o.absent[j] })
	if len(taken) < len(there) {
		if j, _ := o.winner(sysctld.Systemd, o.systemd, there); j >= 0 && o.refused[j] {
			l.refused = j
		}
	}
}

// winner is the setting that a program gives the last word, or the exclusion that leaves
// the key alone.
func (o *order) winner(p sysctld.Program, by reading, among []int) (i int, exclusion bool) {
	among = slices.DeleteFunc(slices.Clone(among), func(j int) bool {
		return o.atBoot[o.settings[j].file] && by.turn[o.settings[j].file] < 0
	})
	slices.SortStableFunc(among, func(a, b int) int { return o.compareRead(a, b, by) })
	lines := make([]sysctld.Setting, len(among))
	for n, j := range among {
		lines[n] = o.lineFor(j, n)
	}
	if len(among) == 0 {
		return -1, false
	}
	w := sysctld.Winners(p, lines, knob.Main(o.settings[among[0]].key))
	if w.Line == 0 {
		return -1, false
	}
	return among[w.Line-1], !w.Set
}

// lastExclusion is the last "-key" or "-pattern" that systemd-sysctl reads.
func (o *order) lastExclusion(among []int) int {
	last := -1
	for _, j := range among {
		if o.settings[j].form == asExclude && !o.skipped(o.settings[j].file) &&
			(last < 0 || o.compareRead(last, j, o.systemd) < 0) {
			last = j
		}
	}
	return last
}

// lineFor is a setting as sysctld takes it; its line is its place in the list, from 1.
// Names that sysctld does not know as those of one value (before 4.9) are brought together.
func (o *order) lineFor(j, n int) sysctld.Setting {
	s := o.settings[j]
	key := s.key
	if len(knob.Names(key)) == 1 {
		key = knob.Main(key)
	}
	if s.glob != "" {
		key = s.glob
	}
	return sysctld.Setting{
		File:    "x",
		Line:    n + 1,
		Key:     key,
		Value:   s.value,
		Exclude: s.form == asExclude,
		Lenient: s.optional,
	}
}

// differing is the last setting after i with another value than i.
func (o *order) differing(i int, l *precedence) int {
	switch {
	case l.last >= 0 && i != l.last && !o.same(i, l.last):
		return l.last
	case l.last >= 0 && i != l.last && l.other >= 0 && o.before(l.other, l.last, o.systemd):
		return o.after(i, l.other, o.systemd)
	}
	return -1
}

// duplicate is an earlier line with the same value and nothing else between.
func (o *order) duplicate(i int, l *precedence) int {
	n := sort.Search(len(l.taken), func(k int) bool {
		return !o.before(l.taken[k], i, o.systemd)
	})
	if n > 0 && o.same(i, l.taken[n-1]) {
		return l.taken[n-1]
	}
	return -1
}
