package observe

import (
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/cgroup"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// groups are the control groups of the processes shown, each read once.
type groups struct {
	subject *subject
	tree    *cgroup.Tree
	rows    map[string]host.Fields // by path
	places  map[cgroup.Place]bool
	levels  map[level]bool
	reason  string
}

// level is a group and the controller whose figures of it are recorded. In version 2, and where
// version 1 mounts agree, one path has the figures of both.
type level struct{ controller, path string }

func newGroups(s *subject) *groups {
	g := &groups{
		subject: s,
		rows:    map[string]host.Fields{},
		places:  map[cgroup.Place]bool{},
		levels:  map[level]bool{},
	}
	b, err := s.root.Read("self/mountinfo")
	if err == nil {
		g.tree, err = cgroup.NewTree("/", b)
	}
	if err != nil {
		g.reason = whyNoFile("self/mountinfo", err)
	}
	return g
}

// add appends cgroup and unit of a process to its row, and reads its groups. The group named is the
// one that bounds its memory; another one may bound its threads in version 1.
func (g *groups) add(f host.Fields, p *procfs.Process) host.Fields {
	b, err := p.Read("cgroup")
	if err != nil {
		return f
	}
	in, err := cgroup.ParseMembership(b)
	if err != nil {
		return f
	}
	f = f.Add("unit", cgroup.Unit(cgroup.UnitPath(in)))
	if g.tree == nil {
		return f
	}
	memory, memoryErr := g.tree.Locate("memory", in)
	if memoryErr == nil {
		f = f.Add("cgroup", memory.Path)
		g.readMemory(memory)
	}
	pids, err := g.tree.Locate("pids", in)
	if err != nil {
		return f
	}
	if memoryErr != nil || pids.Path != memory.Path {
		f = f.Add("pids_cgroup", pids.Path)
	}
	g.readPids(pids)
	return f
}

func (g *groups) readMemory(place cgroup.Place) {
	if g.places[place] {
		return
	}
	g.places[place] = true
	for _, l := range g.tree.Memory(place).Levels {
		row, begun := g.begin(place, l.Path)
		if !begun {
			continue
		}
		row = addLimit(row, "memory_max", l.Limit)
		row = addAmount(row, "memory_current", l.Usage)
		row = addAmount(row, "memory_file", l.File)
		row = addAmount(row, "memory_sock", l.Sockets)
		if place.Version == 1 {
			row = addAmount(row, "memory_failcnt", l.Hits)
		} else {
			row = addAmount(row, "memory_events_max", l.Hits)
		}
		g.rows[l.Path] = addAmount(row, "memory_events_oom", l.OOMKills)
	}
}

func (g *groups) readPids(place cgroup.Place) {
	if g.places[place] {
		return
	}
	g.places[place] = true
	for _, l := range g.tree.Pids(place).Levels {
		row, begun := g.begin(place, l.Path)
		if !begun {
			continue
		}
		row = addLimit(row, "pids_max", l.Limit)
		row = addAmount(row, "pids_current", l.Usage)
		g.rows[l.Path] = addAmount(row, "pids_events_max", l.Refused)
	}
}

// begin is the row of a path to write on, or false where the controller's figures are in it
// already: groups share their ancestors.
func (g *groups) begin(place cgroup.Place, path string) (row host.Fields, ok bool) {
	key := level{place.Controller, path}
	if g.levels[key] {
		return nil, false
	}
	g.levels[key] = true
	if row, ok = g.rows[path]; ok {
		return row, true
	}
	return host.Fields{}.AddInt("version", int64(place.Version)), true
}

// addLimit appends a limit, "max" where there is none.
func addLimit(f host.Fields, name string, a cgroup.Amount) host.Fields {
	if a.Err == nil && a.Unlimited {
		return f.Add(name, "max")
	}
	return addAmount(f, name, a)
}

func addAmount(f host.Fields, name string, a cgroup.Amount) host.Fields {
	if !a.Known() {
		return f
	}
	return f.AddInt(name, count(a.N))
}

// write records the groups.
func (g *groups) write() {
	if g.reason != "" {
		g.subject.miss(g.reason, host.All(host.CgroupKind))
	}
	for path, row := range g.rows {
		g.subject.snapshot.Set(host.Fact{Kind: host.CgroupKind, Name: path}, row.String())
	}
}
