//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// Actor is a worker process that plays a program: it has a name, a descriptor
// table, sockets. Its verbs run one at a time, in the order of the calls; use
// two actors, or accept from a goroutine, where both ends must move at once.
type Actor struct {
	name    string
	pid     int
	control *control
	process *os.Process
}

// Spawn starts an actor. The name, of 1 to 15 bytes, is what /proc/PID/comm says.
func (l *Lab) Spawn(name string) (*Actor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fmt.Errorf("lab: spawn %s: the lab is closed", name)
	}
	control, theirs, err := socketPair(name)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	control.said = l.said
	a := &Actor{name: name, control: control}
	if err := l.spawn(a, theirs); err != nil {
		control.conn.Close()
		return nil, err
	}
	l.actors = append(l.actors, a)
	return a, nil
}

func (l *Lab) spawn(a *Actor, theirs *os.File) error {
	var made spawned
	if err := l.hold.call("spawn", a.name, &made, 0, int(theirs.Fd())); err != nil {
		return err
	}
	a.pid = made.PID
	// A handle to the process, not to its number (pidfd, Linux 5.3): the actor is
	// a child of the first worker, which waits for it without telling us.
	process, err := os.FindProcess(made.PID)
	if err != nil {
		return fmt.Errorf("lab: spawn %s: %w", a.name, err)
	}
	a.process = process
	return a.order("name", a.name, nil)
}

// PID is the process ID, as everybody else on the host sees it.
func (a *Actor) PID() int { return a.pid }

// Name is what /proc/PID/comm says.
func (a *Actor) Name() string { return a.name }

func (a *Actor) order(verb string, args, result any) error {
	return a.control.call(verb, args, result, 0)
}

// Listen opens a listening socket and says where it listens.
func (a *Actor) Listen(spec ListenSpec) (Group, netip.AddrPort, error) {
	var made listening
	err := a.order("listen", spec, &made)
	return made.Group, made.Addr, err
}

// Accept takes connections from a listener and keeps them. It waits until there
// are N, the time is over (EAGAIN among the errors), or accept fails for another
// reason, such as EMFILE.
func (a *Actor) Accept(spec AcceptSpec) (Opened, error) {
	return ask[Opened](a.control, "accept", spec, within(spec.Within))
}

// Connect opens connections, one after the other, and keeps those that came about.
func (a *Actor) Connect(spec ConnectSpec) (Opened, error) {
	return ask[Opened](a.control, "connect", spec, within(spec.Within))
}

// ListenMany opens n sockets that listen alike, as members of a SO_REUSEPORT group do.
func (a *Actor) ListenMany(spec ListenSpec, n int) (Opened, error) {
	return ask[Opened](a.control, "listeners", listeners{spec, n}, maxWithin)
}

// Bind opens sockets that are bound and neither listen nor connect.
func (a *Actor) Bind(spec BindSpec) (Opened, error) {
	return ask[Opened](a.control, "bind", spec, maxWithin)
}

// Close closes sockets of a group and says how many. The side that closes first
// gets the TIME_WAIT.
func (a *Actor) Close(g Group, spec CloseSpec) (int, error) {
	var out counted
	err := a.control.call("close", closing{g, spec}, &out, maxWithin)
	return out.Count, err
}

// Shutdown sends a FIN on each socket of a group, keeps the sockets open, and
// says on how many it worked.
func (a *Actor) Shutdown(g Group) (int, error) {
	var out counted
	err := a.order("shutdown", g, &out)
	return out.Count, err
}

// States counts the sockets of a group by TCP state ("ESTABLISHED").
func (a *Actor) States(g Group) (map[string]int, error) {
	return ask[map[string]int](a.control, "states", g, 0)
}

// Queue reads the accept queue of a listener.
func (a *Actor) Queue(listener Group) (Queue, error) {
	return ask[Queue](a.control, "queue", listener, 0)
}

// Limit sets the soft RLIMIT_NOFILE of the process; the hard one stays. It bounds
// the highest descriptor, not their number, and an actor has a handful open.
func (a *Actor) Limit(soft uint64) error { return a.order("limit", soft, nil) }

// FillFiles opens descriptors until the kernel refuses (EMFILE among the errors).
func (a *Actor) FillFiles() (Opened, error) {
	return ask[Opened](a.control, "fill", nothing{}, maxWithin)
}

// RawSYN sends the first segment of N handshakes that are never finished, each
// from another source, and says how many left. It routes 198.18.0.0/15 to lo and
// switches the reverse-path filter off, in the lab.
func (a *Actor) RawSYN(spec SYNSpec) (int, error) {
	var out sent
	if err := a.control.call("syn", spec, &out, maxWithin); err != nil {
		return 0, err
	}
	if len(out.Errors) > 0 {
		return out.Count, fmt.Errorf("lab: %s: syn: %v", a.name, out.Errors)
	}
	return out.Count, nil
}

// Stop freezes the process (SIGSTOP) as a hung program would be; verbs then end
// in ErrNoAnswer. It returns when all threads stand: only a parent could wait for that.
func (a *Actor) Stop() error {
	if err := a.signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for end := time.Now().Add(closeGrace); !stopped(a.PID()); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("lab: %s does not stop", a.name)
		}
	}
	return nil
}

// stopped says whether all threads of a process are in state T (proc_pid_stat(5)).
func stopped(pid int) bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	return err == nil && len(threads) > 0 && !slices.ContainsFunc(threads, func(t string) bool {
		text, err := os.ReadFile(t)
		return err != nil || !bytes.Contains(text, []byte(") T "))
	})
}

