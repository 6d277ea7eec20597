//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/linux/procfs"
	"github.com/maxconn/maxconn/internal/load"
	"github.com/maxconn/maxconn/internal/load/result"
)

// anyStatus is for runs whose goal depends on how busy the machine is.
const anyStatus = -1

// load runs one load in the lab and decodes its report. It works for any user who may have a lab.
func (w world) load(status int, args ...string) (r result.Report) {
	w.Helper()
	path, err := binary()
	w.must(err)
	if !slices.Contains(args, "--timeout") {
		// a busy machine may keep a server from running for seconds
		args = append(args, "--timeout", "2m")
	}
	out, err := w.lab.Run(w.Context(), nil,
		append([]string{path, "load"}, append(args, "--json")...)...)
	w.must(err)
	if out.Code != status && status != anyStatus {
		_ = json.Unmarshal(out.Stdout, &r)
		w.Fatalf("load %q: status %d, want %d\n%q %+v %s", args, out.Code, status, r.Missed,
			r.Failures, out.Stderr)
	}
	w.must(json.Unmarshal(out.Stdout, &r))
	if r.Schema != result.Schema {
		w.Fatalf("schema %q", r.Schema)
	}
	return r
}

// serve starts load serve in the lab; stop ends it and gives its report.
func (w world) serve(args ...string) (stop func() result.Report) {
	w.Helper()
	path, err := binary()
	w.must(err)
	ready := filepath.Join(w.TempDir(), "ready")
	w.must(syscall.Mkfifo(ready, 0o600))
	pipe, err := os.OpenFile(ready, os.O_RDWR, 0)
	w.must(err)
	defer pipe.Close()
	running, end := io.Pipe()
	reports := make(chan result.Report, 1)
	w.Cleanup(func() { end.Close(); <-reports })
	go func() {
		defer close(reports)
		argv := append([]string{path, "load", "serve", "--json", "--while-input=true",
			"--ready-to=" + ready}, args...)
		out, err := w.lab.Run(context.Background(), running, argv...)
		var r result.Report
		if err := errors.Join(err, json.Unmarshal(out.Stdout, &r)); err != nil {
			w.Errorf("serve: %v\n%s", err, out.Stderr)
		}
		reports <- r
	}()
	w.must(pipe.SetReadDeadline(time.Now().Add(30 * time.Second)))
	_, err = pipe.Read(make([]byte, 1))
	w.must(err)
	return func() result.Report { end.Close(); return <-reports }
}

// tcp is a figure of the lab's own sockets, by their name in sockstat.
func (w world) tcp(name string) (n int64) {
	w.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/sockstat", w.lab.PID()))
	w.must(err)
	n = -1
	w.must(procfs.ParseSockstat(text, func(proto, key, value string) {
		if proto+"."+key == name {
			n, err = strconv.ParseInt(value, 10, 64)
		}
	}))
	w.must(err)
	return n
}

func (w world) empty() {
	w.Helper()
	w.await("no socket is left", func() bool {
		return w.tcp("TCP.inuse") == 0 && w.tcp("TCP.tw") == 0
	})
}

// More connections than one descriptor table takes, and than one source address has ports:
// both ends count the same, the kernel agrees, and nothing is left.
func TestLoadHold(t *testing.T) {
	w := newWorld(t)
	w.set("net.ipv4.ip_local_port_range", "40000 43999")
	stop := w.serve("127.0.0.1:7000")
	const n = 9000
	r := w.load(statusHolds, "connect", "127.0.0.1:7000", "--connections", "9k", "--hold",
		"100ms")
	if r.Established != n || r.Held != n || r.PeakOpen != n || !r.GoalMet || r.AtPeak == nil ||
		r.AtPeak.Inuse < 2*n || r.Connect.Seen != n {
		t.Errorf("%+v", r)
	}
	// The kernel's part is not known where other programs gave back more memory meanwhile.
	if r.Bytes.User == nil || r.CPU == nil || len(r.Series) == 0 {
		t.Errorf("not measured: %+v", r)
	}
	if s := stop(); s.Established != n || s.PeakOpen > n {
		t.Errorf("the server accepted %d, at most %d at one time", s.Established,
			s.PeakOpen)
	}
	w.empty()
}

