//go:build linux

package faults

import (
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// What processes run out of, or leak.
var processFaults = []fault{
	{
		name: "a process at its descriptor limit",
		make: func(w world) scene {
			l := w.listen(8080, 128)
			w.connect(l, lab.ConnectSpec{To: at(8080), N: 50})
			w.must(w.server.Limit(100))
			out, err := w.server.FillFiles()
			w.must(err)
			if out.Errors["EMFILE"] == 0 {
				w.Fatalf("no EMFILE: %v", out.Errors)
			}
			return scene{works: w.takes(l, 8080)}
		},
		want: want{limit: "process-files", severity: "critical", subject: "server",
			process: "server", cause: `100`,
			remedies: []string{`live prlimit`}},
	},
	{
		name: "a CLOSE_WAIT leak",
		make: func(w world) scene {
			l := w.listen(8080, 512)
			opened, accepted := w.connect(l, lab.ConnectSpec{To: at(8080), N: 300})
			_, err := w.client.Close(opened.Group, lab.CloseSpec{N: 250})
			w.must(err)
			// Before that they may be about to close.
			time.Sleep(2100 * time.Millisecond)
			return scene{works: w.without(accepted.Group, "CLOSE_WAIT")}
		},
		want: want{limit: "close-wait", severity: "warning", subject: "server",
			process:  "server",
			cause:    `CLOSE_WAIT.*8080|8080.*CLOSE_WAIT`,
			remedies: []string{`application`}, never: []string{`setting`}},
	},
	{
		// "accept tcp [::]:5514: too many open files", again and again, and clients that
		// wait.
		name:   "no descriptor is left to accept with",
		report: "https://github.com/mozilla-services/heka/issues/1158",
		make: func(w world) scene {
			l := w.listen(8080, 16)
			w.connect(l, lab.ConnectSpec{To: at(8080), N: 5})
			w.must(w.server.Limit(100))
			_, err := w.server.FillFiles()
			w.must(err)
			w.knock(8080, 40)
			w.full(l, 17)
			// the fault is that time passes and nobody can accept
			time.Sleep(2100 * time.Millisecond)
			return scene{works: w.takes(l, 8080)}
		},
		want: want{limit: "process-files", severity: "critical", subject: "server",
			process: "server", cause: `accept\(\)`,
			remedies: []string{`live prlimit`}},
	},
	{
		// "Connections closed by node stay permanently in FIN_WAIT2": socket.end() is
		// only shutdown().
		name:   "a program that shuts down and does not close",
		report: "https://github.com/nodejs/node-v0.x-archive/issues/3613",
		make: func(w world) scene {
			l := w.listen(8080, 512)
			_, accepted := w.connect(l, lab.ConnectSpec{To: at(8080), N: 600})
			_, err := w.server.Shutdown(accepted.Group)
			w.must(err)
			w.reach(w.server, accepted, "FIN_WAIT_2")
			return scene{works: w.without(accepted.Group, "FIN_WAIT_2")}
		},
		want: want{limit: "fin-wait", severity: "warning", subject: "server",
			process: "server", cause: `600.*FIN_WAIT_2`,
			remedies: []string{`application.*close\(\)`}, never: []string{`setting`}},
	},
	{
		// "pthread_create: Resource temporarily unavailable" in a container with few
		// threads: the user has more elsewhere.
		name:   "threads at a hard RLIMIT_NPROC",
		report: "https://github.com/docker/for-linux/issues/654",
		make: func(w world) scene {
			if err := w.server.Become(ordinary); err != nil {
				w.Skipf("another user: %v", err)
			}
			const each = 60
			for port := range uint16(each) { // a thread each
				w.must(w.server.Serve(w.listen(9000+port, 1), lab.Hold))
			}
			if !w.await(func() bool { return w.threads(w.server) > each }) {
				w.Fatalf("only %d threads", w.threads(w.server))
			}
			// the Go runtime may want more
			w.taskLimitTo(w.server, w.threads(w.server)+spare)
			return scene{works: func() bool {
				return w.taskLimit(w.server) > uint64(w.threads(w.server))+spare
			}}
		},
		want: want{limit: "threads", severity: "critical or warning", subject: "server",
			process: "server", cause: `RLIMIT_NPROC`,
			remedies: []string{`live prlimit --pid \d+ --nproc=\d+:\d+`}},
	},
}

// threads is how many a process has.
func (w world) threads(a *lab.Actor) int {
	w.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", a.PID()))
	w.must(err)
	return len(tasks)
}

// taskLimitTo sets both values of RLIMIT_NPROC, as the process's user, who may lower them.
func (w world) taskLimitTo(a *lab.Actor, n int) {
	w.Helper()
	out, err := exec.Command("setpriv", fmt.Sprintf("--reuid=%d", ordinary), "prlimit",
		"--pid", fmt.Sprint(a.PID()), fmt.Sprintf("--nproc=%d:%d", n, n)).CombinedOutput()
	if err != nil {
		w.Fatalf("set RLIMIT_NPROC: %v %s", err, out)
	}
}

// spare is how many threads more the program may have: nearly none.
const spare = 4

// ordinary is a user whom nobody is.
const ordinary = 12345

// taskLimit is the soft RLIMIT_NPROC of a process.
func (w world) taskLimit(a *lab.Actor) uint64 {
	w.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", a.PID()))
	w.must(err)
	limits, err := procfs.ParseLimits(text)
	w.must(err)
	l, _ := limits.Named("Max processes")
	return l.Soft.N
}