// Continue thaws the process.
func (a *Actor) Continue() error { return a.signal(syscall.SIGCONT) }

// Kill ends the process as a crash would (SIGKILL): the kernel closes its sockets.
// It returns when they are closed.
func (a *Actor) Kill() error {
	if err := a.signal(syscall.SIGKILL); err != nil {
		return err
	}
	a.control.mu.Lock()
	defer a.control.mu.Unlock()
	a.control.conn.SetDeadline(time.Now().Add(closeGrace))
	for {
		if _, err := a.control.in.next(); err != nil {
			if isEnd(err) {
				return nil
			}
			return a.control.fail("kill", err)
		}
	}
}

func (a *Actor) signal(s syscall.Signal) error {
	if err := a.process.Signal(s); err != nil {
		return fmt.Errorf("lab: %s: %v: %w", a.name, s, err)
	}
	return nil
}

// kill is for Close: the process may be gone already.
func (a *Actor) kill() {
	if err := a.process.Signal(syscall.SIGKILL); err == nil ||
		errors.Is(err, os.ErrProcessDone) {
		a.control.conn.Close()
	}
}

// Group names sockets (or plain descriptors) that one actor holds together. It is
// valid for that actor until closed.
type Group int

// Opened is what came of opening sockets. The kernel's refusals are in it, as the
// experiment's result.
type Opened struct {
	Group     Group            `json:"group"`
	Count     int              `json:"count"`     // sockets in the group
	Attempted int              `json:"attempted"` // less than asked when time ran out
	Errors    map[string]int   `json:"errors"`    // errno name ("EADDRNOTAVAIL") -> how often
	Local     []netip.AddrPort `json:"local"`     // local addresses of the first 64
}

// ListenSpec describes one listening TCP socket. SO_REUSEADDR is set, as servers
// do.
type ListenSpec struct {
	Addr      netip.AddrPort `json:"addr"`    // port 0: the kernel chooses
	Backlog   int            `json:"backlog"` // as given to listen(2)
	ReusePort bool           `json:"reuse_port"`
	V6Only    bool           `json:"v6_only"` // IPv6 addresses only
	MPTCP     bool           `json:"mptcp"`   // Linux 5.6; clients may speak plain TCP
	// Defer is how many seconds a connection may stay half-open until its client has sent
	// something (TCP_DEFER_ACCEPT).
	Defer int `json:"defer"`
}

// ConnectSpec describes TCP connections, made one after the other.
type ConnectSpec struct {
	To netip.AddrPort `json:"to"`
	N  int            `json:"n"` // 0 means 1
	// From is bound before connecting when it is valid; port 0 leaves the port to
	// bind(2), or to connect(2) with NoPort.
	From      netip.AddrPort `json:"from"`
	NoPort    bool           `json:"no_port"` // IP_BIND_ADDRESS_NO_PORT, Linux 4.2
	ReuseAddr bool           `json:"reuse_addr"`
	// NonBlocking keeps sockets whose handshake is still under way; otherwise each
	// connect waits, and one that the deadline ends is closed and counted as
	// EINPROGRESS.
	NonBlocking bool          `json:"non_blocking"`
	Within      time.Duration `json:"within"` // for all of them; 0 means 10 s, at most 1 min
}

// BindSpec describes sockets that are bound and nothing more.
type BindSpec struct {
	Addr      netip.AddrPort `json:"addr"` // port 0: the kernel chooses; none: not even bound
	N         int            `json:"n"`    // 0 means 1
	ReuseAddr bool           `json:"reuse_addr"`
}

// AcceptSpec describes how many connections to take from a listener.
type AcceptSpec struct {
	Listener Group         `json:"listener"`
	N        int           `json:"n"`      // 0 means 1
	Within   time.Duration `json:"within"` // 0 means 10 s, at most 1 min
}

// CloseSpec says how to close sockets of a group, the oldest first.
type CloseSpec struct {
	N     int  `json:"n"`     // 0 means all
	Reset bool `json:"reset"` // RST instead of FIN (SO_LINGER 0): no TIME_WAIT on either side
}

// SYNSpec describes handshakes that are never finished: SYN segments from
// 198.18.0.0/15 (RFC 2544), to which the answers vanish on lo.
type SYNSpec struct {
	To netip.AddrPort `json:"to"` // IPv4
	N  int            `json:"n"`  // 0 means 1
	// sources are numbered from here, to continue an earlier call
	First int `json:"first"`
}

// Queue is what a listener's accept queue holds and may hold, in connections, as
// getsockopt(TCP_INFO) says (net/ipv4/tcp.c tcp_get_info). The queue takes Limit+1.
type Queue struct {
	Used  int `json:"used"`
	Limit int `json:"limit"` // min(backlog, somaxconn)
}

// Output is what a command run in the lab left behind.
type Output struct {
	Stdout, Stderr []byte
	Code           int // exit status; 128+n after signal n
}

const (
	defaultWithin = 10 * time.Second
	maxWithin     = time.Minute
	maxCount      = 1 << 20 // of anything, in one verb
	maxLocal      = 64      // addresses told back
)

func within(d time.Duration) time.Duration {
	if d <= 0 {
		return defaultWithin
	}
	return min(d, maxWithin)
}

func count(n int) int { return min(max(n, 1), maxCount) }