// The lab's namespace has one table for each worker: with room for 500 descriptors in each,
// 3000 connections need several.
func TestLoadTables(t *testing.T) {
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Skip("no prlimit here: it is in the Debian package util-linux")
	}
	w := newWorld(t)
	path, err := binary()
	w.must(err)
	for _, c := range []struct {
		flags  []string
		status int
		check  func(result.Report) bool
	}{
		{nil, statusHolds, func(r result.Report) bool {
			return r.Established == 3000 && r.Tables > 10 && r.Processes == 0
		}},
		{[]string{"--processes"}, statusHolds, func(r result.Report) bool {
			return r.Established == 3000 && r.Processes > 10 && r.WorkersLost == 0 &&
				r.Connect.Seen == 3000
		}},
		{[]string{"--one-table"}, statusBinds, func(r result.Report) bool {
			return r.Established < 250 && r.Established > 200 &&
				r.Errors["EMFILE"] > 0 && r.BoundBy == "process-files"
		}},
	} {
		argv := append([]string{"prlimit", "--nofile=500", path, "load", "pair",
			"--connections", "3000", "--threads", "2", "--hold", "50ms", "--json"},
			c.flags...)
		out, err := w.lab.Run(t.Context(), nil, argv...)
		w.must(err)
		var r result.Report
		w.must(json.Unmarshal(out.Stdout, &r))
		if out.Code != c.status || !c.check(r) {
			t.Errorf("%q: status %d\n%s%s", c.flags, out.Code, out.Stderr, out.Stdout)
		}
		w.empty()
	}
}

func TestLoadChurn(t *testing.T) {
	w := newWorld(t)
	stop := w.serve("127.0.0.1:7000", "--echo")
	closing := w.serve("127.0.0.1:7001", "--answer", "yes", "--close-first")
	for _, c := range []string{"rst", "fin", "reuse"} {
		r := w.load(statusHolds, "connect", "127.0.0.1:7000", "--connections", "500",
			"--close", c, "--send", "ping", "--expect", "4")
		if r.Established != 500 || r.Answered != 500 || r.Answer == nil ||
			r.Answer.Seen != 500 || string(r.Close) != c {
			t.Errorf("%s: %+v", c, r)
		}
		if tw := w.tcp("TCP.tw"); (tw > 0) != (c == "fin") && c != "reuse" {
			t.Errorf("%s: %d connections in TIME_WAIT", c, tw)
		}
	}
	r := w.load(statusHolds, "connect", "127.0.0.1:7001", "--connections", "500", "--close",
		"server-fin", "--send", "ping", "--expect", "3")
	if r.Established != 500 || r.Answered != 500 {
		t.Errorf("server-fin: %+v", r)
	}
	r = w.load(anyStatus, "connect", "127.0.0.1:7000", "--rate", "100/s", "--for", "500ms")
	if r.Established == 0 || r.Established > 50 || r.WantedRate != 100 || len(r.Failures) > 0 {
		t.Errorf("at a rate: %+v", r)
	}
	if s, c := stop(), closing(); s.Established != 1500+r.Established || c.Established != 500 {
		t.Errorf("the servers accepted %d and %d", s.Established, c.Established)
	}
}

func TestLoadPair(t *testing.T) {
	w := newWorld(t)
	for _, c := range []string{"rst", "fin", "server-rst", "server-fin", "reuse"} {
		r := w.load(statusHolds, "pair", "--connections", "2k", "--close", c, "--send",
			"ping", "--expect", "6")
		if r.Established != 2000 || r.Answered != 2000 {
			t.Errorf("%s: %+v", c, r)
		}
		opens := w.counter("snmp", "Tcp.PassiveOpens")
		if opens%2000 != 0 {
			t.Errorf("%s: the kernel counts %d", c, opens)
		}
	}
	w.load(statusHolds, "pair", "--connections", "2k", "--hold", "10ms")
	w.await("no socket is left", func() bool { return w.tcp("TCP.inuse") == 0 })
}

