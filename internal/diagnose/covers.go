package diagnose

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// flow is one kind of connection: who opens or takes it, from where to where.
type flow struct {
	direction           limit.Direction
	source, destination string  // outbound; empty = any
	listener            string  // inbound
	holders             []int64 // who has the listener open
	pids                []int64 // who has the connections
	ownerless           bool    // it has a process, whose descriptor limit could not be seen
	uid                 string
	cgroups             []string // one for each hierarchy of version 1
	now                 int64    // connections there now, without TIME_WAIT and half-open ones
}

// withProcess fills in what the snapshot knows of the flow's processes.
func (f flow) withProcess(r *host.Reader) flow {
	for _, pid := range f.pids {
		if row, ok := r.Row(host.ProcessKind, strconv.FormatInt(pid, 10)); ok {
			f.uid, f.cgroups = row.Text("uid"), []string{row.Text("cgroup"), row.Text("pids_cgroup")}
		}
	}
	return f
}

// covers says whether a gauge bounds connections of this flow.
func (f flow) covers(g limit.Gauge) bool {
	if g.Bounds&f.direction == 0 {
		return false
	}
	switch g.Limit.Scope {
	case limit.Peer:
		return f.coversPeer(g.Subject)
	case limit.Listener:
		return g.Subject.Listener == f.listener
	case limit.User:
		return f.uid != "" && g.Subject.UID == f.uid
	}
	switch {
	case g.Subject.PID != 0:
		return hasPID(f.pids, g.Subject.PID)
	case g.Subject.Cgroup != "":
		return slices.ContainsFunc(f.cgroups, func(c string) bool { return within(c, g.Subject.Cgroup) })
	}
	return !f.spared(g)
}

// spared says whether a gauge of all processes binds none of those of the flow.
func (f flow) spared(g limit.Gauge) bool {
	for _, pid := range f.pids {
		if !slices.Contains(g.Spares, pid) {
			return false
		}
	}
	return len(f.pids) > 0
}

// maySpare says whether it is not known of one of the processes.
func (f flow) maySpare(g limit.Gauge) bool {
	return slices.ContainsFunc(f.pids, func(pid int64) bool { return slices.Contains(g.MaySpare, pid) })
}

// coversPeer prefers the gauge of the very pair; a flow without connections
// has that of any destination.
func (f flow) coversPeer(s limit.Subject) bool {
	switch s.Kind {
	case limit.AnyPeer:
		return f.destination == ""
	case limit.Source:
		return s.Source == f.source
	}
	return s.Source == f.source && s.Destination == f.destination
}

func hasPID(pids []int64, pid int64) bool {
	for _, p := range pids {
		if p == pid {
			return true
		}
	}
	return false
}

// within says whether the cgroup is the other or lies below it.
func within(cgroup, ancestor string) bool {
	return cgroup == ancestor || ancestor == "/" || strings.HasPrefix(cgroup, strings.TrimSuffix(ancestor, "/")+"/")
}

// meansListener says whether a goal's words (":443", "0.0.0.0:443", "443") name a listener.
func meansListener(goal, listener string) bool {
	if goal == listener {
		return true
	}
	at, err := netip.ParseAddrPort(listener)
	if err != nil {
		return false
	}
	want, err := strconv.ParseUint(strings.TrimPrefix(goal, ":"), 10, 16)
	return err == nil && uint16(want) == at.Port()
}
