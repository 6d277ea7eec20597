package observe

import (
	"errors"
	"io/fs"

	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// holder is a process that may hold sockets of the subject.
type holder struct {
	// that owners.table has for the next descriptor: twice its number, and sampled
	value    uint32
	pid      int
	start    uint64        // ticks since boot; 0 unless it holds a socket of some kind
	comm     string        // "" unless it holds a socket of some kind
	holds    bool          // a socket of some kind
	name     uint32        // number of comm in owners.names
	files    int           // open descriptors
	read     int           // of these, looked at
	first    int           // of read, those in ascending order, from the lowest
	passed   int           // of read, sockets for which owners.table had no room
	complete bool          // all were looked at
	counts   procfs.Counts // of those looked at
	// counts when the order became a scattered one, and when the dump began
	firstCounts, countsBefore procfs.Counts
	estimate, variance        float64   // of the sockets that the dump knew; see count
	thread                    string    // whose table it is, "" for that of the process
	main                      *holder   // the process, for the table of a thread
	tables                    []*holder // of threads that have their own
	unsure                    bool      // whether threads have tables of their own
	before                    int       // read before the dump
	all                       bool      // complete before the dump: all its sockets are counted
	weight                    float64   // of a descriptor that was read since first
	outside                   bool      // lives in another network namespace
	cgroup                    string    // that bounds its memory; "" where it was not looked up

	sockets uint32 // TCP sockets found: connections, listeners, bound ones
	states  states

	process *procfs.Process // open as long as walk is
	walk    *procfs.Files   // nil once it came to the end or was given up
}

// open reports whether further descriptors can be read.
func (h *holder) open() bool { return h.walk != nil }

// close lets the process go.
func (h *holder) close() {
	if h.walk != nil {
		h.walk.Close()
	}
	if h.process != nil {
		h.process.Close()
	}
	h.walk, h.process = nil, nil
}

// is says whether a process is the one that was read, and not the next with its pid.
func (h *holder) is(p *procfs.Process) bool {
	stat, err := p.Stat()
	return err != nil || h.start == 0 || stat.StartTime == h.start
}

// again opens the process for further reading, and gives its name, which tells whether the pid
// belongs to another one by now.
func (h *holder) again(root procfs.Root) (*procfs.Process, error) {
	p, err := root.Open(h.pid)
	if err != nil {
		return nil, err
	}
	comm, err := p.Comm()
	if err == nil && h.holds && comm != h.comm || !h.is(p) {
		err = procfs.ErrGone
	}
	h.comm = comm
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

func isGone(err error) bool   { return errors.Is(err, procfs.ErrGone) }
func isDenied(err error) bool { return errors.Is(err, fs.ErrPermission) }
