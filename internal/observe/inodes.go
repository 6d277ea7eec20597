package observe

import (
	"context"
	"math/bits"
	"slices"
)

// inodeTable maps socket inodes to small numbers above 0, by open addressing: 8 bytes a slot and no
// pointers, so that most of it stays in a CPU's cache beside what the kernel touches during a dump.
// It is never more than half full.
type inodeTable struct {
	// mayHave has a bit for each hash of an inode of the table: most sockets of a dump are
	// not in it, and this much stays in the CPU's first cache.
	mayHave [1 << 17 / 64]uint64
	slots   []inodeSlot
	shift   uint // 32 less the bits of an index
	used    int
	max     int
}

type inodeSlot struct{ inode, value uint32 }

// newInodeTable takes up to max inodes.
func newInodeTable(max int) *inodeTable {
	t := &inodeTable{max: max}
	t.resize(16)
	return t
}

// resize makes room for n slots, a power of two, and enters again what was there.
func (t *inodeTable) resize(n int) {
	old := t.slots
	t.slots = make([]inodeSlot, n)
	t.shift = 33 - uint(bits.Len(uint(n)))
	for _, s := range old {
		if s.inode != 0 {
			*t.slot(s.inode) = s
		}
	}
}

// slot is where the inode stands, or where it would.
func (t *inodeTable) slot(inode uint32) *inodeSlot {
	mask := uint32(len(t.slots) - 1)
	// Inode numbers come in runs; multiplying spreads them evenly (Knuth, 6.4).
	for i := inode * 2654435769 >> t.shift; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.inode == inode || s.inode == 0 {
			return s
		}
	}
}

// put enters an inode unless it is there already: the first value counts. When the table is full,
// what is new is skipped, and the result is false.
func (t *inodeTable) put(inode, value uint32) bool {
	if inode == 0 || t.slot(inode).inode == inode {
		return true
	}
	if t.used >= t.max {
		return false
	}
	if t.used++; t.used*2 > len(t.slots) {
		t.resize(2 * len(t.slots))
	}
	*t.slot(inode) = inodeSlot{inode, value}
	word, bit := hashed(inode)
	t.mayHave[word] |= bit
	return true
}

// find is the value of an inode, 0 where it is unknown.
func (t *inodeTable) find(inode uint32) uint32 {
	word, bit := hashed(inode)
	if inode == 0 || t.mayHave[word]&bit == 0 {
		return 0
	}
	return t.slot(inode).value
}

// hashed is the bit of mayHave.
func hashed(inode uint32) (word, bit uint64) {
	h := inode * 2654435769 >> 15
	return uint64(h / 64), 1 << (h % 64)
}

// spread reads on in the processes that have more, some of each in turn, until that many
// descriptors have been read in all.
func (o *owners) spread(ctx context.Context, limit int) {
	for o.reads < limit && o.round(ctx, limit) {
	}
}

// round reads a chunk more of each process, and says whether there was any.
func (o *owners) round(ctx context.Context, limit int) (more bool) {
	for _, h := range o.holders {
		if !h.open() || o.reads >= limit || ctx.Err() != nil {
			continue
		}
		before := h.read
		o.read(h, chunkFiles)
		if h.complete || h.read == before {
			h.close()
			o.walks++
		}
		more = true
	}
	return more
}

// search reads on, in no process anything twice, until every inode has a holder or there is nothing
// left to read; first the processes of the namespace.
func (o *owners) search(ctx context.Context, inodes []uint32) {
	missing := func(limit int) bool {
		inodes = slices.DeleteFunc(inodes, func(i uint32) bool {
			return i == 0 || o.holderOf(i) != nil
		})
		return len(inodes) > 0 && o.reads < limit && ctx.Err() == nil
	}
	limit := o.reads + searchFiles
	for missing(limit) && o.round(ctx, limit) {
	}
	limit = o.reads + othersFiles
	for missing(limit) && len(o.others) > 0 {
		o.visitOther(o.others[0])
		o.others = o.others[1:]
	}
}

// visitOther reads a process of another namespace, or this one.
func (o *owners) visitOther(pid int) {
	p, err := o.root.Open(pid)
	if err != nil {
		o.starve(err)
		return
	}
	files, err := p.OpenCount()
	if err != nil {
		o.starve(err)
		p.Close()
		return
	}
	h := &holder{pid: pid, files: files, process: p, outside: true}
	o.enter(h, otherFiles)
	if h.open() {
		h.close()
		o.walks++
	}
}

// holderOf is the holder of a socket that search looks for.
func (o *owners) holderOf(inode uint32) *holder {
	if w := o.watched[inode]; w != nil {
		return w.first()
	}
	return o.of(inode)
}