func TestLoadTalk(t *testing.T) {
	w := newWorld(t)
	stop := w.serve("127.0.0.1:7000", "--echo")
	r := w.load(statusHolds, "connect", "127.0.0.1:7000", "--mode", "talk", "--connections",
		"3k", "--hold", "50ms", "--send", "hello", "--expect", "5")
	if r.Established != 3000 || r.Answered != 3000 || r.Answer == nil || r.Answer.Seen != 3000 {
		t.Errorf("talk: %+v", r)
	}
	r = w.load(statusHolds, "connect", "127.0.0.1:7000", "--connections", "200",
		"--message-rate", "2k/s", "--hold", "1s")
	if r.Messages == 0 || float64(r.Messages) > 2000*r.Total {
		t.Errorf("%d messages in %.1f s at 2000/s", r.Messages, r.Total)
	}
	if s := stop(); s.Answered <= 3000 {
		t.Errorf("the server read %d times", s.Answered)
	}
	w.empty()
}

// steps are the connections whose SYN was sent again, by how often that was. Each waited at
// least as long as that takes.
func (w world) steps(r result.Report) map[int]int64 {
	w.Helper()
	n := map[int]int64{}
	for _, s := range r.SYNSteps {
		n[s.Retransmits] += s.Connections
		if s.Seconds < 1<<s.Retransmits-1 {
			w.Errorf("%d SYNs sent again within %d s", s.Retransmits, s.Seconds)
		}
	}
	return n
}

// inBackground starts a load in the lab. What it comes to is judged on the test's own goroutine,
// and it has ended before the test has.
func (w world) inBackground(args ...string) (reported func() result.Report) {
	w.Helper()
	path, err := binary()
	w.must(err)
	type ending struct {
		out lab.Output
		err error
	}
	ended := make(chan ending, 1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, err := w.lab.Run(ctx, nil, append([]string{path, "load"}, append(args,
			"--json")...)...)
		ended <- ending{out, err}
	}()
	w.Cleanup(func() { cancel(); <-done })
	return func() (r result.Report) {
		w.Helper()
		e := <-ended
		w.must(e.err)
		w.must(json.Unmarshal(e.out.Stdout, &r))
		if e.out.Code != statusHolds {
			w.Fatalf("load %q: status %d, %q %s", args, e.out.Code, r.Missed,
				e.out.Stderr)
		}
		return r
	}
}

// An accept queue of 20 and 60 handshakes at once: 20 are in at once, the others after their SYN
// was sent again, as soon as there is room.
func TestLoadAcceptQueue(t *testing.T) {
	w := newWorld(t)
	if _, err := w.lab.Value("net.ipv4.tcp_syn_linear_timeouts"); err == nil {
		w.set("net.ipv4.tcp_syn_linear_timeouts", "0") // Linux 6.5: 1 s, 3 s, 7 s as before
	}
	// SYNs that come in the same moment do not get past a full SYN queue
	w.set("net.ipv4.tcp_syncookies", "0")
	l := w.listen(7000, 19)
	ending := w.inBackground("connect", "127.0.0.1:7000", "--mode", "burst", "--connections",
		"60", "--hold", "10ms", "--threads", "1", "--timeout", "2m")
	w.await("40 do not get in", func() bool { return w.overflows() >= 40 })
	for i := range 2 {
		w.await("the queue is full", func() bool {
			q, err := w.server.Queue(l)
			w.must(err)
			return q.Used == 20
		})
		if out, err := w.server.Accept(lab.AcceptSpec{Listener: l, N: 20}); err != nil ||
			out.Count != 20 {
			t.Errorf("accept %d: %+v %v", i, out, err)
		}
	}
	r := ending()
	// 40 had to send their SYN again. How often each did follows from when the test accepts,
	// which may come in the middle of what the clients send.
	again := int64(0)
	for _, n := range w.steps(r) {
		again += n
	}
	if r.Established != 60 || again != 40 {
		t.Errorf("%d established, %+v", r.Established, r.SYNSteps)
	}
	if r.BoundBy != "accept-queue" || !strings.Contains(r.Because, "127.0.0.1:7000") {
		t.Errorf("bound by %q: %s", r.BoundBy, r.Because)
	}
	if !slices.ContainsFunc(r.Counters, func(m result.Moved) bool {
		return m.Name == "TcpExt.ListenOverflows" && m.By >= 40
	}) {
		t.Errorf("counters %+v", r.Counters)
	}
}

