package observe

import (
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
	if pid, ok := v.process.winner(v.unknown, own, others); ok {
		f = f.AddInt("pid", int64(pid))
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
