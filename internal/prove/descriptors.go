package prove

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
)

var _ = register(Claim{
	ID:    "descriptors-of-a-process",
	Limit: "process-files",
	Says: "a server accepts connections until its descriptors are used up (EMFILE); " +
		"prlimit() on the running process lets it go on at once",
	Source: "fs/file.c alloc_fd; kernel/sys.c do_prlimit",
	Unit:   "connections",
	Takes:  time.Second,
	Busy:   Waits,
	Trial: func(b *Bench) Outcome {
		const wanted, low, high = 100, 64, 256
		w := b.World("net.core.somaxconn=4096")
		server, client := w.Actor("server"), w.Actor("client")
		listener, addr := listenOn(server, 8080, 1024)
		b.Must(server.Limit(low))
		connect(client, addr, wanted)
		g := w.Gauge("process-files", "server (pid")
		got := must(server.Accept(lab.AcceptSpec{Listener: listener, N: wanted}))
		o := Exactly(g.Ceiling, int64(got.Count))
		o.Formula = Formula(g)
		o.Expect("accept() beyond it", map[string]int{"EMFILE": 1}, got.Errors)
		o.Expect("check sees the process refuse", true,
			w.Gauge("process-files", "server (pid").Refusing)
		o.Expect("the connection that was refused stays in the queue", wanted-got.Count,
			must(server.Queue(listener)).Used)

		_, hard, err := server.Files()
		b.Must(err)
		b.Must(w.Prlimit(server, high, hard))
		rest := must(server.Accept(lab.AcceptSpec{Listener: listener,
			N: wanted - got.Count}))
		o.Expect("accepted after prlimit() from another process", wanted-got.Count,
			rest.Count)

		other := w.Actor("other")
		listener, at := listenOn(other, 8081, 1024)
		connect(client, at, wanted)
		b.Must(other.Limit(high))
		free := must(other.Accept(lab.AcceptSpec{Listener: listener, N: wanted}))
		o.Without("accepted with a limit of 256", wanted, free.Count)
		o.Without("errors", map[string]int{}, free.Errors)
		return o
	},
})

var _ = register(Claim{
	ID:    "files-of-the-host",
	Limit: "system-files",
	Says: "each file that fs.file-max is raised by is one more that an ordinary user " +
		"may open; beyond it is ENFILE; root is exempt",
	Source:  "fs/file_table.c alloc_empty_file",
	Unit:    "files",
	Takes:   2 * time.Second,
	Busy:    Alone,
	Machine: "fs.file-max is one number for the host",
	Trial: func(b *Bench) Outcome {
		const first, more = 300, 512
		w := b.Machine()
		user, root := w.Actor("user"), w.Actor("root")
		b.Must(user.Become(nobodyElse(3)))
		open := must(strconv.Atoi(strings.Fields(must(w.Value("fs.file-nr")))[0]))
		w.SetUntilDone("fs.file-max", fmt.Sprint(open+first))
		full := must(user.FillFiles())
		w.SetUntilDone("fs.file-max", fmt.Sprint(open+first+more))
		rest := must(user.FillFiles())
		g := w.Gauge("system-files", "")
		// The count that is compared first lags by less than 32 for each CPU
		// (lib/percpu_counter.c percpu_counter_batch), so the limit bites that much
		// later.
		lag := float64(32 * runtime.NumCPU())
		o := Between(more-lag, more+lag, float64(rest.Count))
		o.Predicted, o.Formula = more,
			fmt.Sprintf("fs.file-max from %d to %d; each end may come up to 32 "+
				"files for each CPU late", open+first, open+first+more)
		o.ExpectThat("open() at the limit", "ENFILE", full.Errors,
			full.Errors["ENFILE"] == 1 && rest.Errors["ENFILE"] == 1)
		o.Expect("check sees the host full, or all but full: the count it can read may lag",
			true, g.Full() || g.IsNear())

		b.Must(root.Limit(64))
		o.Without("ENFILE for root meanwhile, who ends at a limit of its own (EMFILE)",
			map[string]int{"EMFILE": 1}, must(root.FillFiles()).Errors)
		return o
	},
})

var _ = register(Claim{
	ID:    "hard-limit-of-descriptors",
	Limit: "process-files",
	Says: "CAP_SYS_RESOURCE raises the hard limit of a running process, up to " +
		"fs.nr_open and not beyond; without it nobody does",
	Source: "kernel/sys.c do_prlimit",
	Unit:   "descriptors",
	Takes:  time.Second,
	Busy:   Alone,
	Machine: "containers do not have CAP_SYS_RESOURCE, and fs.nr_open is one number for " +
		"the host",
	Trial: func(b *Bench) Outcome {
		const low, high = 300, 600
		w := b.Machine()
		server, user := w.Actor("server"), w.Actor("user")
		listenOn(server, 8080, 16) // check looks at processes with sockets
		b.Must(w.Prlimit(server, low, low))
		before := must(server.FillFiles())
		b.Must(w.Prlimit(server, high, high))
		g := w.Gauge("process-files", "server (pid")
		after := must(server.FillFiles())
		o := Exactly(high-low, int64(after.Count))
		o.Formula = fmt.Sprintf("hard and soft limit from %d to %d", low, high)
		o.ExpectThat("open() at the limit", "EMFILE", before.Errors,
			before.Errors["EMFILE"] == 1 && after.Errors["EMFILE"] == 1)
		o.Expect("check reads the new limit", high, stepOf(g, limit.SoftFiles))
		nrOpen := must(strconv.ParseUint(must(w.Value("fs.nr_open")), 10, 64))
		o.Expect("a hard limit above fs.nr_open", "EPERM",
			refusal(w.Prlimit(server, high, nrOpen+1)))

		b.Must(w.Prlimit(user, low, low))
		b.Must(user.Become(nobodyElse(4)))
		o.Without("an ordinary user raises the own hard limit", "EPERM",
			refusal(user.Raise(low, high)))
		return o
	},
})

// refusal names the errno of an error that a verb gave.
func refusal(err error) string {
	switch {
	case err == nil:
		return "none"
	case errors.Is(err, syscall.EPERM):
		return "EPERM"
	}
	return err.Error()
}

var _ = register(Claim{
	ID:    "watches-of-a-user",
	Limit: "epoll-watches",
	Says: "fs.epoll.max_user_watches bounds what all epoll instances of a user watch; " +
		"beyond it epoll_ctl() fails with ENOSPC",
	Source:  "fs/eventpoll.c ep_insert",
	Unit:    "watches",
	Takes:   time.Second,
	Busy:    Alone,
	Machine: "fs.epoll.max_user_watches is one number for the host",
	Trial: func(b *Bench) Outcome {
		const allowed, wanted = 100, 250
		w := b.Machine(fmt.Sprintf("fs.epoll.max_user_watches=%d", allowed))
		user := w.Actor("user")
		b.Must(user.Become(nobodyElse(5)))
		listenOn(user, 8080, 16) // check looks at users with sockets
		g := w.Gauge("epoll-watches", fmt.Sprintf("uid %d", nobodyElse(5)))
		got := must(user.Watch(wanted))
		o := Exactly(g.Ceiling, int64(got.Count))
		o.Formula = "fs.epoll.max_user_watches"
		o.Expect("epoll_ctl() beyond it", map[string]int{"ENOSPC": 1}, got.Errors)

		w.SetUntilDone("fs.epoll.max_user_watches", "10000")
		rest := must(user.Watch(wanted))
		o.Without("watches with a higher limit", wanted, rest.Count)
		o.Without("errors", map[string]int{}, rest.Errors)
		return o
	},
})