// failed is the count of one kind of failure.
func failed(r result.Report, phase result.Phase, errno string) (n int64) {
	for _, f := range r.Failures {
		if f.Phase == phase && f.Errno == errno {
			n += f.Count
		}
	}
	return n
}

// Servers that do not do what they should: each is counted by errno and phase, and the run goes on.
func TestLoadFailures(t *testing.T) {
	w := newWorld(t)

	r := w.load(statusBinds, "connect", "127.0.0.1:7000", "--connections", "50", "--hold",
		"10ms")
	if failed(r, result.AtConnect, "ECONNREFUSED") != 50 || r.Refused != 50 ||
		r.Attempted != 50 || r.GoalMet || r.BoundBy != "" {
		t.Errorf("refused: %+v", r)
	}

	w.listen(7001, 0) // takes one (two that came in the same moment) and never accepts
	r = w.load(statusBinds, "connect", "127.0.0.1:7001", "--threads", "1", "--connections", "5",
		"--timeout", "300ms", "--hold", "10ms")
	if failed(r, result.AtConnect, "ETIMEDOUT") != 4 || r.TimedOut != 4 || r.Established != 1 ||
		r.BoundBy != "accept-queue" {
		t.Errorf("blackhole: %+v", r)
	}

	stop := w.serve("127.0.0.1:7002", "--close-first", "--reset")
	r = w.load(statusBinds, "connect", "127.0.0.1:7002", "--connections", "50", "--hold",
		"200ms")
	// The reset may come before the client has seen that the connection was made.
	if failed(r, result.AtHeld, "ECONNRESET")+failed(r, result.AtConnect, "ECONNRESET") != 50 ||
		r.Lost+r.Reset != 50 || r.Held != 0 {
		t.Errorf("reset: %+v", r)
	}
	stop()

	w.listen(7003, 128) // the kernel accepts, nobody reads
	r = w.load(statusBinds, "connect", "127.0.0.1:7003", "--connections", "20", "--close",
		"rst", "--timeout", "300ms", "--send", "hello", "--expect", "1")
	if failed(r, result.AtAnswer, "ETIMEDOUT") != 20 || r.Answered != 0 {
		t.Errorf("never answers: %+v", r)
	}

	stop = w.serve("127.0.0.1:7004", "--answer", "no", "--close-first")
	r = w.load(statusBinds, "connect", "127.0.0.1:7004", "--connections", "20", "--close",
		"fin", "--send", "hello", "--expect", "10")
	if failed(r, result.AtAnswer, "SHORT") != 20 {
		t.Errorf("short answer: %+v", r)
	}
	stop()
}

