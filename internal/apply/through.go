package apply

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// Through is a snapshot of the engine's namespace with those listeners alone that a process has
// open, each as its own: several processes may have one, and not all let themselves be opened. The
// process is held from here on.
func (e *Engine) Through(s host.Snapshot, pid int) (host.Snapshot, error) {
	system, ok := e.Kernel.(*System)
	if !ok {
		return s, nil
	}
	start := startOf(pid)
	held, err := system.processes.hold(pid, start)
	if err != nil {
		return s, &Refusal{Why: fmt.Sprintf("process %d: %v", pid, err), Err: err}
	}
	me := strconv.Itoa(pid)
	field := func(row host.Fact, field, text string) host.Setting {
		return host.Setting{Fact: host.Fact{Kind: row.Kind, Name: row.Name + "#" + field},
			Want: text}
	}
	process := host.Fact{Kind: host.ProcessKind, Name: me}
	name := strings.ToValidUTF8(held.comm(), "?")
	own := []host.Setting{
		field(process, "name", name),
		field(process, "start", strconv.FormatUint(start, 10)),
	}
	var out host.Snapshot
	out.Set(process, "") // the row, if it has one, comes below
	for _, f := range s.Facts() {
		x, _ := s.Lookup(f)
		if f.Kind == host.ListenerKind {
			row, _ := s.Read().Row(f.Kind, f.Name)
			inode, err := strconv.ParseUint(row.Text("inode"), 10, 64)
			if err == nil && !holds(held, inode) {
				continue
			}
			own = append(own, field(f, "pid", me), field(f, "process", name))
		}
		if x.Err != "" {
			out.Miss(f, x.Err)
		} else {
			out.Set(f, x.Text)
		}
	}
	return out.With(own...), nil
}

func holds(p *heldProcess, inode uint64) bool {
	_, err := descriptorOf(p.dir, inode)
	return err == nil
}
