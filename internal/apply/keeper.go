package apply

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/linux/pidfd"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// keeper holds processes from the first look at one until the program ends: what was compared once
// is the process that is written to, even if another has its number by then.
type keeper struct {
	mu   sync.Mutex
	held map[processKey]*heldProcess
}

// processKey tells processes of one boot apart: the number may come back, with a later start.
type processKey struct {
	pid   int
	start uint64
}

// heldProcess is a process held twice: its directory in /proc answers with ESRCH once it has ended,
// and the descriptor tells that it has, and gives copies of its files. fd is nil before Linux 5.3.
type heldProcess struct {
	fd  *pidfd.Process
	dir *procfs.Process
}

// hold gives the process of this number and start time, the same at each call. One that has ended
// is ErrGone.
func (k *keeper) hold(pid int, start uint64) (*heldProcess, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := processKey{pid, start}
	p, ok := k.held[key]
	if !ok {
		var err error
		if p, err = holdProcess(key); err != nil {
			return nil, err
		}
		if k.held == nil {
			k.held = map[processKey]*heldProcess{}
		}
		k.held[key] = p
	}
	if !p.running() {
		return nil, ErrGone
	}
	return p, nil
}

// holdProcess opens the descriptor first. Where the process had ended by then, the descriptor is of
// another one, and so is the start time; where it ended in between, the descriptor says so.
func holdProcess(key processKey) (*heldProcess, error) {
	p := &heldProcess{}
	var err error
	if p.fd, err = pidfd.Open(key.pid); err != nil && !errors.Is(err, syscall.ENOSYS) {
		return nil, err
	}
	if p.dir, err = procfs.Root("").Open(key.pid); err != nil {
		p.close()
		return nil, err
	}
	stat, err := p.dir.Stat()
	if err == nil && stat.StartTime != key.start {
		err = fmt.Errorf("the pid belongs to another process now: %w", ErrGone)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *heldProcess) close() {
	if p.fd != nil {
		p.fd.Close()
	}
	if p.dir != nil {
		p.dir.Close()
	}
}

// running says whether the process has not ended.
func (p *heldProcess) running() bool {
	if p.fd != nil {
		return p.fd.Running()
	}
	_, err := p.dir.Stat()
	return err == nil
}

// startOf is when a process started, 0 where there is none of that number.
func startOf(pid int) uint64 {
	start, _ := statOf(pid)
	return start
}

// statOf is when a process started, and whether it is stopped.
func statOf(pid int) (start uint64, stopped bool) {
	p, err := procfs.Root("").Open(pid)
	if err != nil {
		return 0, false
	}
	defer p.Close()
	stat, err := p.Stat()
	if err != nil || stat.State == 'Z' { // it has ended, and nobody has asked how
		return 0, false
	}
	return stat.StartTime, stat.State == 'T' || stat.State == 't'
}

// comm is what the process is called now.
func (p *heldProcess) comm() string {
	name, err := p.dir.Comm()
	if err != nil {
		return ""
	}
	return name
}

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

// Own is Through with the listeners of others, which are nobody's that may be changed: what they
// refuse is theirs.
func (e *Engine) Own(s host.Snapshot, pid int) (host.Snapshot, error) {
	out, err := e.Through(s, pid)
	if err != nil {
		return s, err
	}
	address := func(f host.Fact) string {
		at, _, _ := strings.Cut(f.Name, "~") // of a member of a SO_REUSEPORT group
		return at
	}
	own := map[string]bool{}
	for _, f := range out.Facts() {
		if f.Kind == host.ListenerKind {
			own[address(f)] = true
		}
	}
	var others []host.Setting
	for _, f := range s.Facts() {
		if f.Kind != host.ListenerKind || own[address(f)] {
			continue
		}
		x, _ := s.Lookup(f)
		out.Set(f, x.Text)
		if row, _ := s.Read().Row(f.Kind, f.Name); row.Count("pid") == 0 {
			others = append(others, host.Setting{Fact: host.Fact{Kind: f.Kind,
				Name: f.Name + "#pid"}, Want: "-1"})
		}
	}
	return out.With(others...), nil
}

func holds(p *heldProcess, inode uint64) bool {
	_, err := descriptorOf(p.dir, inode)
	return err == nil
}
