package prove

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

// nobodyElse is a user that has no tasks: a number that distributions and containers do not
// give out, another one for each run and for each claim: claims run beside each other.
func nobodyElse(claim int) int { return 2_000_000_000 + claim<<22 + os.Getpid() }

var _ = register(Claim{
	ID:    "tasks-of-a-user",
	Limit: "threads",
	Says: "RLIMIT_NPROC bounds all tasks of a user, threads and processes; the next " +
		"clone() fails with EAGAIN; root is exempt",
	Source: "kernel/fork.c copy_process",
	Unit:   "tasks",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const limit, wanted = 20, 60
		if os.Geteuid() != 0 {
			b.CannotRun("only root takes a user whose tasks are all known")
		}
		a := b.World().Actor("maker")
		got, err := a.FillTasks(lab.TaskSpec{N: wanted, UID: nobodyElse(1), Limit: limit})
		if err != nil {
			b.CannotRun(fmt.Sprintf("another user cannot be taken here: %v", err))
		}
		o := Exactly(limit, int64(got.Count))
		o.Formula = fmt.Sprintf("RLIMIT_NPROC = %d tasks", limit)
		o.Expect("clone() beyond it", "EAGAIN", got.Errno)

		free := must(a.FillTasks(lab.TaskSpec{N: wanted, UID: nobodyElse(1),
			Limit: 4 * wanted}))
		o.Without("tasks with a higher limit", wanted+1, free.Count)
		root := must(a.FillTasks(lab.TaskSpec{N: wanted, Limit: limit}))
		o.Without("tasks of root with the same limit", wanted+1, root.Count)
		return o
	},
})

var _ = register(Claim{
	ID:    "tasks-of-a-user-namespace",
	Limit: "threads",
	Says: "since Linux 5.14 RLIMIT_NPROC of a process in a user namespace bounds the tasks " +
		"that " +
		"its user has in that namespace: those that he has outside do not count",
	Source: "kernel/ucount.c inc_rlimit_ucounts; d64696905554 (5.14)",
	Unit:   "tasks",
	Takes:  time.Second,
	Busy:   Waits,
	Needs:  "5.14",
	Trial: func(b *Bench) Outcome {
		const limit, wanted = 20, 60
		if os.Geteuid() != 0 {
			b.CannotRun("only root takes a user whose tasks are all known")
		}
		w, uid := b.World(), nobodyElse(2)
		for i := range 3 { // each has several threads
			if err := w.Actor(fmt.Sprintf("other%d", i)).Become(uid); err != nil {
				b.CannotRun(fmt.Sprintf("another user cannot be taken here: "+
					"%v", err))
			}
		}
		a := w.Actor("maker")
		inside, err := a.FillTasks(lab.TaskSpec{N: wanted, UID: uid, Limit: limit,
			Own: true})
		if err != nil {
			b.CannotRun(fmt.Sprintf("no user namespace can be made here: %v", err))
		}
		o := Exactly(limit, int64(inside.Count))
		o.Formula = fmt.Sprintf("RLIMIT_NPROC = %d tasks in the namespace", limit)
		o.Expect("clone() beyond it", "EAGAIN", inside.Errno)

		outside := must(a.FillTasks(lab.TaskSpec{N: wanted, UID: uid, Limit: limit}))
		o.Without("as many tasks where those outside count", false, outside.Count >= limit)
		return o
	},
})

// loadTasks is the number of all tasks in the text of /proc/loadavg: "0.00 0.00 0.00 1/61 345".
func loadTasks(text string) int64 {
	f := strings.Fields(text)
	if len(f) != 5 {
		panic(abort{fmt.Errorf("/proc/loadavg says %q", text)})
	}
	_, all, _ := strings.Cut(f[3], "/")
	return must(strconv.ParseInt(all, 10, 64))
}

var _ = register(Claim{
	ID:    "tasks-of-the-host",
	Limit: "threads",
	Says: "kernel.threads-max bounds all tasks of the host, root's too; the next " +
		"clone() fails with EAGAIN",
	Source:  "kernel/fork.c copy_process",
	Unit:    "tasks",
	Takes:   time.Second,
	Busy:    Alone,
	Machine: "kernel.threads-max is one number for the host",
	Trial: func(b *Bench) Outcome {
		const room, wanted = 40, 200
		w := b.Machine()
		a := w.Actor("maker")
		now := loadTasks(must(a.FillTasks(lab.TaskSpec{N: 1})).Load)
		w.SetUntilDone("kernel.threads-max", fmt.Sprint(now+room))
		g := w.GaugeAt(w.Snapshot(), "threads", limit.Host)
		got := must(a.FillTasks(lab.TaskSpec{N: wanted}))
		o := Exactly(g.Ceiling, loadTasks(got.Load))
		o.Formula = Formula(g)
		o.Expect("clone() beyond it", "EAGAIN", got.Errno)

		w.SetUntilDone("kernel.threads-max", fmt.Sprint(now+10*wanted))
		free := must(a.FillTasks(lab.TaskSpec{N: wanted}))
		o.Without("tasks made with a higher limit", wanted+1, free.Count)
		return o
	},
})

var _ = register(Claim{
	ID:    "tasks-of-a-cgroup",
	Limit: "threads",
	Says: "pids.max bounds the tasks of a cgroup, root's too; the next clone() fails " +
		"with EAGAIN and pids.events counts it",
	Source:  "kernel/cgroup/pids.c pids_can_fork",
	Unit:    "tasks",
	Takes:   time.Second,
	Busy:    Alone,
	Machine: "a cgroup outlives the program that made it",
	Trial: func(b *Bench) Outcome {
		const most, wanted = 20, 60
		w := b.Machine()
		a, c := w.Actor("maker"), w.group("maxconn-tasks", "pids", "pids.max",
			fmt.Sprint(most))
		got := must(a.FillTasks(lab.TaskSpec{N: wanted, Cgroup: c}))
		o := Exactly(most, int64(got.Count))
		o.Formula = "pids.max"
		o.Expect("clone() beyond it", "EAGAIN", got.Errno)
		o.Expect("pids.events", "max 1",
			strings.Split(must(c.Read("pids.events")), "\n")[0])

		wide := w.group("maxconn-more", "pids", "pids.max", fmt.Sprint(10*wanted))
		free := must(a.FillTasks(lab.TaskSpec{N: wanted, Cgroup: wide}))
		o.Without("tasks made with a higher limit", wanted+1, free.Count)
		o.Without("pids.events", "max 0",
			strings.Split(must(wide.Read("pids.events")), "\n")[0])
		return o
	},
})

// group makes a cgroup with one setting that ends with the trial.
func (w World) group(name, controller, setting, value string) *lab.Cgroup {
	c, err := w.Cgroup(name, []string{controller}, map[string]string{setting: value})
	if err != nil {
		w.b.CannotRun(fmt.Sprintf("no cgroup can be made: %v", err))
	}
	w.b.later(c.Remove)
	return c
}
