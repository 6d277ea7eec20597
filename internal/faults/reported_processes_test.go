//go:build linux

package faults

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/lab"
)

// What processes ran out of or leaked, as people have reported it.
var reportedProcesses = []fault{
	{
		// A load generator with 1,024 descriptors: socket() fails at the client, and the
		// server is well.
		name:   "a client at its descriptor limit",
		report: "https://github.com/nghttp2/nghttp2/issues/932",
		make: func(w world) scene {
			l := w.listen(8080, 512)
			w.must(w.client.Limit(100))
			w.must(w.server.Serve(l, lab.Hold))
			w.refused(lab.ConnectSpec{To: at(8080), N: 200}, "EMFILE")
			return w.connecting(lab.ConnectSpec{To: at(8080)})
		},
		want: want{limit: "process-files", severity: "critical", subject: "client",
			process: "client", cause: `100`, remedies: []string{`live prlimit`}},
	},
	{
		// lsof: "sock ... can't identify protocol", hundreds of them: sockets that were
		// made and never connected, until socket() fails.
		name:   "sockets that were never connected",
		report: "https://github.com/hashicorp/vault/issues/1257",
		make: func(w world) scene {
			l := w.listen(8080, 16)
			w.connect(l, lab.ConnectSpec{To: at(8080)})
			w.must(w.server.Limit(200))
			out, err := w.server.Bind(lab.BindSpec{N: 300})
			w.must(err)
			if out.Errors["EMFILE"] == 0 {
				w.Fatalf("no EMFILE: %v", out.Errors)
			}
			return scene{works: w.takes(l, 8080)}
		},
		want: want{limit: "process-files", severity: "critical", subject: "server",
			process: "server", cause: `neither connected nor listening`,
			remedies: []string{`application.*close`}},
	},
	{
		// A server hangs when it has 1,024 connections, nearly all of them in
		// CLOSE_WAIT: a higher limit is full again soon.
		name:   "CLOSE_WAIT fills the descriptors",
		report: "https://github.com/ratchetphp/Ratchet/issues/713",
		make: func(w world) scene {
			l := w.listen(8080, 512)
			w.must(w.server.Limit(100))
			opened, err := w.client.Connect(lab.ConnectSpec{To: at(8080), N: 120})
			w.must(err)
			out, err := w.server.Accept(lab.AcceptSpec{Listener: l, N: 120})
			w.must(err)
			if out.Errors["EMFILE"] == 0 {
				w.Fatalf("no EMFILE: %v", out.Errors)
			}
			_, err = w.client.Close(opened.Group, lab.CloseSpec{N: out.Count})
			w.must(err)
			w.wait()
			return scene{works: w.takes(l, 8080)}
		},
		want: want{limit: "process-files", severity: "critical", subject: "server",
			process: "server", cause: `CLOSE_WAIT`,
			remedies: []string{`application.*close`}},
	},
	{
		// HAProxy forgets connections that its clients have closed; here three
		// processes share the port, and none holds most of them.
		name:   "a CLOSE_WAIT leak in three workers",
		report: "https://github.com/haproxy/haproxy/issues/1195",
		make: func(w world) scene {
			workers := w.workers(8080, 3)
			opened, err := w.client.Connect(lab.ConnectSpec{To: at(8080), N: 300})
			w.must(err)
			gone := w.takeAll(workers)
			_, err = w.client.Close(opened.Group, lab.CloseSpec{})
			w.must(err)
			w.wait()
			return scene{works: gone}
		},
		want: want{limit: "close-wait", severity: "warning", subject: "127.0.0.1:8080",
			cause:    `several processes \(worker\).*CLOSE_WAIT`,
			remedies: []string{`application`}, never: []string{`setting`}},
	},
	{
		// An old HAProxy process after a reload: its listener is closed, its connections
		// are in CLOSE_WAIT, and it never ends.
		name:   "a draining server that does not close",
		report: "https://github.com/haproxy/haproxy/issues/1876",
		make: func(w world) scene {
			l := w.listen(8080, 512)
			opened, accepted := w.connect(l, lab.ConnectSpec{To: at(8080), N: 300})
			_, err := w.server.Close(l, lab.CloseSpec{})
			w.must(err)
			_, err = w.client.Close(opened.Group, lab.CloseSpec{N: 250})
			w.must(err)
			w.wait()
			return scene{works: w.without(accepted.Group, "CLOSE_WAIT")}
		},
		want: want{limit: "close-wait", severity: "warning", subject: "server",
			process: "server", cause: `CLOSE_WAIT.*8080|8080.*CLOSE_WAIT`,
			remedies: []string{`application`}, never: []string{`setting`}},
	},
	{
		// A program ended without closing its connections, and a daemon that it had
		// started has inherited them: "seen in CLOSE_WAIT state at client host".
		name:   "connections that a child has inherited",
		report: "https://github.com/oracle/odpi/issues/152",
		make: func(w world) scene {
			l := w.listen(1521, 512)
			opened, accepted := w.connect(l, lab.ConnectSpec{To: at(1521), N: 150})
			child := w.spawn("daemon")
			inherited, err := child.Borrow(w.client, opened.Group)
			w.must(err)
			w.must(w.client.Kill())
			_, err = w.server.Close(accepted.Group, lab.CloseSpec{})
			w.must(err)
			w.wait()
			w.server = child
			return scene{works: w.without(inherited, "CLOSE_WAIT")}
		},
		want: want{limit: "close-wait", severity: "warning", subject: "daemon",
			process: "daemon", cause: `CLOSE_WAIT.*1521|1521.*CLOSE_WAIT`,
			remedies: []string{`application`}, never: []string{`setting`}},
	},
	{
		// SIGSTOP, as by a debugger: what the peers close meanwhile stays in CLOSE_WAIT,
		// and the program is not at fault.
		name:   "CLOSE_WAIT of a stopped process",
		report: "https://github.com/opencontainers/runc/issues/2585",
		make: func(w world) scene {
			l := w.listen(8080, 512)
			opened, _ := w.connect(l, lab.ConnectSpec{To: at(8080), N: 300})
			w.must(w.server.Stop())
			_, err := w.client.Close(opened.Group, lab.CloseSpec{N: 250})
			w.must(err)
			w.wait()
			return scene{works: func() bool { return w.running(w.server) }}
		},
		want: want{limit: "close-wait", severity: "warning", subject: "server",
			process: "server", cause: `stopped`, remedies: []string{`SIGCONT|kill -CONT`},
			never: []string{`setting`}},
	},
	{
		// "Failed to create service entry worker thread: pthread_create failed": mongod has
		// a thread a connection, and its container a limit on tasks.
		name:   "threads at the pids.max of a cgroup",
		report: "https://github.com/podman-container-tools/podman/issues/17647",
		make: func(w world) scene {
			const each = 40
			group := w.pidsGroup(w.server)
			for port := range uint16(each) { // a thread each
				w.must(w.server.Serve(w.listen(9000+port, 1), lab.Hold))
			}
			if !w.await(func() bool { return group.read("pids.current") > each }) {
				w.Fatalf("only %d tasks", group.read("pids.current"))
			}
			// the Go runtime may want more
			group.write("pids.max", group.read("pids.current")+spare)
			return scene{works: func() bool {
				return group.read("pids.max") > group.read("pids.current")+spare
			}}
		},
		want: want{limit: "threads", severity: "critical or warning",
			subject:  "maxconn-faults",
			cause:    `pids.max`,
			remedies: []string{`pids.max|pids-limit`, `application.*event loop`}},
	},
	{
		// "ulimit: open files: cannot modify limit: Operation not permitted": the hard
		// limit is the soft one.
		name:   "a soft descriptor limit that is the hard one",
		report: "https://github.com/lesismal/go-websocket-benchmark/pull/15",
		make: func(w world) scene {
			l := w.listen(8080, 128)
			w.connect(l, lab.ConnectSpec{To: at(8080), N: 50})
			w.must(w.server.Raise(100, 100))
			out, err := w.server.FillFiles()
			w.must(err)
			if out.Errors["EMFILE"] == 0 {
				w.Fatalf("no EMFILE: %v", out.Errors)
			}
			return scene{works: w.takes(l, 8080)}
		},
		want: want{limit: "process-files", severity: "critical", subject: "server",
			process: "server", cause: `the hard limit is the same`,
			remedies: []string{`live prlimit --pid \d+ --nofile=\d+:\d+.*CAP_SYS_RESOURCE`}},
	},
	{
		// A paused container "establishes new connections too": the kernel goes on
		// answering clients until the queue is full.
		name:   "a server in a frozen cgroup",
		report: "https://github.com/linuxserver/docker-wireguard/issues/311",
		make: func(w world) scene {
			group := w.unified(w.server)
			w.must(w.server.Serve(w.listen(8080, 64), lab.Hold))
			group.freeze()
			w.knock(8080, 100)
			w.wait()
			return scene{works: w.still("TcpExt.ListenOverflows", func() {
				w.knock(8080, 60)
			})}
		},
		want: want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `frozen with its cgroup`,
			remedies: []string{`live .*thaw`}, never: []string{`somaxconn`, `backlog`}},
	},
}

