package observe

import (
	"errors"
	"io/fs"
	"math"
	"strconv"
	"syscall"

	"github.com/maxconn/maxconn/internal/host"
)

// why is the reason to record for an error of reading a file.
func why(err error) string {
	var at *fs.PathError
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "maxconn itself ran out of descriptors" + ownLimit()
	case errors.Is(err, fs.ErrPermission):
		return host.Denied
	case errors.Is(err, fs.ErrNotExist):
		return host.Absent
	case errors.As(err, &at):
		return at.Err.Error() // without the path: the fact says what was read
	}
	return err.Error()
}

// isStarved says whether an error is that this process could not open one file more: neither it nor
// the host has a descriptor left.
func isStarved(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// ownLimit is " (limit 10)". It is asked of the kernel, for no file can be read to tell it.
func ownLimit() string {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return ""
	}
	return " (limit " + strconv.FormatUint(l.Cur, 10) + ")"
}

// file reads a file below the root. An unreadable one is recorded as the reason of the facts that
// it would have given.
func (s *subject) file(name string, facts ...host.Fact) ([]byte, bool) {
	b, err := s.root.Read(name)
	if err != nil {
		s.miss(whyNoFile(name, err), facts...)
		return nil, false
	}
	return b, true
}

// whyNoFile does not blame the kernel for a file that is not there: a container may hide it.
func whyNoFile(name string, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return host.NoFile(name)
	}
	return why(err)
}

func (s *subject) miss(why string, facts ...host.Fact) {
	for _, f := range facts {
		s.snapshot.Miss(f, why)
	}
}

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
