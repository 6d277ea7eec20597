package observe

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/cgroup"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// groups are the control groups of the processes shown, each read once.
type groups struct {
	subject *subject
	tree    *cgroup.Tree
	views   views
	rows    map[string]host.Fields // by path
	places  map[cgroup.Place]bool
	levels  map[level]bool
	reason  string // why groups are missing, the first
	filters filters
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
		filters: newFilters(),
	}
	b, err := s.root.Read("self/mountinfo")
	if err == nil {
		g.tree, err = cgroup.NewTree("/", b)
	}
	if err != nil {
		g.reason = whyNoFile("self/mountinfo", err)
	}
	g.views.root = s.root
	return g
}

// add appends cgroup and unit of a process to its row, and reads its groups. The group named is the
// one that bounds its memory; another one may bound its threads in version 1. A process whose group
// could not be reached has the field unseen_cgroup.
func (g *groups) add(f host.Fields, p *procfs.Process) host.Fields {
	b, err := p.Read("cgroup")
	if errors.Is(err, fs.ErrNotExist) || isGone(err) {
		return f // a kernel without cgroups
	}
	in, parseErr := cgroup.ParseMembership(b)
	if err = cmp.Or(err, parseErr); err != nil {
		return g.miss(f, whyNoFile("cgroup of a process", err))
	}
	f = f.Add("unit", cgroup.Unit(cgroup.UnitPath(in)))
	if g.tree == nil {
		return g.miss(f, g.reason)
	}
	f = g.filter(f, in)
	memory, memoryErr := g.locate("memory", in)
	if g.tree.Frozen(in) {
		f = f.Add("frozen", "yes")
	}
	switch {
	case memoryErr == nil:
		f = f.Add("cgroup", memory.Path)
		g.readMemory(memory)
	case g.mayBind(memoryErr, "memory", in):
		f = g.miss(f, memoryErr.Error())
	}
	pids, err := g.locate("pids", in)
	if err != nil {
		return f
	}
	if memoryErr != nil || pids.Path != memory.Path {
		f = f.Add("pids_cgroup", pids.Path)
	}
	g.readPids(pids)
	return f
}

// miss notes that a group of a process could not be seen.
func (g *groups) miss(f host.Fields, why string) host.Fields {
	g.reason = cmp.Or(g.reason, why)
	return f.Add("unseen_cgroup", "yes")
}

// locate finds a group where this process sees it, else where one of its ancestors does.
func (g *groups) locate(controller string, in []cgroup.Membership) (cgroup.Place, error) {
	place, err := g.tree.Locate(controller, in)
	for isElsewhere(err) && g.views.next(g.tree) {
		place, err = g.tree.Locate(controller, in)
	}
	return place, err
}

// isElsewhere says whether the hierarchy has the group, and it cannot be reached so far.
func isElsewhere(err error) bool {
	return errors.Is(err, cgroup.ErrNotMounted) || errors.Is(err, cgroup.ErrOutside)
}

// initialCgroup is the inode of the first cgroup namespace (include/linux/proc_ns.h
// PROC_CGROUP_INIT_INO).
const initialCgroup = "cgroup:[4026531835]"

// mayBind says whether a group that could not be located may limit anything. The root of a
// hierarchy does not (mm/memcontrol.c, CFTYPE_NOT_ON_ROOT), and it is called "/" where the
// cgroup namespace is the first; elsewhere that is the group of a container.
func (g *groups) mayBind(err error, controller string, in []cgroup.Membership) bool {
	if !isElsewhere(err) {
		return false
	}
	own, linkErr := os.Readlink(filepath.Join(cmp.Or(string(g.subject.root), "/proc"),
		"self/ns/cgroup"))
	return linkErr != nil || own != initialCgroup || cgroup.PathOf(controller, in) != "/"
}

func (g *groups) readMemory(place cgroup.Place) {
	if g.places[place] {
		return
	}
	g.places[place] = true
	memory := g.tree.Memory(place)
	for i, l := range memory.Levels {
		row, begun := g.begin(place, l.Path, l.Dir)
		if !begun {
			continue
		}
		if memory.Above && i == len(memory.Levels)-1 {
			row = row.Add("above", "unseen")
		}
		row = addLimit(row, "memory_max", l.Limit)
		row = addAmount(row, "memory_current", l.Usage)
		row = addAmount(row, "memory_file", l.File)
		row = addAmount(row, "memory_slab", l.Slab)
		row = addAmount(row, "memory_anon", l.Swappable)
		row = addLimit(row, "memory_kmem_max", l.KernelLimit)
		row = addAmount(row, "memory_kmem", l.Kernel)
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
		row, begun := g.begin(place, l.Path, l.Dir)
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
func (g *groups) begin(place cgroup.Place, path, dir string) (row host.Fields, ok bool) {
	key := level{place.Controller, path}
	if g.levels[key] {
		return nil, false
	}
	g.levels[key] = true
	if row, ok = g.rows[path]; ok {
		return row, true
	}
	row = host.Fields{}.AddInt("version", int64(place.Version))
	if info, err := os.Stat(dir); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			row = row.AddInt("id", count(st.Ino)) // no other has had it (kernfs)
		}
	}
	return row, true
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

// write records the groups, and lets go of what they were read through.
func (g *groups) write() {
	g.filters.write(g.subject)
	g.views.close()
	if g.reason != "" {
		g.subject.miss(g.reason, host.All(host.CgroupKind))
	}
	for path, row := range g.rows {
		g.subject.snapshot.Set(host.Fact{Kind: host.CgroupKind, Name: path}, row.String())
	}
}
