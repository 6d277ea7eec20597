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
		row, ok := r.Row(host.ProcessKind, strconv.FormatInt(pid, 10))
		if !ok {
			f.ownerless = true
			continue
		}
		f.uid, f.cgroups = row.Text("uid"),
			[]string{row.Text("cgroup"), row.Text("pids_cgroup")}
	}
	return f
}

// listeners finds the flows that the words of a goal mean.
type listeners struct {
	flows  []flow
	byName map[string][]int
	byPort map[uint16][]int
}

func newListeners(flows []flow) listeners {
	l := listeners{flows, map[string][]int{}, map[uint16][]int{}}
	for i, f := range flows {
		put(l.byName, f.listener, i)
		if at, err := netip.ParseAddrPort(f.listener); err == nil {
			put(l.byPort, at.Port(), i)
		}
	}
	return l
}

// of are the flows of a listener by its name, or by its port (":443", "443"), in their order.
func (l listeners) of(goal string) (found []flow) {
	places := slices.Clone(l.byName[goal])
	if port, err := strconv.ParseUint(strings.TrimPrefix(goal, ":"), 10, 16); err == nil {
		places = append(places, l.byPort[uint16(port)]...)
	}
	slices.Sort(places)
	for _, i := range slices.Compact(places) {
		found = append(found, l.flows[i])
	}
	return found
}
