//go:build linux

package faults

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/observe"
	"github.com/maxconn/maxconn/internal/plan"
)

// treated is a queue that overflows under a load that goes on, with an engine whose judge is this
// process.
type treated struct {
	world
	listener lab.Group
	*apply.Engine
	plan   plan.Plan
	before fix.Before
}

func (w world) treated() treated {
	w.Helper()
	if os.Geteuid() != 0 {
		w.Skip("only root carries plans out in the namespace of another process")
	}
	l := w.listen(8080, 5)
	d := drive(w.queueing(l, 5, 40))
	w.Cleanup(d.stop)
	d.share(1)
	e, err := apply.Open(filepath.Join(w.TempDir(), "state"), netns.Path(w.lab.NetNS()))
	w.must(err)
	e.Guard = func(id int) (int, error) {
		go e.Watch(w.Context(), id)
		return os.Getpid(), nil
	}
	s, err := observe.Window(w.Context(), observe.Options{Namespace: e.Namespace()},
		time.Second, nil)
	w.must(err)
	p, err := plan.Make(s, plan.Workload{}.Asked(), plan.Options{})
	w.must(err)
	b, err := fix.NewBefore(s, p, 0)
	w.must(err)
	if len(p.Changes) != 1 || len(b.Watched) != 1 || !b.Refusing() {
		w.Fatalf("%+v\n%+v", p, b)
	}
	return treated{w, l, e, e.Hold(p), b}
}

// judged carries the plan out and waits for what comes of it.
func (x treated) judged() fix.Report {
	x.Helper()
	r, err := x.Apply(x.Context(), x.plan, apply.Options{Fix: &x.before,
		Within: x.before.Longest() + 10*time.Second})
	x.must(err)
	report, err := x.AwaitJudgement(x.Context(), r.Run, func() {})
	x.must(err)
	return report
}

func (x treated) wantRolledBack(r fix.Report, verdict fix.Verdict) {
	x.Helper()
	q, err := x.server.Queue(x.listener)
	x.must(err)
	if r.Outcome != fix.RolledBack || r.State != string(apply.Undone) || q.Limit != 5 {
		x.Errorf("the queue takes %d: %+v", q.Limit, r)
	}
	if h, err := x.History(); err != nil || len(h.Runs) != 1 || h.Runs[0].Fix == nil {
		x.Errorf("history: %+v, %v", h, err)
	} else if why := h.Runs[0].Why; len(why) < 9 || why[:len(verdict)] != string(verdict) {
		x.Errorf("history says %q, want %s", why, verdict)
	}
}

// The same plan cures where nobody meddles with it: what the two below differ from.
func TestFixJudges(t *testing.T) {
	t.Parallel()
	x := newWorld(t).treated()
	if r := x.judged(); r.Outcome != fix.Kept {
		t.Errorf("%+v", r)
	}
}

// A remedy that does nothing is rolled back by evidence.
func TestFixRollsBackWhatDoesNothing(t *testing.T) {
	t.Parallel()
	x := newWorld(t).treated()
	const other = "net.ipv4.tcp_max_syn_backlog"
	from, err := x.lab.Value(other)
	x.must(err)
	n, err := strconv.Atoi(from)
	x.must(err)
	c := &x.plan.Changes[0]
	c.Target = plan.Target{Kind: host.SysctlKind, Name: other}
	c.Setting, c.From, c.To = other, from, strconv.Itoa(2*n)
	x.wantRolledBack(x.judged(), fix.NotCured)
	if now, err := x.lab.Value(other); err != nil || now != from {
		t.Errorf("%s is %s, was %s: %v", other, now, from, err)
	}
}

// harming is the running kernel, and a remedy that leaves the server no descriptors.
type harming struct {
	apply.Kernel
	harm func() error
}

func (h harming) Write(t plan.Target, value string) error {
	if err := h.Kernel.Write(t, value); err != nil {
		return err
	}
	return h.harm()
}

// A remedy that has another limit refuse is rolled back, though it does what it is for.
func TestFixRollsBackWhatHarms(t *testing.T) {
	t.Parallel()
	x := newWorld(t).treated()
	other := x.spawn("bystander")
	x.Kernel = harming{x.Kernel, sync.OnceValue(func() error {
		if err := other.Limit(64); err != nil {
			return err
		}
		_, _, err := other.Listen(lab.ListenSpec{Addr: at(9090), Backlog: 5})
		if err != nil {
			return err
		}
		_, err = other.FillFiles()
		return err
	})}
	r := x.judged()
	x.wantRolledBack(r, fix.Worse)
	if len(r.Worse) != 1 || r.Worse[0].Process != "bystander" {
		t.Errorf("%+v", r.Worse)
	}
}
