package trace

import (
	"github.com/maxconn/maxconn/internal/linux/bpf"
	"github.com/maxconn/maxconn/internal/linux/cgroup"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/refusal"
)

// mostHolders and mostUnits bound what is remembered; beyond, it begins anew.
const (
	mostHolders = 1 << 14
	mostUnits   = 1 << 12
)

// holders names the processes of sockets and events.
type holders struct {
	sockets map[uint32]uint32 // inode -> pid; 0: nobody was found
	units   map[process]string
	owners  *bpf.Owners // nil until one is looked for, or where the kernel has no iterator
	none    bool
}

// process is one, by what cannot come back for long.
type process struct {
	pid  int64
	name string
}

func newHolders() *holders {
	return &holders{sockets: map[uint32]uint32{}, units: map[process]string{}}
}

func (h *holders) close() {
	if h.owners != nil {
		h.owners.Close()
	}
}

// resolve looks for the holders of all sockets that nobody knows yet, in one pass.
func (h *holders) resolve(inodes []uint32) {
	missing := map[uint32]bool{}
	for _, inode := range inodes {
		if _, known := h.sockets[inode]; inode != 0 && !known {
			missing[inode] = true
		}
	}
	if len(missing) == 0 || h.none {
		return
	}
	if h.owners == nil {
		var err error
		if h.owners, err = bpf.NewOwners(0); err != nil {
			h.none = true
			return
		}
	}
	if len(h.sockets) > mostHolders {
		clear(h.sockets)
	}
	for inode := range missing {
		h.sockets[inode] = 0
	}
	// A pass that fails leaves them unknown.
	_ = h.owners.Each(func(x bpf.Held) {
		if pid := h.sockets[x.Inode]; missing[x.Inode] && (pid == 0 || x.PID < pid) {
			h.sockets[x.Inode] = x.PID
		}
	}, func(bpf.Table) {})
}

// name fills in process and unit, as far as they are known.
func (h *holders) name(l *refusal.Line, inode uint32) {
	if l.PID == 0 && inode != 0 {
		l.PID = int64(h.sockets[inode])
	}
	if l.PID == 0 {
		return
	}
	p, err := procfs.Root("").Open(int(l.PID))
	if err != nil {
		l.Unit = h.units[process{l.PID, l.Process}] // it has ended
		return
	}
	defer p.Close()
	if l.Process == "" {
		l.Process, _ = p.Comm()
	}
	key := process{l.PID, l.Process}
	if unit, known := h.units[key]; known {
		l.Unit = unit
		return
	}
	if len(h.units) > mostUnits {
		clear(h.units)
	}
	text, err := p.Read("cgroup")
	if err != nil {
		return
	}
	if groups, err := cgroup.ParseMembership(text); err == nil {
		l.Unit = cgroup.Unit(cgroup.UnitPath(groups))
	}
	h.units[key] = l.Unit
}
