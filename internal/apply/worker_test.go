package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
)

// workerWord makes the test binary a worker, which does one job on the real kernel, in a
// lab, and may be killed at any step of it.
const workerWord = "apply-worker"

func TestMain(m *testing.M) {
	// with -race each of thousands of workers would sleep for a second at its end
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	lab.Main()
	if len(os.Args) > 1 && os.Args[1] == workerWord {
		os.Exit(work(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// job is what a worker reads from its standard input.
type job struct {
	Verb   string // plan, apply, confirm, rollback, revert, status, watch, values
	Dir    string // the state directory
	Netns  string // the path of the network namespace, "" for the own one
	Etc    string // where files for the next boot go, "" for none
	Plan   plan.Plan
	Server int // plan: the process whose limits are raised
	Within time.Duration
	KillAt int  // ends itself by SIGKILL after that many steps; 0 never
	Closed bool // /proc/sys is mounted read-only first
	// apply: of a session of its own, stops for good at the last kernel write, until
	// somebody kills it
	Slow   bool
	Alone  bool // apply: nothing watches, as after a kill -9 of what does
	Nobody bool // gives up all rights first
	// apply: what it is judged by; guard: the window that the judge sees afterwards
	Fix   *fix.Before
	After string
}

// answer is what a worker prints.
type answer struct {
	Steps  int
	Err    string
	Plan   plan.Plan
	Report Report
	Taken  Taken
	Status Status
	Values []string // of the targets of the plan, now
}

func work(args []string) int {
	var j job
	if len(args) > 0 { // watch: the process that outlives the others has no standard input
		j = job{Verb: "watch", Dir: args[0]}
	} else if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if j.Closed {
		if err := closeProcSys(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	if j.Nobody {
		if err := syscall.Setuid(65534); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	open := func() (*Engine, error) { return Open(j.Dir, netns.Path(j.Netns)) }
	if j.Verb == "watch" {
		open = func() (*Engine, error) { return Inherited(j.Dir, "") }
	}
	e, err := open()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if j.Verb == "watch" {
		return watchWork(e, args[1])
	}
	var a answer
	e.Step.After = func(op, subject string) {
		if a.Steps++; a.Steps == j.KillAt {
			dieNow()
		}
	}
	if j.Slow {
		if _, err := syscall.Setsid(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		e.Step.Before = func(op, subject string) error {
			if op == "kernel" && strings.HasPrefix(subject, "accept queue") {
				select {}
			}
			return nil
		}
	}
	if j.Etc != "" {
		e.Files = func(plan.Plan) ([]persist.File, error) {
			return []persist.File{{
				Path:    filepath.Join(j.Etc, "sysctl.d", "50-maxconn.conf"),
				Mode:    0o644,
				Content: []byte("a = 1\n"),
			}}, nil
		}
	}
	e.Guard, e.Owns = guardOf(e, j), func(string) bool { return true }
	a.do(e, j)
	for _, c := range j.Plan.Changes {
		v, err := e.Kernel.Read(c.Target)
		if err != nil {
			v = err.Error()
		}
		a.Values = append(a.Values, v)
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		return 2
	}
	return 0
}

func (a *answer) do(e *Engine, j job) {
	var err error
	switch j.Verb {
	case "plan":
		a.Plan, err = realPlan(e, j.Server)
	case "apply":
		a.Report, err = e.Apply(context.Background(), j.Plan,
			Options{Within: j.Within, Persist: j.Etc != "", Fix: j.Fix})
	case "guard":
		e.Evidence = shows(j.After)
		_, err = e.Watch(context.Background(), 1)
	case "confirm":
		a.Report, err = e.Confirm(0)
	case "revert": // what the watching process does when it is told to end
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err = e.Watch(ctx, 1)
	case "rollback":
		a.Taken, err = e.Rollback(0, false)
	case "status":
		a.Status, err = e.Status()
	}
	if err != nil {
		a.Err = err.Error()
	}
}

func dieNow() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}

// closeProcSys mounts /proc/sys read-only for the calling thread alone, as container
// runtimes do for a process; the goroutine stays on it.
func closeProcSys() error {
	runtime.LockOSThread()
	for _, err := range []error{
		unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""),
		unix.Mount("", "/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// lengthened is a plan for the queue of a listener, of which the engine has taken hold.
func lengthened(e *Engine, listener string, limit int64, pid int) (plan.Plan, error) {
	s, err := observe.Observe(context.Background(), observe.Options{Namespace: e.Namespace()})
	if err == nil {
		s, err = e.Through(s, pid)
	}
	if err != nil {
		return plan.Plan{}, err
	}
	p, err := plan.Lengthen(s, []plan.Queue{{Listener: listener, Limit: limit}}, plan.Options{})
	return e.Hold(p), err
}

// realPlan is a plan for the process of a lab: its listener's queue with somaxconn, its
// soft limit, and the range of ports.
func realPlan(e *Engine, server int) (plan.Plan, error) {
	p, err := lengthened(e, "127.0.0.1:8080", 4096, server)
	if err != nil {
		return p, err
	}
	queue := p.Changes[len(p.Changes)-1].Target
	more := []plan.Change{
		{Target: plan.Target{
			Kind:  host.ProcessKind,
			Name:  strconv.Itoa(server),
			Field: fieldSoft,
			Start: queue.Start,
		}, To: "256"},
		{Target: plan.Target{Kind: host.SysctlKind, Name: "net.ipv4.ip_local_port_range"},
			To: "20000 60999"},
		{Target: plan.Target{Kind: host.LinkKind, Name: "lo", Field: fieldTxQueueLen},
			To: "2000"},
	}
	for _, c := range more {
		c.Setting = words(c.Target)
		if c.From, err = e.Kernel.Read(c.Target); err != nil {
			return p, err
		}
		p.Changes = append([]plan.Change{c}, p.Changes...)
	}
	return p, nil
}

// guardOf starts the watching process as the program does: of its own session, deaf to hangups.
func guardOf(e *Engine, j job) func(int) (int, error) {
	return func(id int) (int, error) {
		if j.Alone || j.KillAt > 0 {
			return os.Getpid(), nil
		}
		return e.Detach("/proc/self/exe", []string{workerWord, j.Dir, strconv.Itoa(id)})
	}
}

func watchWork(e *Engine, id string) int {
	n, err := strconv.Atoi(id)
	if err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := Detached(); err != nil {
		return 2
	}
	w, err := e.Watch(ctx, n)
	switch {
	case err != nil:
		return 70
	case w == WatchedReverted:
		return 3
	case w == WatchedLeft:
		return 1
	}
	return 0
}
