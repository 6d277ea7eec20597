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
		name: "no descriptor is left to accept with",
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
		name: "a program that shuts down and does not close",
		make: func(w world) scene {
			l := w.listen(8080, 512)
			_, accepted := w.connect(l, lab.ConnectSpec{To: at(8080), N: 600})
			_, err := w.server.Shutdown(accepted.Group)
			w.must(err)
			return scene{works: w.without(accepted.Group, "FIN_WAIT2")}
		},
		want: want{limit: "fin-wait", severity: "warning", subject: "server",
			process: "server", cause: `600.*FIN_WAIT_2`,
			remedies: []string{`application.*close\(\)`}, never: []string{`setting`}},
	},
	{
		name: "threads at a hard RLIMIT_NPROC",
		make: func(w world) scene {
			if err := w.server.Become(12345); err != nil {
				w.Skipf("another user: %v", err)
			}
			for port := range uint16(40) { // a thread each
				w.must(w.server.Serve(w.listen(9000+port, 1), lab.Hold))
			}
			now := w.threads(w.server)
			limit := fmt.Sprintf("--nproc=%d:%d", now, now)
			out, err := exec.Command("prlimit", "--pid", fmt.Sprint(w.server.PID()),
				limit).CombinedOutput()
			if err != nil {
				w.Fatalf("prlimit %s: %v %s", limit, err, out)
			}
			return scene{works: func() bool {
				return w.taskLimit(w.server) > uint64(w.threads(w.server))
			}}
		},
		want: want{limit: "threads", severity: "critical", subject: "server",
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
