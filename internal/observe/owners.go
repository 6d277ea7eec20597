package observe

import (
	"cmp"
	"context"
	"math"
	"os"
	"slices"

	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// How many descriptors are looked at. Each costs the kernel some 3 to 5 microseconds, four
// times as much as a socket in a dump, so a process with very many is sampled. Listeners
// are among the first that a program opens, and those are of one kind: what comes after
// them is read all over the table.
const (
	smallProcess = 512 // that many descriptors or fewer are all read
	firstFiles   = 160 // of larger ones, in ascending order: what the kernel lists at a time
	sampleFiles  = 96  // of larger ones, scattered
	// of all processes, before the dump; what is left after these is spread evenly
	spreadFiles = 4096
	chunkFiles  = 256 // at a time
	// of all processes of the namespace, after the dump, for listeners without a holder
	searchFiles = 65536
	otherFiles  = 512   // of each process elsewhere, for the same
	othersFiles = 16384 // of all of these
	maxInodes   = 32768 // remembered
	maxHolders  = 64    // named of one listener
	maxWalks    = 128   // kept open: two files each
	spareFiles  = 32    // descriptors that the rest of the program may need
)

// owners tells which process holds a socket.
type owners struct {
	root       procfs.Root
	subject    netns.ID
	holders    []*holder // in ascending order of pid; found later, at the end
	others     []int     // processes of other namespaces, and this one
	table      *inodeTable
	watched    map[uint32]*watched
	names      names
	unreadable int     // processes whose descriptors this user may not read
	closed     *holder // the first of them
	concealed  uint64  // descriptors that they have open
	hidden     bool    // processes of other users are not even listed
	partial    bool    // /proc may lack processes of this network namespace
	unlisted   bool    // and it does
	starved    error   // the first that came of having no descriptor left to read with
	unread     unread
	walks      int // that may still be kept open
	reads      int
	err        error // why there are no processes at all
}

// watched is a socket whose holders are all wanted: a listener.
type watched struct{ holders []*holder } // at most maxHolders

// first is the holder with the lowest pid, or nil.
func (w *watched) first() *holder {
	if w == nil || len(w.holders) == 0 {
		return nil
	}
	return slices.MinFunc(w.holders, func(a, b *holder) int {
		return cmp.Compare(a.pid, b.pid)
	})
}

// watch says which inodes to look for.
func watch(inodes []uint32) map[uint32]*watched {
	w := make(map[uint32]*watched, len(inodes))
	for _, i := range inodes {
		if i != 0 {
			w[i] = &watched{}
		}
	}
	return w
}

// owners finds the holders of sockets: by /proc, or by the kernel's iterator where /proc is closed.
func (s *subject) owners(w map[uint32]*watched) *owners {
	o := findOwners(s.ctx, s.root, s.id, w)
	o.iterated(s.ctx)
	return o
}

// findOwners looks at the descriptors of the processes in the namespace, those of most processes
// all, those of large ones in part. Close the result.
func findOwners(ctx context.Context, root procfs.Root, subject netns.ID,
	w map[uint32]*watched) *owners {
	o := &owners{
		root:    root,
		subject: subject,
		watched: w,
		table:   newInodeTable(maxInodes),
		walks:   ownWalks(root),
	}
	pids, err := root.PIDs()
	if err != nil {
		o.err = err
		return o
	}
	host, err := root.ShowsHost()
	o.partial = !host || err != nil
	o.hidden = len(pids) > 0 && pids[0] != 1
	for _, pid := range pids {
		if ctx.Err() != nil {
			return o
		}
		o.visit(pid)
	}
	o.spread(ctx, spreadFiles)
	o.account()
	return o
}

// ownWalks is how many walks may be kept open under this process's own limit.
func ownWalks(root procfs.Root) int {
	const unknown = 8
	p, err := root.Open(os.Getpid())
	if isStarved(err) {
		return 0
	}
	if err != nil {
		return unknown
	}
	defer p.Close()
	limits, err := p.Limits()
	if err != nil {
		return unknown
	}
	open, ok := limits.Named(filesLimit)
	switch {
	case !ok:
		return unknown
	case open.Soft.Unlimited || open.Soft.N > 2*maxWalks+spareFiles:
		return maxWalks
	}
	return max(0, int(open.Soft.N)-spareFiles) / 2
}

// visit opens a process and reads its first descriptors. Threads of the kernel have none.
func (o *owners) visit(pid int) {
	p, err := o.root.Open(pid)
	if err != nil {
		o.starve(err)
		return
	}
	files, err := p.OpenCount()
	h := &holder{pid: pid, files: files, process: p}
	switch {
	case isDenied(err) && isKernelThread(p), err == nil && files == 0:
		h.close()
		return
	case err != nil:
		o.conceal(err, h)
		return
	}
	space, err := p.NetNS()
	switch {
	case err != nil:
		o.conceal(err, h)
	case pid == os.Getpid(), (netns.ID{Dev: space.Dev, Inode: space.Ino}) != o.subject:
		h.close()
		o.others = append(o.others, pid)
	case files <= smallProcess:
		o.enter(h, smallProcess)
		o.enterTables(h)
	default:
		o.enter(h, firstFiles)
		o.enterTables(h)
	}
}

// conceal counts a process that cannot be looked into, and closes it. Before 6.2 the number of its
// descriptors is hidden as well.
func (o *owners) conceal(err error, h *holder) {
	defer h.close()
	if o.starve(err) || isGone(err) {
		return
	}
	o.unreadable++
	if o.closed == nil {
		o.name(h)
		o.closed = h
	}
	if h.files == 0 {
		h.files = math.MaxInt32
	}
	o.concealed += uint64(h.files)
}

// starve notes an error that says nothing of a process, but of this one: it has no
// descriptor left to read with.
func (o *owners) starve(err error) bool {
	if !isStarved(err) {
		return false
	}
	if o.starved == nil {
		o.starved = err
	}
	return true
}

func (o *owners) name(h *holder) {
	comm, err := h.process.Comm()
	o.starve(err)
	h.comm = comm
}

func isKernelThread(p *procfs.Process) bool {
	stat, err := p.Stat()
	return err == nil && stat.KernelThread()
}

// enter adds a process whose descriptors can be read, and reads at most that many of them.
func (o *owners) enter(h *holder, most int) {
	walk, err := h.process.FilesOf(h.thread)
	if err != nil {
		o.conceal(err, h)
		return
	}
	h.walk = walk
	o.holders = append(o.holders, h)
	h.value = uint32(len(o.holders)) << 1
	o.read(h, most)
	if !h.complete && !h.outside {
		o.scatter(h)
	}
	if h.complete || o.walks == 0 {
		h.close()
		return
	}
	o.walks--
}

// scatter has the rest of a process read all over its table, and makes a beginning.
func (o *owners) scatter(h *holder) {
	h.first, h.firstCounts = h.read, h.counts
	if h.walk.Scatter(h.files - h.read) {
		h.value |= sampled
		o.read(h, sampleFiles)
	}
}

// read looks at up to most further descriptors of a process, and at no more than it has.
func (o *owners) read(h *holder, most int) {
	n, complete, err := h.walk.Sockets(max(1, min(most, h.files-h.read)),
		func(_ int, inode uint32) bool {
			o.found(h, inode)
			return true
		})
	h.read += n
	h.counts = h.walk.Counts()
	o.reads += n
	h.complete = (complete || h.read >= h.files) && err == nil || isGone(err)
	o.starve(err)
	if h.holds && h.name == 0 {
		o.named(h)
	}
}

// named looks the name of a process up, whose directory is open or is opened for it.
func (o *owners) named(h *holder) {
	w := h.whole()
	if w.name == 0 {
		if h.process == nil {
			p, err := o.root.Open(h.pid)
			if err != nil {
				o.starve(err)
				return
			}
			defer p.Close()
			h.process = p
			defer func() { h.process = nil }()
		}
		o.name(h)
		w.comm, w.name = h.comm, o.names.id(h.comm)
		if stat, err := h.process.Stat(); err == nil {
			w.start = stat.StartTime
		}
	}
	h.name = w.name
}

func (o *owners) found(h *holder, inode uint32) {
	h.holds, h.whole().holds = true, true
	if !o.table.put(inode, h.value) {
		h.passed++
	}
	h = h.whole()
	w := o.watched[inode]
	if w == nil || len(w.holders) == maxHolders || slices.Contains(w.holders, h) {
		return
	}
	w.holders = append(w.holders, h)
	h.sockets++
}

// sampled marks, in owners.table, a descriptor that stands for others of its process.
const sampled = 1

// of is the holder of a socket, or nil.
func (o *owners) of(inode uint32) *holder {
	h, _ := o.weighed(inode)
	return h
}

// weighed is the holder of a socket, or nil, and how many of its descriptors this one stands for.
func (o *owners) weighed(inode uint32) (*holder, float64) {
	v := o.table.find(inode)
	if v == 0 {
		return nil, 0
	}
	h := o.holders[v>>1-1]
	if v&sampled != 0 {
		return h.whole(), h.weight
	}
	return h.whole(), 1
}

// comm is the name of a process that was found, or "".
func (o *owners) comm(pid int) string {
	if h := o.byPID(pid); h != nil {
		return h.comm
	}
	return ""
}

// byPID is a process that was found, or nil.
func (o *owners) byPID(pid int) *holder {
	for _, h := range o.holders {
		if h.pid == pid {
			return h.whole()
		}
	}
	return nil
}

// close lets all processes go.
func (o *owners) close() {
	for _, h := range o.holders {
		h.close()
	}
}
