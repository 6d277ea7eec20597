//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
	"github.com/maxconn/maxconn/internal/plan"
)

// Servers as Debian ships them, in a namespace of their own, under a load that their
// settings do not take: the limit is named, lifted while they run, and put back.

// needServers skips where a program is missing, named with its Debian package.
// MAXCONN_REQUIRE=servers makes that a failure.
func needServers(t *testing.T, packages map[string]string) {
	t.Helper()
	if testing.Short() {
		t.Skip("real servers under load are not for -short")
	}
	skip := t.Skipf
	if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "servers") {
		skip = t.Fatalf
	}
	if os.Geteuid() != 0 {
		skip("a socket of another user's process is changed by root only")
	}
	for program, name := range packages {
		if _, err := exec.LookPath(program); err != nil {
			skip("no %s here: it is in the Debian package %s", program, name)
		}
	}
}

// start runs a program in the namespace until stop, or the end of the test. It is the first
// of a process namespace, so that what it has forked ends with it, even when the test is
// killed (pid_namespaces(7)).
func (w world) start(argv ...string) (stop func()) {
	w.Helper()
	var out bytes.Buffer
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdout, c.Stderr = &out, &out
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID,
		Pdeathsig: syscall.SIGKILL}
	started, ended, stopped := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		// The thread waits, too: the parent-death signal is sent when the thread
		// that started it ends (prctl(2)).
		err := netns.Do(netns.Path(w.lab.NetNS()), func() error {
			if err := c.Start(); err != nil {
				return err
			}
			close(started)
			return c.Wait()
		})
		select {
		case <-stopped:
		default:
			w.Errorf("%s ended: %v\n%s", argv[0], err, &out)
		}
	}()
	select {
	case <-started:
	case <-ended:
		w.FailNow()
	}
	stop = sync.OnceFunc(func() {
		close(stopped)
		c.Process.Kill() // no error matters: either it is killed or it has ended
		<-ended
	})
	w.Cleanup(stop)
	return stop
}

// await looks until something is so; the kernel tells nobody of a counter or of a queue.
func (w world) await(what string, so func() bool) {
	w.Helper()
	for end := time.Now().Add(30 * time.Second); !so(); time.Sleep(5 * time.Millisecond) {
		if w.Failed() {
			w.FailNow()
		}
		if time.Now().After(end) {
			w.Fatalf("still not so: %s", what)
		}
	}
}

// queue is the accept queue of the listener on a port, as sock_diag says; the zero Queue
// where none listens.
func (w world) queue(port uint16) (q lab.Queue) {
	w.Helper()
	r := sockdiag.Request{States: sockdiag.Listen.Mask(), SourcePort: port}
	w.must(netns.Do(netns.Path(w.lab.NetNS()), func() error {
		c, err := sockdiag.Open()
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Dump(r, func(s *sockdiag.Socket) error {
			q = lab.Queue{Used: int(s.ReceiveQueue), Limit: int(s.SendQueue)}
			return nil
		})
	}))
	return q
}

// counter reads a counter of the namespace; file is netstat or snmp.
func (w world) counter(file, name string) (n int64) {
	w.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", w.lab.PID(), file))
	n = -1
	w.must(err)
	w.must(procfs.ParseCounters(text, func(proto, key, value string) {
		if proto+"."+key == name {
			n, err = strconv.ParseInt(value, 10, 64)
		}
	}))
	w.must(err)
	if n < 0 {
		w.Fatalf("no counter %s", name)
	}
	return n
}

func (w world) overflows() int64 { return w.counter("netstat", "TcpExt.ListenOverflows") }
func (w world) opened() int64    { return w.counter("snmp", "Tcp.PassiveOpens") }

// overflowing waits until the accept queue has refused some more.
func (w world) overflowing() {
	end := w.overflows() + 20
	w.await("the accept queue overflows", func() bool { return w.overflows() >= end })
}

