package apply

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/plan"
)

// space is a network namespace that is entered from outside.
type space struct {
	*lab.Lab
	t *testing.T
}

func newSpace(t *testing.T) space {
	t.Helper()
	l, err := lab.Start(t.Context())
	if err == nil {
		t.Cleanup(func() { l.Close() })
		err = netns.Do(netns.Path(l.NetNS()), func() error { return nil })
	}
	if err != nil {
		nstest.Unavailable(t, err)
	}
	return space{l, t}
}

func (s space) set(value string) {
	s.t.Helper()
	if err := s.Set(somaxconn, value); err != nil {
		s.t.Fatal(err)
	}
}

// want holds the value that the kernel has there.
func (s space) want(when, value string) {
	s.t.Helper()
	if have, err := s.Value(somaxconn); err != nil || have != value {
		s.t.Errorf("%s: somaxconn is %s (%v), want %s", when, have, err, value)
	}
}

// lead makes a link lead to a namespace, as a name under /run/netns may come to lead to another.
func lead(t *testing.T, link, to string) netns.Path {
	t.Helper()
	_ = os.Remove(link)
	if err := os.Symlink(to, link); err != nil {
		t.Fatal(err)
	}
	return netns.Path(link)
}

func raiseFrom(e *Engine, from, to string) plan.Plan {
	return plan.Plan{
		Schema:  plan.Schema,
		Host:    e.Here.Host,
		Changes: []plan.Change{change(sysctl(somaxconn), from, to)},
	}
}

// The path of a namespace leads to another one after it was looked at: while somebody thinks about
// the plan, while a confirmation is awaited, before it is rolled back. The other one is never
// written to.
func TestNamespaceIsSwitched(t *testing.T) {
	a, b := newSpace(t), newSpace(t)
	link, dir := filepath.Join(t.TempDir(), "ns"), filepath.Join(t.TempDir(), "state")
	a.set("64")
	b.set("64")
	e, err := Open(dir, lead(t, link, a.NetNS()))
	if err != nil {
		t.Fatal(err)
	}
	lead(t, link, b.NetNS())
	if _, err := e.Apply(t.Context(), raiseFrom(e, "64", "4096"), Options{}); err != nil {
		t.Fatal(err)
	}
	a.want("applied", "4096")
	b.want("applied", "64")

	b.set("4096") // what the run would take for its own work
	later, err := Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	var refused *Refusal
	if _, err := later.Rollback(0, false); !errors.As(err, &refused) ||
		strings.Contains(err.Error(), "\n") ||
		refused.Hint == "" {
		t.Errorf("by a path that leads elsewhere: %v", err)
	}
	a.want("not rolled back", "4096")
	b.want("not rolled back", "4096")
	if taken, err := e.Rollback(0, false); err != nil || taken.Left > 0 {
		t.Errorf("%+v, %v", taken, err)
	}
	a.want("rolled back", "64")
	b.want("rolled back", "4096")
}

