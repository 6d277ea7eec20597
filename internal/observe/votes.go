package observe

import "github.com/maxconn/maxconn/internal/host"

// votes finds who holds most sockets of a row: one process, or else processes of one name.
type votes struct {
	process, name majority
	unknown       uint32 // sockets whose holder was not found
}

func (v *votes) add(h *holder) {
	v.process.add(uint32(h.pid))
	v.name.add(h.name)
}

// fields appends pid and process, as far as there is a majority. The holders that were found are a
// fair sample of those of processes that could be read; processes that could not may hold at most
// so many sockets as hidden says.
func (v *votes) fields(f host.Fields, names *names, hidden uint32) host.Fields {
	if pid, ok := v.process.winner(v.unknown, hidden); ok {
		f = f.AddInt("pid", int64(pid))
	}
	if id, ok := v.name.winner(v.unknown, hidden); ok {
		f = f.Add("process", names.text(id))
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
