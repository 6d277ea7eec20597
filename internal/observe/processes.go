package observe

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

const (
	shownProcesses = 1024
	// manyFiles is the number of descriptors from which a process without TCP sockets
	// is compared with its limit.
	manyFiles = 100
)

// processes records the processes of the subject that hold TCP sockets, and those that are close to
// their limit of descriptors all the same.
func (s *subject) processes(t *tally) {
	s.missProcesses(t.owners)
	shown := t.owners.shown()
	if len(shown) > shownProcesses {
		s.miss(fmt.Sprintf("%d further processes with fewer sockets are not shown",
			len(shown)-shownProcesses), host.All(host.ProcessKind))
		shown = shown[:shownProcesses]
	}
	groups := newGroups(s)
	for _, h := range shown {
		s.process(h, groups)
	}
	groups.write()
}

// missProcesses records why processes may be missing. How many is not said: it changes whenever
// somebody starts a program, and the reason does not.
func (s *subject) missProcesses(o *owners) {
	as, hint := user(), "; run as root to see owners"
	if as == "root" {
		hint = ""
	}
	switch {
	case o.err != nil:
		s.miss(why(o.err), host.All(host.ProcessKind))
	case o.starved != nil:
		s.miss(why(o.starved), host.All(host.ProcessKind))
	case o.hidden:
		s.miss("/proc hides the processes of other users from "+as+" (hidepid)"+hint,
			host.All(host.ProcessKind))
	case o.unreadable == 1:
		s.miss(o.closed.who()+" is not readable as "+as+hint, host.All(host.ProcessKind))
	case o.unreadable > 1:
		s.miss(o.closed.who()+" and others are not readable as "+as+hint,
			host.All(host.ProcessKind))
	case o.unlisted:
		s.miss(host.Unlisted, host.All(host.ProcessKind))
	}
}

// who names a process for people.
func (h *holder) who() string {
	return strings.TrimSpace(h.comm + " (pid " + strconv.Itoa(h.pid) + ")")
}

// shown lists the processes worth a row, those with most sockets first.
func (o *owners) shown() (out []*holder) {
	for _, h := range o.holders {
		if h.main != nil {
			continue
		}
		files := 0
		h.each(func(t *holder) { files += t.files })
		mayBeFull := files >= manyFiles && !h.outside
		if h.pid != os.Getpid() && (h.sockets > 0 || mayBeFull) {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, func(a, b *holder) int {
		return cmp.Or(cmp.Compare(b.sockets, a.sockets), cmp.Compare(b.files, a.files),
			cmp.Compare(a.pid, b.pid))
	})
	return out
}

// process records one process, unless it has ended or is of no interest.
func (s *subject) process(h *holder, groups *groups) {
	p, err := h.again(s.root)
	if err != nil {
		s.missStarved(err)
		return
	}
	defer p.Close()
	row := host.Fields{}.Add("name", h.comm)
	status, err := p.Status()
	if err == nil {
		row = row.AddInt("uid", int64(status.UIDs[procfs.EffectiveUID])).Add("state",
			string(rune(status.State)))
		row = confined(sysadmin(row, p, status), p)
	}
	limits, limitsErr := p.Limits()
	s.missStarved(cmp.Or(err, limitsErr))
	near := h.isNear(limits)
	if h.sockets == 0 && !near {
		return
	}
	row = groups.add(row, p)
	h.cgroup, _ = row.Lookup("cgroup")
	if stat, err := p.Stat(); err == nil {
		row = row.AddInt("start", int64(stat.StartTime))
	}
	if limitsErr == nil {
		row = limitFields(row, limits)
	}
	row = s.ownLimit(row, h, p)
	row = h.fileFields(row, near)
	if near {
		row = s.loose(row, h, p)
	}
	if n, ok := s.filesBelow(h, limits); ok {
		row = row.AddInt("files_below", n)
	}
	if err == nil {
		row = row.AddInt("threads", int64(status.Threads))
	}
	s.snapshot.Set(host.Fact{Kind: host.ProcessKind, Name: strconv.Itoa(h.pid)},
		h.socketFields(row).String())
}

// filesBelow counts the descriptors that are numbered below the soft limit, where there are
// more than that: the limit was lowered, and only the numbers below it are to be had.
func (s *subject) filesBelow(h *holder, limits procfs.ResourceLimits) (n int64, ok bool) {
	l, known := limits.Named(filesLimit)
	if !known || l.Soft.Unlimited || uint64(h.files) <= l.Soft.N {
		return 0, false
	}
	entries, err := os.ReadDir(filepath.Join(cmp.Or(string(s.root), "/proc"),
		strconv.Itoa(h.pid), "fd"))
	for _, e := range entries {
		if fd, err := strconv.ParseUint(e.Name(), 10, 64); err == nil && fd < l.Soft.N {
			n++
		}
	}
	return n, err == nil
}

// missStarved records that the processes are not whole, or not whole rows, where that is because
// maxconn itself has no descriptor left to read with.
func (s *subject) missStarved(err error) {
	if isStarved(err) {
		s.miss(why(err), host.All(host.ProcessKind))
	}
}

// isNear says whether a process without sockets is close to its limit of descriptors.
func (h *holder) isNear(limits procfs.ResourceLimits) bool {
	l, ok := limits.Named(filesLimit)
	most := 0
	h.each(func(t *holder) { most = max(most, t.files) })
	return ok && !l.Soft.Unlimited && uint64(most)*10 >= l.Soft.N*8
}

func limitFields(f host.Fields, limits procfs.ResourceLimits) host.Fields {
	if l, ok := limits.Named(filesLimit); ok {
		f = f.Add("soft", l.Soft.String()).Add("hard", l.Hard.String())
	}
	if l, ok := limits.Named(processesLimit); ok {
		f = f.Add("nproc", l.Soft.String()).Add("nproc_hard", l.Hard.String())
	}
	return f
}

// socketFields appends the sockets found, and how much was looked at.
func (h *holder) socketFields(f host.Fields) host.Fields {
	attributed, before, all := "all", 0, !h.unsure
	h.each(func(t *holder) { before, all = before+t.before, all && t.all })
	if !all {
		attributed = strconv.Itoa(before)
	}
	return h.states.fields(f.AddInt("sockets", int64(h.sockets)).Add("attributed", attributed))
}
