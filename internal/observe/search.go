package observe

import (
	"context"
	"slices"
)

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