// Ports run out in the middle: said before, counted, named, not fatal; --fit asks for no
// more than there are.
func TestLoadPortsRunOut(t *testing.T) {
	w := newWorld(t)
	w.set("net.ipv4.ip_local_port_range", "40000 40099")
	w.set("net.ipv4.ip_local_reserved_ports", "40050-40059")
	stop := w.serve("127.0.0.1:7000-7001")
	defer stop()
	_, err := w.client.Bind(lab.BindSpec{Addr: at(40007)}) // somebody else's
	w.must(err)
	args := []string{"connect", "127.0.0.1:7000", "--connections", "500", "--source",
		"127.0.0.1", "--hold", "50ms"}
	r := w.load(statusBinds, args...)
	if r.Established != 89 || r.PortsSkipped != 1 ||
		failed(r, result.AtBind, "EADDRNOTAVAIL") != 411 ||
		r.BoundBy != "ephemeral-ports" ||
		r.Failures[0].Open != 89 {
		t.Errorf("%+v", r)
	}
	r = w.load(statusHolds, "connect", "127.0.0.1:7000", "--connections", "500", "--source",
		"127.0.0.2-127.0.0.3", "--hold", "50ms", "--fit")
	if r.Established != 180 || r.Wanted != 180 {
		t.Errorf("--fit: %d of %d, want 180", r.Established, r.Wanted)
	}
	r = w.load(statusHolds, "connect", "127.0.0.1:7000,7001", "--connections", "300",
		"--source", "127.0.0.2,127.0.0.3", "--hold", "50ms")
	if r.Established != 300 {
		t.Errorf("two ports of the target: %+v", r)
	}
	r = w.load(statusHolds, "connect", "127.0.0.1:7000", "--connections", "80", "--source",
		"127.0.0.4", "--kernel-ports", "--hold", "50ms")
	if r.Established != 80 {
		t.Errorf("the kernel's ports: %+v", r)
	}
}

// A source that is no address of this host is said before.
func TestLoadSources(t *testing.T) {
	w := newWorld(t)
	path, err := binary()
	w.must(err)
	out, err := w.lab.Run(t.Context(), nil, path, "load", "connect", "127.0.0.1:7000",
		"--source", "10.9.9.9", "--for", "10ms")
	w.must(err)
	if out.Code != statusUsage || !strings.Contains(string(out.Stderr),
		"source 10.9.9.9 is no address of this host") {
		t.Errorf("status %d: %s", out.Code, out.Stderr)
	}
	w.must(w.lab.AddAddress("lo", netip.MustParsePrefix("10.9.9.1/32")))
	w.must(w.lab.AddAddress("lo", netip.MustParsePrefix("10.9.9.2/32")))
	stop := w.serve("10.9.9.1:7000")
	defer stop()
	w.set("net.ipv4.ip_local_port_range", "40000 40099")
	r := w.load(statusHolds, "connect", "10.9.9.1:7000", "--source", "lo", "--connections",
		"300", "--hold", "10ms")
	if r.Established != 300 {
		t.Errorf("all addresses of a device: %+v", r)
	}
}

// The line that shows how it goes is for a terminal only, and gone at the end.
func TestLoadLiveLine(t *testing.T) {
	tty, screen := openTerminal(t, 80)
	var out bytes.Buffer
	if status := run(t.Context(), []string{"load", "pair", "--for", "1200ms", "--threads", "1"},
		nil, &out, tty, noEnv); status != statusHolds {
		t.Errorf("status %d: %s", status, &out)
	}
	text := screen()
	if !strings.Contains(text, "maxconn: 1 s: ") || !strings.HasSuffix(text, " \r") ||
		strings.Contains(text, "\n") {
		t.Errorf("%q", text)
	}
}

func TestLoadIPv6(t *testing.T) {
	if !load.HasIPv6() {
		t.Skip("this kernel has no IPv6")
	}
	w := newWorld(t)
	stop := w.serve(":7000")
	for _, to := range []string{"[::1]:7000", "127.0.0.1:7000"} {
		r := w.load(statusHolds, "connect", to, "--connections", "2500", "--hold", "10ms")
		if r.Established != 2500 || r.AtPeak.Inuse < 5000 {
			t.Errorf("%s: %+v", to, r)
		}
	}
	if s := stop(); s.Established != 5000 {
		t.Errorf("accepted %d", s.Established)
	}
}

// Memory is not tried: a floor above what there is refuses, and a floor that is met in the
// middle stops.
func TestLoadMemory(t *testing.T) {
	w := newWorld(t)
	path, err := binary()
	w.must(err)
	out, err := w.lab.Run(t.Context(), nil, path, "load", "pair", "--connections", "100M")
	w.must(err)
	if out.Code != statusUsage || !strings.Contains(string(out.Stderr),
		"memory is enough for") || !strings.Contains(string(out.Stderr),
		"fs.file-max is") || !strings.Contains(string(out.Stderr), "--fit") {
		t.Errorf("status %d: %s", out.Code, out.Stderr)
	}
}

