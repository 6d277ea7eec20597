package observe

import (
	"math"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// enterTables adds the descriptor tables that threads of a process have for themselves: each is
// read as a process is, and all that is found is the process's.
func (o *owners) enterTables(whole *holder) {
	p, err := o.root.Open(whole.pid)
	if err != nil {
		o.starve(err)
		return
	}
	defer p.Close()
	threads, known := p.Tables()
	whole.unsure = !known
	for _, thread := range threads {
		own, err := o.root.Open(whole.pid)
		if err != nil {
			whole.unsure = true
			o.starve(err)
			return
		}
		files, err := own.OpenCountOf(thread)
		if err != nil || files == 0 {
			own.Close()
			whole.unsure = whole.unsure || err != nil && !isGone(err)
			continue
		}
		h := &holder{pid: whole.pid, files: files, process: own, thread: thread,
			main: whole, outside: whole.outside}
		whole.tables = append(whole.tables, h)
		most := firstFiles
		if files <= smallProcess {
			most = smallProcess
		}
		o.enter(h, most)
	}
}

// whole is the process: the holder of its first table.
func (h *holder) whole() *holder {
	if h.main != nil {
		return h.main
	}
	return h
}

// each calls f for all tables of a process.
func (h *holder) each(f func(*holder)) {
	f(h)
	for _, t := range h.tables {
		f(t)
	}
}

// count enters a socket that the dump knows, with what it stands for where descriptors were read in
// part.
func (h *holder) count(weight float64) {
	h.estimate += weight
	h.variance += weight * (weight - 1) // see majority.add
}

// fileFields appends how many descriptors there are, and what kinds they are of.
func (h *holder) fileFields(f host.Fields, near bool) host.Fields {
	files, most, epolls, all, fair := 0, 0, 0, true, true
	var kinds [len(kindFields)]float64
	h.each(func(t *holder) {
		files, most, epolls = files+t.files, max(most, t.files), epolls+t.counts.Epolls
		all = all && t.all
		fair = fair && (t.all || t.value&sampled != 0 && t.passed == 0)
		for i, n := range t.kinds() {
			kinds[i] += n
		}
	})
	f = f.AddInt("files", int64(files))
	if len(h.tables) > 0 {
		f = f.AddInt("tables", int64(1+len(h.tables))).AddInt("files_most", int64(most))
	}
	if h.unsure {
		f = f.Add("unseen_tables", "yes")
	}
	f = f.AddInt("epoll", int64(epolls))
	if fair && !all {
		f = f.AddInt("estimate", int64(math.Round(h.estimate))).AddInt("error",
			int64(math.Ceil(deviations*math.Sqrt(h.variance))))
	}
	if !near || !fair {
		return f
	}
	kinds[0] = max(0, kinds[0]-h.estimate)
	for i, n := range kinds {
		if n := int64(math.Round(n)); n > 0 {
			f = f.AddInt(kindFields[i], n)
		}
	}
	return f
}

// kindFields are the kinds of descriptors that are no TCP connections.
var kindFields = [...]string{"held_sockets", "held_eventfds", "held_pipes", "held_files",
	"held_others"}

// kinds is how many descriptors of a table are of which kind: sockets of all sorts first.
func (h *holder) kinds() (n [len(kindFields)]float64) {
	first, all := numbers(h.firstCounts), numbers(h.countsBefore)
	for i := range n {
		n[i] = first[i] + (all[i]-first[i])*h.weight
	}
	return n
}

func numbers(c procfs.Counts) [len(kindFields)]float64 {
	return [...]float64{float64(c.Sockets), float64(c.Events), float64(c.Pipes),
		float64(c.Files), float64(c.Others + c.Epolls)}
}

const (
	looseFiles = 192 // descriptors of a process that are looked at for sockets of TCP
	looseMost  = 16  // processes
)

// loose estimates how many sockets of TCP a process has that are neither connected nor bound nor
// listening: those that no dump knows. It is asked of the few processes that are short of
// descriptors.
func (s *subject) loose(f host.Fields, h *holder, p *procfs.Process) host.Fields {
	if s.looked++; s.looked > looseMost || len(h.tables) > 0 {
		return f
	}
	walk, err := p.Files()
	if err != nil {
		return f
	}
	defer walk.Close()
	walk.Scatter(h.files)
	tcp, sockets := 0, 0
	_, _, err = walk.Sockets(looseFiles, func(fd int, _ uint32) bool {
		sockets++
		if walk.IsTCP(fd) {
			tcp++
		}
		return true
	})
	if err != nil || sockets == 0 {
		return f
	}
	all := h.kinds()[0] * float64(tcp) / float64(sockets)
	known := h.estimate + float64(int64(h.sockets)-int64(h.states.sum())) // and listeners
	if n := int64(math.Round(all - known)); n > int64(h.files)/20 {
		f = f.AddInt("unconnected", n)
	}
	return f
}
