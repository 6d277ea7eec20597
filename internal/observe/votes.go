package observe

import (
	"math"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
)

// votes finds who holds most sockets of a row: one process, or else processes of one name.
type votes struct {
	process, name majority
	unknown       uint32 // sockets whose holder was not found
}

// count takes who holds a socket, nil where that was not found; it stands for that many
// sockets of its holder. One without an inode has no holder.
func (v *votes) count(s *sockdiag.Socket, h *holder, weight float64) {
	switch {
	case h != nil:
		v.process.add(uint32(h.pid), weight)
		v.name.add(h.name, weight)
	case s.Inode != 0:
		v.unknown++
	}
}

// fields appends pid and process, as far as a majority is sure.
func (v *votes) fields(f host.Fields, o *owners) host.Fields {
	own, others := o.unread.of(o.unread.process, v.process.candidate)
	switch pid, ok := v.process.winner(v.unknown, own, others); {
	case ok:
		f = f.AddInt("pid", int64(pid))
	case v.unknown == 0 && v.process.of > 0: // each holder was found, and none has most
		f = f.Add("several", "yes")
	}
	own, others = o.unread.of(o.unread.name, v.name.candidate)
	if id, ok := v.name.winner(v.unknown, own, others); ok {
		f = f.Add("process", o.names.text(id))
	}
	return f
}

// names numbers the names of processes, from 1 on.
type names struct {
	ids   map[string]uint32
	texts []string
}

func (n *names) id(text string) uint32 {
	if id, ok := n.ids[text]; ok {
		return id
	}
	if n.ids == nil {
		n.ids = map[string]uint32{}
	}
	n.texts = append(n.texts, text)
	n.ids[text] = uint32(len(n.texts))
	return uint32(len(n.texts))
}

func (n *names) text(id uint32) string {
	if id == 0 || int(id) > len(n.texts) {
		return ""
	}
	return n.texts[id-1]
}

// majority finds what more than half of a row is, with a few numbers (Boyer and Moore,
// "MJRTY", 1991). Each entry has a weight: how many sockets of its holder it stands for,
// itself included. The zero value is ready.
type majority struct {
	candidate uint32
	of        uint32  // entries
	hits      uint32  // of the candidate since it became one: not more than it has had
	lead      float64 // by what weight the candidate is ahead
	estimate  float64 // of all that the candidate has: the sum of the weights of hits
	variance  float64 // of estimate
}

// add counts an entry; a weight of 1 is one that stands for itself alone.
func (m *majority) add(x uint32, weight float64) {
	m.of++
	switch {
	case m.candidate == x && m.lead > 0:
		m.lead += weight
	case m.lead >= weight:
		m.lead -= weight
		return
	default:
		*m = majority{candidate: x, of: m.of, lead: weight - m.lead}
	}
	m.hits++
	m.estimate += weight
	m.variance += weight * (weight - 1) // Horvitz and Thompson, 1952, for independent draws
}

// deviations is how far from an estimate the truth is taken to be at most. Samples are drawn evenly
// (procfs.Files.Scatter), so that they are off by less than independent draws would be.
const deviations = 3

// winner is the value that is more than half of a row of which that many sockets, beside those
// counted, have a holder that was not found. Of these the candidate has at most own, and others at
// most others: it has all that these cannot have. Else what its sample says must do. A narrow
// majority may be missed; what is found is one.
func (m *majority) winner(unknown uint32, own, others uint64) (x uint32, ok bool) {
	left := uint64(unknown)
	sure := float64(m.hits) + float64(min(own, left-min(left, others)))
	likely := m.estimate - deviations*math.Sqrt(m.variance)
	return m.candidate, m.hits > 0 && 2*max(sure, likely) > float64(m.of)+float64(unknown)
}
