package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
	"github.com/maxconn/maxconn/internal/plan"
)

// somaxconn caps what listen() is given, in the network namespace of the socket.
const somaxconn = "net.core.somaxconn"

// Wish is a listener whose accept queue is to be longer.
type Wish struct {
	Address netip.Addr // the zero Addr: any address
	Port    uint16
	Limit   uint32
	PID     int // only the listeners of this process; 0: of any
}

// RaiseListener plans a longer accept queue for listeners that run, all members of a SO_REUSEPORT group alike: somaxconn first where it
// is lower, then each socket. A queue that is as long already is not in the plan; the plan lowers nothing.
func (e *Engine) RaiseListener(w Wish) (plan.Plan, error) {
	p := plan.Plan{Schema: plan.Schema, Host: e.Here.Host, Changes: []plan.Change{}, Left: []plan.Left{}, Holds: true}
	found, err := e.wished(w)
	if err != nil {
		return p, err
	}
	wanted := strconv.FormatUint(uint64(w.Limit), 10)
	for _, l := range found {
		if l.limit < uint64(w.Limit) {
			p.Changes = append(p.Changes, l.change(wanted))
		}
	}
	if len(p.Changes) == 0 {
		return p, nil
	}
	cap, err := e.Kernel.Read(plan.Target{Kind: host.SysctlKind, Name: somaxconn})
	if err != nil {
		return p, err
	}
	n, err := strconv.ParseUint(cap, 10, 64)
	if err != nil {
		return p, fmt.Errorf("%s is %q, not a number", somaxconn, cap)
	}
	if n < uint64(w.Limit) {
		p.Changes = append([]plan.Change{raiseCap(cap, wanted)}, p.Changes...)
	}
	return p, nil
}

func raiseCap(from, to string) plan.Change {
	return plan.Change{
		Target: plan.Target{Kind: host.SysctlKind, Name: somaxconn}, Setting: somaxconn, From: from, To: to,
		Why:   fmt.Sprintf("the kernel keeps min(backlog, somaxconn) = min(%s, %s)", to, from),
		Limit: string(limit.AcceptQueue), TakesEffect: "at the next listen()",
		Risk: "other programs that call listen() with a larger backlog get a longer queue from then on",
	}
}

// heldListener is a listening socket and the process through which it is reached.
type heldListener struct {
	name         string
	inode, limit uint64
	cookie       uint64
	pid          int
	start        uint64
	comm         string
}

func (l heldListener) change(to string) plan.Change {
	return plan.Change{
		Target: plan.Target{
			Kind:   host.ListenerKind,
			Name:   l.name,
			Field:  fieldLimit,
			Start:  l.start,
			PID:    int64(l.pid),
			Inode:  l.inode,
			Cookie: l.cookie,
		},
		Setting: fmt.Sprintf("accept queue of %s, %s (pid %d)", l.name, l.comm, l.pid),
		From:    strconv.FormatUint(l.limit, 10), To: to,
		Why:   "asked for; the queue takes one connection more than its limit",
		Limit: string(limit.AcceptQueue), TakesEffect: "now", Owner: "listen() of " + l.comm,
		Cost:  "none while nobody waits; 2.4 KB of kernel memory for each connection that waits",
		Risk:  "a program that is slow to accept makes its clients wait longer instead of refusing them sooner",
		Lasts: "until the socket is closed or its program calls listen() again",
	}
}

// wished finds the listeners and who holds them.
func (e *Engine) wished(w Wish) (found []heldListener, err error) {
	s, ok := e.Kernel.(*System)
	if !ok {
		return nil, errors.New("listeners can be looked for in the running kernel only")
	}
	err = s.inside(func() error {
		members := map[string]int{}
		return listeners(w.Port, func(d *sockdiag.Socket) {
			if !w.means(d.Source.Addr()) || !d.HasOwner {
				return
			}
			name := d.Source.String()
			if members[name]++; members[name] > 1 {
				name += "~" + strconv.Itoa(members[name])
			}
			found = append(
				found,
				heldListener{name: name, inode: uint64(d.Inode), limit: uint64(d.SendQueue), cookie: d.Cookie},
			)
		})
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &Refusal{Why: fmt.Sprintf("nothing listens on %s here", w), Hint: "maxconn --verbose lists the listeners; --pid looks in the network namespace of a process"}
	}
	return held(w, found)
}

func (w Wish) means(a netip.Addr) bool { return !w.Address.IsValid() || a.Unmap() == w.Address.Unmap() }

// String is the listener as it is written on the command line.
func (w Wish) String() string {
	if !w.Address.IsValid() {
		return ":" + strconv.Itoa(int(w.Port))
	}
	return netip.AddrPortFrom(w.Address, w.Port).String()
}

// held finds for each socket the process with the lowest number that has it open.
func held(w Wish, found []heldListener) ([]heldListener, error) {
	pids := []int{w.PID}
	if w.PID == 0 {
		var err error
		if pids, err = procfs.Root("").PIDs(); err != nil {
			return nil, err
		}
	}
	closed := 0
	for _, pid := range pids {
		if err := claim(pid, found); errors.Is(err, fs.ErrPermission) {
			closed++
		}
	}
	var out []heldListener
	for _, l := range found {
		if l.pid == 0 && w.PID == 0 {
			return nil, unheld(l, closed)
		}
		if l.pid != 0 {
			out = append(out, l)
		}
	}
	if len(out) == 0 {
		return nil, &Refusal{Why: fmt.Sprintf("process %d does not listen on %s, or its descriptors cannot be seen", w.PID, w),
			Hint: "that takes the same user or CAP_SYS_PTRACE"}
	}
	return out, nil
}

func unheld(l heldListener, closed int) error {
	r := &Refusal{Why: fmt.Sprintf("nobody that can be seen holds the listener %s", l.name)}
	if closed > 0 {
		r.Hint = fmt.Sprintf("%d processes are closed to this user: it takes the same user or CAP_SYS_PTRACE", closed)
	}
	return r
}

// claim writes a process down as the holder of those sockets that have none yet.
func claim(pid int, found []heldListener) error {
	p, err := procfs.Root("").Open(pid)
	if err != nil {
		return err
	}
	defer p.Close()
	stat, err := p.Stat()
	if err != nil {
		return err
	}
	files, err := p.Files()
	if err != nil {
		return err
	}
	defer files.Close()
	_, _, err = files.Sockets(0, func(_ int, inode uint32) bool {
		for i := range found {
			if l := &found[i]; l.inode == uint64(inode) && l.pid == 0 {
				l.pid, l.start, l.comm = pid, stat.StartTime, strings.ToValidUTF8(stat.Comm, "?")
			}
		}
		return true
	})
	return err
}
