package observe

import (
	"math"
	"slices"

	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// maxStrays is how many sockets without a holder are looked at again.
const maxStrays = 16

// stray is a socket that has an inode, and no holder was found.
type stray struct {
	id    sockdiag.ID
	inode uint32
}

// strays counts the sockets without a holder, beside what those of processes that were read in part
// should come to.
type strays struct {
	some     []stray // the first of them
	all      uint32
	expected float64
	variance float64 // of expected
}

// add counts a socket with an inode.
func (t *strays) add(s *sockdiag.Socket, h *holder, weight float64) {
	if h != nil {
		t.expected += weight - 1
		t.variance += weight * (weight - 1)
		return
	}
	if t.all++; len(t.some) < maxStrays {
		t.some = append(t.some, stray{s.ID(), s.Inode})
	}
}

// tooMany says whether there are more than processes that were read in part can account
// for. Half of what these are expected to hold may come and go between the reading and the
// dump.
func (t *strays) tooMany() bool {
	return float64(t.all) > 1.5*t.expected+5*math.Sqrt(t.variance)+1024
}

// unlisted says whether processes hold sockets of this network namespace that this /proc
// does not list, as those outside a container with the network of its host. Where it lists
// all of the host, a socket without a holder is the kernel's, or on its way from one
// process to another.
func (s *subject) unlisted(f finder, t *tally, found []listener) bool {
	o := t.owners
	if !o.partial || !o.readable() {
		return false
	}
	for _, h := range o.holders {
		if h.left() > 0 {
			return o.fair() && t.strays.tooMany()
		}
	}
	return o.whole() && isThere(f, o.unheld(found)) || s.confirm(f, t.strays.some)
}

// unheld lists listeners for which every descriptor was read, in vain; these had been
// listed before.
func (o *owners) unheld(found []listener) (out []stray) {
	for _, l := range found {
		if l.inode != 0 && o.watched[l.inode].first() == nil && len(out) < maxStrays {
			out = append(out, stray{l.id, l.inode})
		}
	}
	return out
}

// isThere says whether the kernel still has one of these sockets, with the same inode.
func isThere(f finder, suspects []stray) bool {
	for _, x := range suspects {
		if k, err := f.Find(x.id, sockdiag.Request{}); err == nil && k.Inode == x.inode {
			return true
		}
	}
	return false
}

// confirm reads all descriptors again, now that the suspects are known: on a busy host most
// have been opened since the first reading. One that no process has, and that is still
// there afterwards, is held elsewhere.
func (s *subject) confirm(f finder, suspects []stray) bool {
	if len(suspects) == 0 {
		return false
	}
	inodes := make([]uint32, len(suspects))
	for i, x := range suspects {
		inodes[i] = x.inode
	}
	again := s.owners(watch(inodes))
	defer again.close()
	again.search(s.ctx, inodes)
	suspects = slices.DeleteFunc(slices.Clone(suspects), func(x stray) bool {
		return again.watched[x.inode].first() != nil
	})
	return again.whole() && s.ctx.Err() == nil && isThere(f, suspects)
}

// readable says whether every process that is listed can be looked into.
func (o *owners) readable() bool {
	return o.err == nil && o.starved == nil && !o.hidden && o.unreadable == 0
}

// whole says whether every descriptor of every process that is listed was read.
func (o *owners) whole() bool {
	for _, h := range o.holders {
		if h.left() > 0 {
			return false
		}
	}
	return o.readable() && len(o.others) == 0
}

// fair says whether processes that were read in part were read all over their tables.
func (o *owners) fair() bool {
	for _, h := range o.holders {
		if h.left() > 0 && (h.value&sampled == 0 || h.passed > 0) {
			return false
		}
	}
	return true
}