// A worker process that is killed costs its own connections and no others.
func TestLoadWorkerIsKilled(t *testing.T) {
	w := newWorld(t)
	stop := w.serve("127.0.0.1:7000")
	defer stop()
	reports := make(chan result.Report)
	go func() {
		reports <- w.load(statusBinds, "connect", "127.0.0.1:7000", "--connections", "2000",
			"--threads", "2", "--processes", "--hold", "6s")
	}()
	w.await("2000 are open", func() bool { return w.tcp("TCP.inuse") >= 4000 })
	w.must(syscall.Kill(w.worker(), syscall.SIGKILL))
	r := <-reports
	if r.WorkersLost != 1 || r.Held != 1000 || failed(r, result.AtWorker, "KILLED") == 0 ||
		r.GoalMet {
		t.Errorf("%+v", r)
	}
	w.await("only the listeners are left", func() bool { return w.tcp("TCP.inuse") <= 8 })
}

// worker finds a worker process of the load in this lab.
func (w world) worker() int {
	w.Helper()
	own, err := os.Readlink(w.lab.NetNS())
	w.must(err)
	list, err := filepath.Glob("/proc/[0-9]*/cmdline")
	w.must(err)
	for _, name := range list {
		text, _ := os.ReadFile(name)
		netns, _ := os.Readlink(filepath.Join(filepath.Dir(name), "ns", "net"))
		if netns == own && bytes.HasSuffix(text, []byte("\x00load\x00worker\x00")) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			w.must(err)
			return pid
		}
	}
	w.Fatal("no worker process")
	return 0
}

// The end of the standard input, which stands for Ctrl-C in the lab, closes all and says
// what was reached.
func TestLoadInterrupted(t *testing.T) {
	w := newWorld(t)
	path, err := binary()
	w.must(err)
	running, end := io.Pipe()
	type outcome struct {
		out lab.Output
		err error
	}
	done := make(chan outcome)
	go func() {
		out, err := w.lab.Run(context.Background(), running, path, "load", "pair",
			"--connections", "3k", "--hold", "1h", "--while-input", "--json")
		done <- outcome{out, err}
	}()
	w.await("3000 are open", func() bool { return w.tcp("TCP.inuse") >= 6000 })
	end.Close()
	o := <-done
	w.must(o.err)
	var r result.Report
	w.must(json.Unmarshal(o.out.Stdout, &r))
	if o.out.Code != statusInterrupted || r.Stopped != "interrupted" || r.Established != 3000 ||
		r.Held != 3000 || r.GoalMet {
		t.Errorf("status %d, %+v", o.out.Code, r)
	}
	w.empty()
}

// A real Ctrl-C, to a load that any user may run.
func TestLoadSignal(t *testing.T) {
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	newWorld(t) // or skips
	var out bytes.Buffer
	c := exec.Command(path, "load", "--self", "--for", "1h", "--json")
	c.Stdout, c.Stderr = &out, &out
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// whenever it comes, it ends orderly or has not begun
	time.AfterFunc(500*time.Millisecond, func() { c.Process.Signal(os.Interrupt) })
	_ = c.Wait()
	var r result.Report
	code := c.ProcessState.ExitCode()
	begun := bytes.HasPrefix(out.Bytes(), []byte("{"))
	if code != statusInterrupted && (begun || code != statusFailed) {
		t.Errorf("status %d, %s", code, &out)
	}
	if begun {
		if err := json.Unmarshal(out.Bytes(), &r); err != nil ||
			r.Stopped != "interrupted" || r.Established == 0 {
			t.Errorf("status %d, %v, %s", code, err, &out)
		}
	}
}

