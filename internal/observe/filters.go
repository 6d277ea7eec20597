package observe

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/linux/cgroup"
	"github.com/maxconn/maxconn/internal/linux/lsm"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// mostFiltered is of how many cgroups the programs are asked for: nine calls each.
const mostFiltered = 2048

// filters are the eBPF programs that apply in the cgroups of the processes shown.
type filters struct {
	groups map[string][]string        // numbers of programs, by the cgroup's directory
	asked  map[string]bool            // cgroups whose own programs have been placed
	hooks  map[uint32]map[string]bool // of a program
	at     map[uint32]string          // the cgroup that it is attached to
	why    string                     // why not all are known
}

func newFilters() filters {
	return filters{map[string][]string{}, map[string]bool{}, map[uint32]map[string]bool{},
		map[uint32]string{}, ""}
}

// filter appends the programs that decide on what a process does. Sockets keep the cgroup that
// they were made in; that of the process is where connect() looks (kernel/bpf/cgroup.c
// __cgroup_bpf_run_filter_sock_addr takes that of the socket, which is the process's own but for
// sockets that were handed over).
func (g *groups) filter(f host.Fields, in []cgroup.Membership) host.Fields {
	if g.subject.options.Root != "" {
		return f // programs are the kernel's, and that tree is not
	}
	levels, err := g.tree.Unified(in)
	for isElsewhere(err) && g.views.next(g.tree) {
		levels, err = g.tree.Unified(in)
	}
	switch {
	case err != nil:
		g.filters.miss(err.Error())
		return f
	case len(levels) == 0:
		return f
	}
	return f.Add("filters", strings.Join(g.filters.of(levels), ","))
}

// of are the numbers of the programs that apply in a cgroup, whose ancestors follow it.
func (x *filters) of(levels []cgroup.Group) []string {
	dir := levels[0].Dir
	if known, ok := x.groups[dir]; ok {
		return known
	}
	if len(x.groups) >= mostFiltered {
		x.miss("more than " + strconv.Itoa(mostFiltered) + " cgroups")
		return nil
	}
	x.groups[dir] = nil
	all, err := bpf.Effective(dir)
	if err != nil && !errors.Is(err, bpf.ErrUnsupported) {
		x.miss(why(err))
	}
	for _, p := range all {
		if x.hooks[p.ID] == nil {
			x.hooks[p.ID] = map[string]bool{}
		}
		x.hooks[p.ID][p.Hook] = true
		if id := strconv.FormatUint(uint64(p.ID), 10); !slices.Contains(x.groups[dir], id) {
			x.groups[dir] = append(x.groups[dir], id)
		}
	}
	if len(all) > 0 {
		x.place(levels)
	}
	return x.groups[dir]
}

// place notes which cgroup each program is attached to.
func (x *filters) place(levels []cgroup.Group) {
	for _, l := range levels {
		if x.asked[l.Dir] {
			continue
		}
		x.asked[l.Dir] = true
		own, _ := bpf.Attached(l.Dir) // without it the place stays unknown
		for _, p := range own {
			x.at[p.ID] = l.Path
		}
	}
}

func (x *filters) miss(reason string) {
	if x.why == "" {
		x.why = host.Unasked + ": " + reason
	}
}

// write records the programs, and those of the BPF security module.
func (x *filters) write(s *subject) {
	for id, hooks := range x.hooks {
		row := host.Fields{}.Add("hook", strings.Join(sorted(hooks), ","))
		p, err := bpf.Lookup(id)
		if err != nil && errors.Is(err, fs.ErrNotExist) {
			continue // it has been taken away meanwhile
		}
		if err != nil {
			p.Decides = bpf.Unread
		}
		row = row.Add("program", p.Name).Add("at", x.at[id]).Add("refuses",
			string(p.Decides))
		s.filterRow(id, row)
	}
	if x.why != "" {
		s.miss(x.why, host.All(host.FilterKind))
	}
}

func (s *subject) filterRow(id uint32, row host.Fields) {
	s.snapshot.Set(host.Fact{Kind: host.FilterKind,
		Name: strconv.FormatUint(uint64(id), 10)}, row.String())
}

// security records which security modules are active, and the programs of that of BPF.
func (s *subject) security() {
	modules, err := lsm.Active(s.sys(), s.options.Root == "")
	if err != nil {
		s.miss(why(err), host.System("lsm"))
		return
	}
	s.snapshot.Set(host.System("lsm"), strings.Join(modules, " "))
	if !slices.Contains(modules, "bpf") || s.options.Root != "" {
		return
	}
	programs, err := bpf.LSM()
	if err != nil {
		s.miss(host.Unasked+": "+why(err), host.All(host.FilterKind))
	}
	for _, p := range programs {
		s.filterRow(p.ID, host.Fields{}.Add("hook", "lsm").Add("program",
			p.Name).Add("refuses", string(bpf.MayRefuse)))
	}
}

// confined is what a security module calls the rights of a process (proc_pid_attr(5)), "" where
// none confines it.
func confined(f host.Fields, p *procfs.Process) host.Fields {
	b, err := p.Read("attr/current")
	if err != nil {
		return f // no module that has such labels
	}
	label := strings.TrimRight(string(b), "\x00\n")
	if strings.HasPrefix(label, "unconfined") || strings.Contains(label, ":unconfined_t:") ||
		strings.HasSuffix(label, "(complain)") || label == "kernel" {
		return f
	}
	return f.Add("confined", label)
}