// worker is a process with its own listener.
type worker struct {
	*lab.Actor
	listener lab.Group
}

// workers are processes that listen on one port with SO_REUSEPORT.
func (w world) workers(port uint16, n int) (out []worker) {
	w.Helper()
	for range n {
		one := worker{Actor: w.spawn("worker")}
		var err error
		one.listener, _, err = one.Listen(lab.ListenSpec{Addr: at(port), Backlog: 512,
			ReusePort: true})
		w.must(err)
		out = append(out, one)
	}
	return out
}

// takeAll has each worker accept what the kernel gave it, and says how to see that none of these
// connections is in CLOSE_WAIT.
func (w world) takeAll(workers []worker) func() bool {
	w.Helper()
	taken := make([]lab.Group, len(workers))
	for i, one := range workers {
		q, err := one.Queue(one.listener)
		w.must(err)
		out, err := one.Accept(lab.AcceptSpec{Listener: one.listener, N: q.Used})
		w.must(err)
		taken[i] = out.Group
	}
	return func() bool {
		for i, one := range workers {
			states, err := one.States(taken[i])
			w.must(err)
			if states["CLOSE_WAIT"] > 0 {
				return false
			}
		}
		return true
	}
}

// running says whether a process is not stopped.
func (w world) running(a *lab.Actor) bool {
	w.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.PID()))
	w.must(err)
	_, after, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(after, "T")
}