// Frames instead of sockets: the server holds what the client has only bits for, and the
// kernel keeps no orphan.
func TestLoadRaw(t *testing.T) {
	newWorld(t) // or skips
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--connections", "5k", "--hold", "100ms"},
		{"--for", "300ms"}} {
		var out, errs bytes.Buffer
		c := exec.Command(path, append([]string{"load", "--self", "--raw", "--json"},
			args...)...)
		c.Stdout, c.Stderr = &out, &errs
		if err := c.Run(); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, &errs)
		}
		var r result.Report
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if !r.GoalMet || r.Role != "raw" || r.Established == 0 ||
			args[0] == "--connections" && (r.Established != 5000 || r.Held != 5000) {
			t.Errorf("%q: %+v", args, r)
		}
	}
}

// Ten source ports of each source address are not enough: the run says so.
func TestLoadRawShortOfPorts(t *testing.T) {
	newWorld(t) // or skips
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := exec.Command(path, "load", "--self", "--raw", "--json", "--ports", "40000-40009",
		"--connections", "9000", "--hold", "1ms").Output()
	var r result.Report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	if r.Established != 8960 || r.BoundBy != "ephemeral-ports" ||
		!strings.Contains(r.Because, "10 ports of 896 source addresses") {
		t.Errorf("%d, bound by %q: %s", r.Established, r.BoundBy, r.Because)
	}
}

// A real nginx and a real Redis as the target: any server will do.
func TestLoadRealServers(t *testing.T) {
	needServers(t, map[string]string{"nginx": "nginx-light", "redis-server": "redis-server"})
	w := newWorld(t)
	w.nginx(511, "")
	w.start("redis-server", "--port", "6379", "--bind", "127.0.0.1", "--save", "", "--dir",
		t.TempDir())
	w.await("Redis listens", func() bool { return w.queue(6379).Limit > 0 })

	r := w.load(statusHolds, "connect", "127.0.0.1:8080", "--connections", "1000", "--window",
		"50", "--close", "server-fin", "--send", `GET / HTTP/1.0\r\n\r\n`, "--expect",
		"100")
	if r.Established != 1000 || r.Answered != 1000 {
		t.Errorf("nginx: %+v", r)
	}
	r = w.load(statusHolds, "connect", "127.0.0.1:6379", "--connections", "1000", "--close",
		"fin", "--send", `PING\r\n`, "--expect", "7")
	if r.Established != 1000 || r.Answered != 1000 {
		t.Errorf("Redis, churn: %+v", r)
	}
	r = w.load(statusHolds, "connect", "127.0.0.1:6379", "--mode", "talk", "--connections",
		"500", "--send", `PING\r\n`, "--expect", "7", "--hold", "50ms")
	if r.Established != 500 || r.Answered != 500 {
		t.Errorf("Redis, talk: %+v", r)
	}
	// nginx closes what is idle: with 1024 worker_connections it cannot hold 2000, and
	// the report says so.
	r = w.load(statusBinds, "connect", "127.0.0.1:8080", "--connections", "2000", "--hold",
		"200ms")
	if r.Lost == 0 || r.Held >= 1024 {
		t.Errorf("nginx held %d, lost %d", r.Held, r.Lost)
	}
}

// A real client against load serve.
func TestLoadRealClients(t *testing.T) {
	needServers(t, map[string]string{"wrk": "wrk", "redis-benchmark": "redis-tools"})
	w := newWorld(t)
	http := w.serve("127.0.0.1:8080", "--answer",
		`HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`)
	redis := w.serve("127.0.0.1:6379", "--answer", `+PONG\r\n`)
	out, err := w.lab.Run(t.Context(), nil, "wrk", "-t1", "-c20", "-d1s",
		"http://127.0.0.1:8080/")
	w.must(err)
	if text := string(out.Stdout); out.Code != 0 || strings.Contains(text, "Socket errors") ||
		strings.Contains(text, "Non-2xx") || !strings.Contains(text, "requests in") {
		t.Errorf("wrk: %d %s%s", out.Code, text, out.Stderr)
	}
	out, err = w.lab.Run(t.Context(), nil, "redis-benchmark", "-p", "6379", "-c", "20", "-n",
		"2000", "-t", "ping_mbulk", "-q")
	w.must(err)
	if out.Code != 0 || !strings.Contains(string(out.Stdout), "PING_MBULK") ||
		!strings.Contains(string(out.Stdout), "requests per second") {
		t.Errorf("redis-benchmark: %d %s%s", out.Code, out.Stdout, out.Stderr)
	}
	if h, r := http(), redis(); h.Established < 20 || h.Answered < 20 || r.Established < 20 ||
		r.Answered < 2000 {
		t.Errorf("accepted %d and %d, read %d and %d", h.Established, r.Established,
			h.Answered, r.Answered)
	}
}

