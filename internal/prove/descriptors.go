package prove

import (
	"time"

	"github.com/maxconn/maxconn/internal/lab"
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