// cgroup is the directory of one.
type cgroup struct {
	world
	dir string
}

// pidsGroup moves an actor into a cgroup of its own, of whichever version bounds tasks here.
func (w world) pidsGroup(a *lab.Actor) cgroup {
	w.Helper()
	root := "/sys/fs/cgroup/pids"
	if text, err := os.ReadFile("/sys/fs/cgroup/cgroup.subtree_control"); err == nil {
		if !slices.Contains(strings.Fields(string(text)), "pids") {
			w.Skip("the cgroups of this machine do not bound tasks")
		}
		root = "/sys/fs/cgroup"
	}
	return w.inGroup(root, a)
}

// unified moves an actor into a cgroup of version 2 of its own: such a group can be frozen, and
// what is in it can be killed all the same.
func (w world) unified(a *lab.Actor) cgroup {
	w.Helper()
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(root + "/cgroup.controllers"); err == nil {
			return w.inGroup(root, a)
		}
	}
	w.Skip("no cgroups of version 2")
	return cgroup{}
}

// inGroup moves an actor into a cgroup of its own, which ends with it.
func (w world) inGroup(root string, a *lab.Actor) cgroup {
	w.Helper()
	dir, err := os.MkdirTemp(root, "maxconn-faults-")
	if err != nil {
		w.Skipf("no cgroup can be made: %v", err)
	}
	w.Cleanup(func() {
		a.Kill()
		if !w.await(func() bool { return os.Remove(dir) == nil }) { // until it is reaped
			w.Errorf("%s is not empty", dir)
		}
	})
	g := cgroup{w, dir}
	g.write("cgroup.procs", int64(a.PID()))
	return g
}

// freeze stops all that is in the cgroup, and waits until it stands still.
func (g cgroup) freeze() {
	g.Helper()
	g.write("cgroup.freeze", 1)
	if !g.await(func() bool {
		text, err := os.ReadFile(filepath.Join(g.dir, "cgroup.events"))
		g.must(err)
		return strings.Contains(string(text), "frozen 1")
	}) {
		g.Fatal("the cgroup does not freeze")
	}
}

func (g cgroup) write(file string, n int64) {
	g.Helper()
	g.must(os.WriteFile(filepath.Join(g.dir, file), []byte(fmt.Sprint(n)), 0))
}

// read is a figure of the cgroup; "max" is more than any.
func (g cgroup) read(file string) int64 {
	g.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, file))
	g.must(err)
	if strings.TrimSpace(string(text)) == "max" {
		return math.MaxInt64
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	g.must(err)
	return n
}
