package prove

import (
	"fmt"
	"os"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
)

// nobodyElse is a user that has no tasks: a number that distributions and containers do not
// give out, another one for each run.
func nobodyElse() int { return 2_000_000_000 + os.Getpid() }

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
		got, err := a.FillTasks(lab.TaskSpec{N: wanted, UID: nobodyElse(), Limit: limit})
		if err != nil {
			b.CannotRun(fmt.Sprintf("another user cannot be taken here: %v", err))
		}
		o := Exactly(limit, int64(got.Count))
		o.Formula = fmt.Sprintf("RLIMIT_NPROC = %d tasks", limit)
		o.Expect("clone() beyond it", "EAGAIN", got.Errno)

		free := must(a.FillTasks(lab.TaskSpec{N: wanted, UID: nobodyElse(),
			Limit: 4 * wanted}))
		o.Without("tasks with a higher limit", wanted+1, free.Count)
		root := must(a.FillTasks(lab.TaskSpec{N: wanted, Limit: limit}))
		o.Without("tasks of root with the same limit", wanted+1, root.Count)
		return o
	},
})
