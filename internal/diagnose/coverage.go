package diagnose

import (
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/limit"
)

// coverage finds the gauges that bound a flow without looking at all of them: a host has
// thousands of flows, and about as many gauges that speak of one flow each. Its lists hold
// places of gauges.
type coverage struct {
	gauges   []limit.Gauge
	peer     map[[2]string][]int // of a source and a destination; "" for any
	listener map[string][]int
	user     map[string][]int
	process  map[int64][]int
	cgroup   *branch
	general  []general
}

// general is a gauge that bounds every flow but those of some processes, or none without a process.
type general struct {
	at      int
	spares  map[int64]bool
	someone bool
}

func newCoverage(gauges []limit.Gauge) *coverage {
	c := &coverage{
		gauges: gauges, peer: map[[2]string][]int{}, listener: map[string][]int{},
		user: map[string][]int{}, process: map[int64][]int{}, cgroup: &branch{},
	}
	for i := range gauges {
		c.add(i, &gauges[i])
	}
	return c
}

// add enters a gauge where of looks for it.
func (c *coverage) add(i int, g *limit.Gauge) {
	s := g.Subject
	switch {
	case g.Bounds == 0:
	case g.Blind() && s == (limit.Subject{}):
		c.general = append(c.general, general{at: i, someone: ofProcesses(g.Limit)})
	case g.Limit.Scope == limit.Peer:
		put(c.peer, [2]string{s.Source, s.Destination}, i)
	case g.Limit.Scope == limit.Listener:
		put(c.listener, s.Listener, i)
	case g.Limit.Scope == limit.User:
		put(c.user, s.UID, i)
	case s.PID != 0:
		put(c.process, s.PID, i)
	case s.Cgroup != "":
		c.cgroup.add(s.Cgroup, i)
	default:
		c.general = append(c.general, general{at: i, spares: setOf(g.Spares)})
	}
}

func put[K comparable](m map[K][]int, key K, i int) { m[key] = append(m[key], i) }

func setOf(ids []int64) map[int64]bool {
	set := make(map[int64]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// of are the places of all gauges that bound connections of this flow, ascending.
func (c *coverage) of(f flow) []int {
	found := c.ofPeer(f)
	found = append(found, c.listener[f.listener]...)
	if f.uid != "" {
		found = append(found, c.user[f.uid]...)
	}
	for _, pid := range f.pids {
		found = append(found, c.process[pid]...)
	}
	for _, path := range f.cgroups {
		found = c.cgroup.above(path, found)
	}
	for _, g := range c.general {
		if !g.spare(f) {
			found = append(found, g.at)
		}
	}
	found = slices.DeleteFunc(found, func(i int) bool {
		return c.gauges[i].Bounds&f.direction == 0
	})
	slices.Sort(found)
	return slices.Compact(found)
}

// ofPeer prefers the gauge of the very pair; a flow without connections has that of any
// destination.
func (c *coverage) ofPeer(f flow) (found []int) {
	found = append(found, c.peer[[2]string{f.source, f.destination}]...)
	switch {
	case f.source == "":
	case f.destination == "":
		found = append(found, c.peer[[2]string{}]...)
	default:
		found = append(found, c.peer[[2]string{f.source, ""}]...)
	}
	return found
}

// ofProcesses says whether a limit binds flows through the processes that have them.
func ofProcesses(l *limit.Limit) bool {
	return l.Scope == limit.Process || l.Scope == limit.Cgroup || l.Scope == limit.User
}

// spare says whether a gauge of all processes binds none of those of the flow.
func (g general) spare(f flow) bool {
	if g.someone {
		return len(f.pids) == 0 && !f.ownerless
	}
	for _, pid := range f.pids {
		if !g.spares[pid] {
			return false
		}
	}
	return len(f.pids) > 0
}

// branch is a part of a cgroup's path, with the gauges of the cgroup and of those below.
type branch struct {
	gauges []int
	below  map[string]*branch
}

// add enters a gauge of a cgroup. The root's bounds whatever has a process; its path has no parts.
func (b *branch) add(cgroup string, i int) {
	for part := range parts(cgroup) {
		next := b.below[part]
		if next == nil {
			next = &branch{}
			if b.below == nil {
				b.below = map[string]*branch{}
			}
			b.below[part] = next
		}
		b = next
	}
	b.gauges = append(b.gauges, i)
}

// above adds the gauges of a cgroup and of all that it lies in.
func (b *branch) above(cgroup string, found []int) []int {
	found = append(found, b.gauges...)
	for part := range parts(cgroup) {
		if b = b.below[part]; b == nil {
			break
		}
		found = append(found, b.gauges...)
	}
	return found
}

// parts are those of a path, without what stands before the first slash and behind the last.
func parts(cgroup string) func(func(string) bool) {
	return func(yield func(string) bool) {
		rest := strings.Trim(cgroup, "/")
		for part := ""; rest != ""; {
			if part, rest, _ = strings.Cut(rest, "/"); !yield(part) {
				return
			}
		}
	}
}