// Both ends in one command, in all forms, by anybody who may have a lab.
func TestLoadSelf(t *testing.T) {
	newWorld(t) // or skips
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	series, page := filepath.Join(dir, "series.csv"), filepath.Join(dir, "page.html")
	out, err := exec.Command(path, "load", "--self", "--connections", "500", "--close", "fin",
		"--json", "--csv", series, "--html", page).Output()
	var r result.Report
	if err := errors.Join(err, json.Unmarshal(out, &r)); err != nil || r.Role != "pair" ||
		r.Established != 500 || !r.GoalMet {
		t.Errorf("%v %+v", err, r)
	}
	head := "t,attempted,established,open,failed,per_second,"
	for name, want := range map[string]string{series: head, page: "<svg"} {
		if text, err := os.ReadFile(name); err != nil ||
			!strings.Contains(string(text), want) {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	out, err = exec.Command(path, "load", "--self", "--connections", "200", "--hold",
		"10ms").CombinedOutput()
	if text := string(out); err != nil ||
		!strings.HasPrefix(text, "200 connections held, both ends here: the goal was "+
			"met\n  established    200 of 200 attempted, in ") ||
		!strings.Contains(text, "\n  connect time   p50 ") {
		t.Errorf("%v\n%s", err, text)
	}
}

// A second server on a port gets a part of its connections without a word: it is refused, whatever
// of the two has all addresses, unless that is wanted.
func TestServeBesideAnother(t *testing.T) {
	w := newWorld(t)
	path, err := binary()
	w.must(err)
	serve := func(args ...string) lab.Output {
		out, err := w.lab.Run(w.Context(), nil, append([]string{path, "load", "serve",
			"--for", "1ms"}, args...)...)
		w.must(err)
		return out
	}
	w.serve("127.0.0.1:7000")
	for _, at := range []string{"127.0.0.1:7000", "0.0.0.0:7000", "127.0.0.1:6999-7000"} {
		out := serve(at)
		if out.Code != statusFailed || !strings.Contains(string(out.Stderr),
			"another program listens there, on 127.0.0.1:7000") {
			t.Errorf("%s: %d %s", at, out.Code, out.Stderr)
		}
	}
	for _, args := range [][]string{{"127.0.0.1:7000", "--share"}, {"127.0.0.2:7000"},
		{"127.0.0.1:7001"}} {
		if out := serve(args...); out.Code != statusHolds {
			t.Errorf("%q: %d %s", args, out.Code, out.Stderr)
		}
	}
}

// What stopped a load that nothing refused: the processors, or that a raw client has no more ports.
func TestLoadSaysWhatStoppedIt(t *testing.T) {
	w := newWorld(t)
	r := w.load(statusBinds, "--self", "--mode", "churn", "--rate", "50000000", "--for",
		"300ms")
	if r.BoundBy != result.ByProcessors || r.Because == "" {
		t.Errorf("a rate: bound by %q: %s", r.BoundBy, r.Because)
	}
	if r := w.load(statusHolds, "--self", "--mode", "churn", "--rate", "20", "--for",
		"300ms"); r.BoundBy != "" {
		t.Errorf("a rate that was reached: bound by %q: %s", r.BoundBy, r.Because)
	}
}