// maxconn runs a verb, in the lab or from outside, and decodes what it wrote.
func (w world) maxconn(inside bool, status int, result any, args ...string) {
	w.Helper()
	path, err := binary()
	w.must(err)
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(w.Context(), path, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	if inside {
		err = netns.Do(netns.Path(w.lab.NetNS()), c.Run)
	} else {
		c.Args = append(c.Args, "--netns", w.lab.NetNS())
		err = c.Run()
	}
	if c.ProcessState == nil || c.ProcessState.ExitCode() != status {
		w.Fatalf("%q: %v, want status %d\n%s%s", args, err, status, &stdout, &stderr)
	}
	if result != nil {
		w.must(json.Unmarshal(stdout.Bytes(), result))
	}
}

// found gives the finding of a limit that is no mere information, if there is one.
func (w world) found(id string, args ...string) (diagnose.Finding, bool) {
	w.Helper()
	r, _ := w.check(args...)
	for _, f := range r.Findings {
		if f.Limit == id && f.Severity != diagnose.Info {
			return f, true
		}
	}
	return diagnose.Finding{}, false
}

// nginx starts one with one worker. With limits, "soft:hard", those are its descriptor limits.
func (w world) nginx(backlog int, limits string) {
	w.Helper()
	dir := w.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	w.must(os.WriteFile(file, fmt.Appendf(nil, `daemon off;
user root root; # prlimit() on another user's worker takes CAP_SYS_RESOURCE, which root in a container may lack
worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 1024; }
http {
	access_log off;
	keepalive_timeout 0;
	server { listen 127.0.0.1:8080 backlog=%[2]d; location / { return 200 "well\n"; } }
}
`, dir, backlog), 0o644))
	argv := []string{"nginx", "-p", dir, "-c", file}
	if limits != "" {
		argv = append([]string{"prlimit", "--nofile=" + limits}, argv...)
	}
	w.start(argv...)
	w.await("nginx listens", func() bool { return w.queue(8080).Limit == backlog })
}

// liftedAndBack is the story of an accept queue: named, lifted under the load that
// overflows it, quiet, put back. Apply and rollback run inside or outside the namespace.
func (w world) liftedAndBack(port uint16, process string, backlog int, inside bool,
	load ...string) {
	w.Helper()
	state := w.TempDir()
	stop := w.start(load...)
	w.overflowing()
	f, ok := w.found("accept-queue", "--for", "2s")
	if !ok || !strings.Contains(f.Subject, at(port).String()) || f.Process != process ||
		f.Severity != diagnose.Critical {
		w.Errorf("check names %+v, want the accept queue of %s at %v", f, process, at(port))
	}

	var done apply.Report
	w.maxconn(inside, statusHolds, &done, "apply", "--listener", fmt.Sprintf(":%d=4096", port),
		"--yes", "--json", "--confirm-within", "0", "--state-dir", state)
	if q := w.queue(port); q.Limit != 4096 || len(done.Receipts) != 1 ||
		done.State != apply.InEffect {
		w.Fatalf("the queue takes %d after apply, want 4096; %+v", q.Limit, done)
	}
	before, more := w.overflows(), w.opened()+5000
	w.await("5000 more connections", func() bool { return w.opened() >= more })
	if n := w.overflows() - before; n != 0 {
		w.Errorf("%d overflows under the same load after apply", n)
	}
	if f, ok := w.found("accept-queue", "--for", "1s"); ok {
		w.Errorf("check still complains: %+v", f)
	}

	stop()
	w.await("the queue is empty", func() bool { return w.queue(port).Used == 0 })
	var back apply.Taken
	w.maxconn(inside, statusHolds, &back, "rollback", "--json", "--state-dir", state)
	if q := w.queue(port); q.Limit != backlog || back.Left != 0 {
		w.Errorf("the queue takes %d after rollback, want %d; %+v", q.Limit, backlog, back)
	}
	w.start(load...)
	w.overflowing() // as it did before
}

func TestNginxQueueIsLifted(t *testing.T) {
	needServers(t, map[string]string{"nginx": "nginx-light", "wrk": "wrk"})
	w := newWorld(t)
	w.nginx(8, "")
	w.liftedAndBack(8080, "nginx", 8, false, "wrk", "-t1", "-c200", "-d10m",
		"http://127.0.0.1:8080/")
}

func TestRedisQueueIsLifted(t *testing.T) {
	needServers(t, map[string]string{"redis-server": "redis-server",
		"redis-benchmark": "redis-tools"})
	w := newWorld(t)
	w.set("net.ipv4.ip_local_port_range", "10000 65535") // the client closes first
	w.start("redis-server", "--port", "6379", "--bind", "127.0.0.1", "--tcp-backlog", "5",
		"--save", "", "--dir", t.TempDir())
	w.await("Redis listens", func() bool { return w.queue(6379).Limit == 5 })
	w.liftedAndBack(6379, "redis-server", 5, true, "redis-benchmark", "-p", "6379", "-k", "0",
		"-c", "200", "-n", "1000000000", "-t", "ping_mbulk", "-q")
}

// A worker of nginx at its soft limit of descriptors: planned, raised while it runs and
// holds its connections, put back.
func TestNginxFilesAreLifted(t *testing.T) {
	needServers(t, map[string]string{"nginx": "nginx-light", "prlimit": "util-linux"})
	w := newWorld(t)
	w.nginx(511, "60:4096")
	// The last ones stay in the accept queue: nginx has no descriptor for them.
	held, err := w.client.Connect(lab.ConnectSpec{To: at(8080), N: 80})
	w.must(err)
	var f diagnose.Finding
	w.await("nginx is at its limit", func() (ok bool) {
		f, ok = w.found("process-files")
		return ok && f.Severity == diagnose.Critical
	})
	if f.Process != "nginx" {
		t.Fatalf("check names %+v, want nginx", f)
	}
	files := func() int {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", f.PID))
		w.must(err)
		return len(list)
	}

	state, file := t.TempDir(), filepath.Join(t.TempDir(), "plan.json")
	var p plan.Plan
	w.maxconn(true, statusHolds, &p, "plan", "--json", "--inbound", ":8080=100", "-o", file)
	w.maxconn(true, statusHolds, nil, "apply", "--yes", "--confirm-within", "0", "--state-dir",
		state, file)
	w.await("nginx holds all connections", func() bool {
		return files() >= held.Count && w.queue(8080).Used == 0
	})
	want := ""
	for _, c := range p.Changes {
		if c.Target.Name == strconv.FormatInt(f.PID, 10) && c.Target.Field == "soft" {
			want = c.To
		}
	}
	if have := w.soft(f.PID); want == "" || have != want {
		t.Errorf("soft limit %s after apply, want %q of %+v", have, want, p.Changes)
	}
	if f, ok := w.found("process-files"); ok {
		t.Errorf("check still complains: %+v", f)
	}

	// it would go below what is in use
	w.maxconn(true, statusFailed, nil, "rollback", "--state-dir", state)
	_, err = w.client.Close(held.Group, lab.CloseSpec{})
	w.must(err)
	w.await("nginx has closed them", func() bool { return files() < 30 })
	w.maxconn(true, statusHolds, nil, "rollback", "--state-dir", state)
	if have := w.soft(f.PID); have != "60" {
		t.Errorf("soft limit %s after rollback, want 60", have)
	}
}

// soft is the soft descriptor limit of a process.
func (w world) soft(pid int64) string {
	w.Helper()
	out, err := exec.Command("prlimit", "--pid", strconv.FormatInt(pid, 10), "--nofile",
		"--noheadings", "--output=SOFT").Output()
	w.must(err)
	return strings.TrimSpace(string(out))
}