// The process that awaits a confirmation inherits the namespace: where the path leads to by then
// does not matter.
func TestGuardInheritsTheNamespace(t *testing.T) {
	a, b := newSpace(t), newSpace(t)
	adopt(t)
	link, dir := filepath.Join(t.TempDir(), "ns"), filepath.Join(t.TempDir(), "state")
	a.set("64")
	b.set("4096")
	path := lead(t, link, a.NetNS())
	e, err := Open(dir, path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(
		job{
			Verb:   "apply",
			Dir:    dir,
			Netns:  string(path),
			Plan:   raiseFrom(e, "64", "4096"),
			Within: time.Second,
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", workerWord)
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	var said answer
	if err != nil || json.Unmarshal(out, &said) != nil || said.Err != "" {
		t.Fatalf("apply: %v, %s", err, out)
	}
	lead(t, link, b.NetNS())
	a.want("applied", "4096")
	r, err := store{dir: dir}.read(1)
	if err != nil {
		t.Fatal(err)
	}
	if status := ends(t, r.Guard); status != 3 {
		t.Errorf("exit status %d, want 3: reverted", status)
	}
	a.want("rolled back", "64")
	b.want("rolled back", "4096")
}

// A namespace ends and another one gets its number. The run ended with the first, and nothing of it
// is looked for in the second.
func TestNumberOfANamespaceComesBack(t *testing.T) {
	first := newSpace(t)
	dir := filepath.Join(t.TempDir(), "state")
	first.set("64")
	e, err := Open(dir, netns.Path(first.NetNS()))
	if err != nil {
		t.Fatal(err)
	}
	number := e.Here.Netns
	if e.Here.Cookie == 0 {
		t.Skip(
			"this kernel has no cookies of namespaces: before Linux 5.14 the inode " +
				"number has to do",
		)
	}
	if _, err := e.Apply(t.Context(), raiseFrom(e, "64", "4096"), Options{}); err != nil {
		t.Fatal(err)
	}
	e.held.Close()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again := newSpace(t)
	for n := 0; again.number() != number; n++ {
		if n > 200 {
			t.Skip("no namespace got the number again")
		}
		again = newSpace(t)
	}
	again.set("4096")
	here, err := Open(dir, netns.Path(again.NetNS()))
	if err != nil {
		t.Fatal(err)
	}
	s, err := here.Status()
	if err != nil || len(s.Runs) != 1 || s.Runs[0].State != Over || !s.Settled() ||
		s.Runs[0].Changes[0].Now != NowGone {
		t.Errorf("status %+v, %v", s, err)
	}
	var refused *Refusal
	if _, err := here.Rollback(1, false); !errors.As(err, &refused) ||
		!strings.Contains(err.Error(), "has ended") ||
		refused.Hint == "" {
		t.Errorf("rollback in the other namespace: %v", err)
	}
	again.want("refused", "4096")
	own, err := Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	taken, err := own.Rollback(1, false)
	if err != nil || taken.State != Undone || len(taken.Items) != 1 ||
		taken.Items[0].Outcome != Gone {
		t.Errorf("rollback: %+v, %v", taken, err)
	}
	again.want("closed", "4096")
}

func (s space) number() string {
	id, err := netns.Identify(netns.Path(s.NetNS()))
	if err != nil {
		s.t.Fatal(err)
	}
	return id.String()
}

// A plan names what is changed by what it writes to: the name of a process in a file is nobody's
// word.
func TestLabelsAreThoseOfTheTarget(t *testing.T) {
	child := sleeper(t)
	e, err := Open(filepath.Join(t.TempDir(), "state"), "")
	if err != nil {
		t.Fatal(err)
	}
	c := change(
		plan.Target{
			Kind:  host.ProcessKind,
			Name:  strconv.Itoa(child.Process.Pid),
			Field: fieldSoft,
			Start: startOf(child.Process.Pid),
		},
		"1",
		"2",
	)
	c.Setting = fmt.Sprintf("soft descriptor limit of nginx (pid %d)", child.Process.Pid)
	p := e.Hold(plan.Plan{Changes: []plan.Change{c}})
	want := fmt.Sprintf("soft descriptor limit of sleep (pid %d)", child.Process.Pid)
	if p.Changes[0].Setting != want {
		t.Errorf("called %q, want %q", p.Changes[0].Setting, want)
	}
}

// sleeper is a process that waits.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(nstest.Tool(t, "sleep"), "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	awaitExec(t, cmd.Process.Pid, "sleep")
	return cmd
}

// awaitExec waits until a process has become the program that it is to be.
func awaitExec(t *testing.T, pid int, name string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && strings.TrimSpace(string(text)) == name {
			return
		}
	}
	t.Fatalf("process %d does not become %s", pid, name)
}

// A listener is closed and opened again at the same address between the check and the write: the
// new one is somebody's choice, and is left alone. So is a socket with the number of the old one
// and another cookie.
func TestListenerIsReopened(t *testing.T) {
	s := newSpace(t)
	server, err := s.Spawn("server")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort("127.0.0.1:8080")
	group, _, err := server.Listen(lab.ListenSpec{Addr: at, Backlog: 5})
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(filepath.Join(t.TempDir(), "state"), netns.Path(s.NetNS()))
	if err != nil {
		t.Fatal(err)
	}
	p, err := lengthened(e, at.String(), 50, server.PID())
	if err != nil {
		t.Fatal(err)
	}
	target := p.Changes[len(p.Changes)-1].Target
	if target.Cookie == 0 {
		t.Error("the plan does not name the cookie of the socket")
	}
	other := target
	other.Cookie++
	for what, try := range map[string]plan.Target{"another cookie": other} {
		if err := e.Kernel.Write(try, "50"); !errors.Is(err, ErrGone) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := server.Close(group, lab.CloseSpec{}); err != nil {
		t.Fatal(err)
	}
	group, _, err = server.Listen(lab.ListenSpec{Addr: at, Backlog: 5})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Apply(t.Context(), p, Options{}); !errors.Is(err, ErrGone) {
		t.Errorf("applied to a socket that was closed: %v", err)
	}
	if q, err := server.Queue(group); err != nil || q.Limit != 5 {
		t.Errorf("the new listener has a queue of %d (%v), want 5", q.Limit, err)
	}
}

// Where the kernel does not tell, a namespace is looked for: it has ended where its number
// has another cookie, and not while something leads to it.
func TestLookForANamespace(t *testing.T) {
	s := newSpace(t)
	e, err := Open(filepath.Join(t.TempDir(), "state"), netns.Path(s.NetNS()))
	if err != nil {
		t.Fatal(err)
	}
	here := e.Here
	if nowhere(here) || namespaceGone(here) {
		t.Error("a namespace with a process in it has ended")
	}
	here.Path = "/nowhere"
	if nowhere(here) || namespaceGone(here) {
		t.Error("a namespace with a process in it has ended, as no path leads there")
	}
	if here.Cookie == 0 {
		return
	}
	here.Cookie++
	if !nowhere(here) {
		t.Error("the number is another namespace's, and the first one has not ended")
	}
	here.Netns = "net:[x]"
	if namespaceGone(here) {
		t.Error("a namespace without a number has ended")
	}
}
