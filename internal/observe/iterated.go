package observe

import (
	"context"
	"os"

	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// mostIterated bounds the inodes that are remembered where every descriptor is seen: 16 MB.
const mostIterated = 1 << 20

// iterated asks the kernel for the holder of every socket where the descriptors of others are not
// for this user. Nothing changes where that takes more than this user or this kernel has. Where
// /proc can be read it is cheaper: a check of 146,250 sockets took 230 ms of processor time with
// the budget of descriptors, and 500 ms with this, a fourth of it for the types of the kernel
// (6.18).
func (o *owners) iterated(ctx context.Context) {
	closed := o.err == nil && !o.hidden && o.root == "" && o.unreadable > 0
	if !closed || bpf.MayTrace() || !bpf.Permitted() {
		return
	}
	programs, err := bpf.NewOwners(uint32(o.subject.Inode))
	if err != nil {
		return
	}
	defer programs.Close()
	all := &iteration{owners: &owners{root: o.root, subject: o.subject, partial: o.partial,
		watched: map[uint32]*watched{}, table: newInodeTable(mostIterated)},
		processes: map[uint32]*holder{}, tables: map[tableKey]bool{}}
	for inode := range o.watched {
		all.watched[inode] = &watched{}
	}
	if programs.Each(all.socket, all.end) != nil || ctx.Err() != nil {
		return
	}
	all.enterOwn()
	o.close()
	*o = *all.owners
	o.account()
}

// iteration fills owners from what the kernel tells of each table: its sockets, then the table.
type iteration struct {
	*owners
	processes map[uint32]*holder // by pid
	tables    map[tableKey]bool  // seen
	current   *holder            // whose table it is; nil before its first socket
	own       []uint32           // inodes of this process
}

// tableKey tells tables apart: processes may share one, too.
type tableKey struct {
	pid uint32
	id  uint64
}

// socket enters one of the current table. What this process holds is somebody else's, if it can be.
func (i *iteration) socket(h bpf.Held) {
	switch {
	case int(h.PID) == os.Getpid():
		i.own = append(i.own, h.Inode)
		return
	case i.tables[tableKey{h.PID, h.Table}]:
		return
	case i.current == nil:
		i.current = i.begin(h.PID)
	}
	i.found(i.current, h.Inode)
}

// begin makes the holder of a table.
func (i *iteration) begin(pid uint32) *holder {
	h := &holder{pid: int(pid), main: i.processes[pid], complete: true}
	if h.main == nil {
		i.processes[pid] = h
	} else {
		h.main.tables = append(h.main.tables, h)
	}
	i.holders = append(i.holders, h)
	h.value = uint32(len(i.holders)) << 1
	return h
}

// enterOwn makes this process the holder of what nobody else holds.
func (i *iteration) enterOwn() {
	var h *holder
	for _, inode := range i.own {
		if i.holderOf(inode) != nil {
			continue
		}
		if h == nil {
			h = i.begin(uint32(os.Getpid()))
			h.outside, h.files, h.read = true, len(i.own), len(i.own)
		}
		i.found(h, inode)
		i.named(h)
	}
}

// end sums up the current table. Processes of other namespaces are of no interest unless they hold
// sockets of this one.
func (i *iteration) end(t bpf.Table) {
	h := i.current
	i.current = nil
	inside, key := uint64(t.NetNS) == i.subject.Inode, tableKey{t.PID, t.ID}
	if i.tables[key] || int(t.PID) == os.Getpid() {
		return
	}
	i.tables[key] = true
	if h == nil && inside && t.Open() > 0 {
		h = i.begin(t.PID)
	}
	if h == nil {
		return
	}
	h.outside, h.files, h.read = !inside, t.Open(), t.Open()
	h.counts = procfs.Counts{Sockets: t.Sockets, Epolls: t.Epolls, Events: t.Events,
		Pipes: t.Pipes, Files: t.Files, Others: t.Others}
	h.first, h.firstCounts = h.read, h.counts
	if h.holds = h.holds || t.Sockets > 0; h.holds {
		h.whole().holds = true
		i.named(h)
	}
}
