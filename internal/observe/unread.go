package observe

import "math"

// unread is how many descriptors were not looked at before the dump: no more sockets than these can
// be somebody's whose holder was not found.
type unread struct {
	all     uint64
	process map[uint32]uint64 // by pid
	name    map[uint32]uint64 // by number in owners.names
}

// of is what is left of one process, or of all of a name, and what is left of the others.
func (u *unread) of(by map[uint32]uint64, x uint32) (own, others uint64) {
	own = by[x]
	return own, u.all - own
}

// unbounded stands for descriptors of which nobody knows how many there are.
const unbounded = math.MaxInt64 / 2

// account ends the reading before the dump: from here on each inode that is known stands
// for that many sockets.
func (o *owners) account() {
	o.unread = unread{all: o.hiddenFiles(), process: map[uint32]uint64{},
		name: map[uint32]uint64{}}
	for _, h := range o.holders {
		h.before, h.all = h.read, h.complete && h.passed == 0
		h.countsBefore = h.counts
		h.weight = h.weigh()
		left := h.left()
		o.unread.all += left
		o.unread.process[uint32(h.pid)] += left
		o.unread.name[h.name] += left
	}
}

// left is how many descriptors of a process have not been looked at, or could not be remembered.
func (h *holder) left() uint64 {
	if h.complete {
		return uint64(h.passed)
	}
	return uint64(max(1, h.files-h.read) + h.passed)
}

// weigh is how many descriptors one stands for that was read since the order is scattered. Where
// some could not be remembered it is not known which, and each stands for itself.
func (h *holder) weigh() float64 {
	sampled := h.read - h.first
	if h.complete || sampled <= 0 || h.passed > 0 {
		return 1
	}
	return max(1, float64(h.files-h.first)/float64(sampled))
}

// hiddenFiles bounds the number of sockets that processes hold which could not be looked into.
func (o *owners) hiddenFiles() uint64 {
	if o.hidden || o.starved != nil || o.partial {
		return unbounded
	}
	return o.concealed
}
