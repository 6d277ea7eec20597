//go:build linux

package faults

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/labtest"
	"github.com/maxconn/maxconn/internal/linux/procfs"
)

// world is a lab with a server and a client in it.
type world struct {
	*testing.T
	lab            *lab.Lab
	server, client *lab.Actor
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{T: t, lab: labtest.Start(t)}
	w.server, w.client = w.spawn("server"), w.spawn("client")
	return w
}

func (w world) spawn(name string) *lab.Actor {
	w.Helper()
	a, err := w.lab.Spawn(name)
	w.must(err)
	return a
}

var loopback = netip.MustParseAddr("127.0.0.1")

func at(port uint16) netip.AddrPort { return netip.AddrPortFrom(loopback, port) }

func (w world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w world) set(key, value string) {
	w.Helper()
	w.must(w.lab.Set(key, value))
}

func (w world) listen(port uint16, backlog int) lab.Group {
	w.Helper()
	g, _, err := w.server.Listen(lab.ListenSpec{Addr: at(port), Backlog: backlog})
	w.must(err)
	return g
}

// connect opens n connections that the server takes, and returns both ends.
func (w world) connect(listener lab.Group, spec lab.ConnectSpec) (opened, accepted lab.Opened) {
	w.Helper()
	var wg sync.WaitGroup
	var acceptErr error
	wg.Go(func() {
		accepted, acceptErr = w.server.Accept(lab.AcceptSpec{Listener: listener,
			N: max(spec.N, 1)})
	})
	opened, err := w.client.Connect(spec)
	w.must(err)
	wg.Wait()
	w.must(acceptErr)
	if opened.Count != max(spec.N, 1) || accepted.Count != opened.Count {
		w.Fatalf("opened %d, accepted %d of %d: %v %v", opened.Count, accepted.Count,
			spec.N, opened.Errors, accepted.Errors)
	}
	return opened, accepted
}

// refused is how a client meets the wall: n connects must end with the errno.
func (w world) refused(spec lab.ConnectSpec, errno string) {
	w.Helper()
	out, err := w.client.Connect(spec)
	w.must(err)
	if out.Errors[errno] == 0 {
		w.Fatalf("connect to %v: %d opened, errors %v, want %s", spec.To, out.Count,
			out.Errors, errno)
	}
}

// knock starts connections that the server will not take.
func (w world) knock(port uint16, n int) {
	w.Helper()
	_, err := w.client.Connect(lab.ConnectSpec{To: at(port), N: n, NonBlocking: true})
	w.must(err)
	w.delivered()
}

// delivered waits until no CPU has packets of loopback left in its input queue: with a busy CPU
// ksoftirqd delivers them after connect() has returned. A handshake goes through the queue three
// times. The length is there since Linux 5.10 (net/core/net-procfs.c softnet_seq_show).
func (w world) delivered() {
	w.Helper()
	empty := 0
	w.await(func() bool { // where others load the host all the time, the fault itself tells
		text, err := os.ReadFile("/proc/net/softnet_stat")
		w.must(err)
		empty++
		for line := range strings.Lines(string(text)) {
			f := strings.Fields(line)
			if len(f) > 11 && strings.Trim(f[11], "0") != "" {
				empty = 0
			}
		}
		return empty == 3
	})
}

func (w world) syn(port uint16, first, n int) {
	w.Helper()
	_, err := w.client.RawSYN(lab.SYNSpec{To: at(port), N: n, First: first})
	w.must(err)
}

// closeFirst has the client close first, so that it keeps the TIME_WAITs. On two CPUs the
// last ACK may cross a socket that is just closing, and the RST that answers it would end a
// TIME_WAIT: tcp_rfc1337 keeps it.
func (w world) closeFirst(opened, accepted lab.Opened) {
	w.Helper()
	w.set("net.ipv4.tcp_rfc1337", "1")
	_, err := w.client.Close(opened.Group, lab.CloseSpec{})
	w.must(err)
	w.reach(w.server, accepted, "CLOSE_WAIT")
	_, err = w.server.Close(accepted.Group, lab.CloseSpec{})
	w.must(err)
}

// reach waits until all sockets of a group are in a state. What a call sends over loopback arrives
// before it returns, unless the CPU is so busy that it leaves that to ksoftirqd.
func (w world) reach(a *lab.Actor, g lab.Opened, state string) {
	w.Helper()
	var states map[string]int
	if !w.await(func() (so bool) {
		var err error
		states, err = a.States(g.Group)
		w.must(err)
		return states[state] == g.Count
	}) {
		w.Fatalf("%d sockets, want all in %s: %v", g.Count, state, states)
	}
}

// full checks that the accept queue holds all that it can: a handshake over
// loopback is done when connect() returns.
func (w world) full(listener lab.Group, n int) {
	w.Helper()
	q, err := w.server.Queue(listener)
	w.must(err)
	if q.Used != n {
		w.Fatalf("the accept queue holds %d, want %d", q.Used, n)
	}
}

// counter reads a counter of the namespace, of /proc/net/netstat or snmp.
func (w world) counter(name string) (n int64) {
	w.Helper()
	n = -1
	for _, file := range []string{"netstat", "snmp"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", w.lab.PID(), file))
		w.must(err)
		w.must(procfs.ParseCounters(text, func(proto, key, value string) {
			if proto+"."+key == name {
				n, err = strconv.ParseInt(value, 10, 64)
			}
		}))
		w.must(err)
	}
	if n < 0 {
		w.Fatalf("no counter %s", name)
	}
	return n
}

// await says whether something comes true within a time that is long for a kernel and short for
// a person; the kernel tells nobody of a counter or of a queue.
func (w world) await(so func() bool) bool {
	w.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if so() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// patience is more than what any remedy takes: tcp_tw_reuse acts after a second.
const patience = 8 * time.Second

// program is maxconn itself. TestMain builds it before any test, so that none waits for it.
var program string

func TestMain(m *testing.M) {
	lab.Main()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "maxconn")
	if err == nil {
		defer os.RemoveAll(dir)
		err = build(dir)
	}
	// most of a test is waiting for timers of the kernel
	if err := cmp.Or(err, flag.Set("test.parallel", "8")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func build(dir string) error {
	program = filepath.Join(dir, "maxconn")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program,
		"../../cmd/maxconn").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v: %s", err, out)
	}
	return os.Chmod(dir, 0o755) // in a lab of an ordinary user root is another
}

// maxconn runs a verb inside the lab.
func (w world) maxconn(stdin string, args ...string) lab.Output {
	w.Helper()
	out, err := w.lab.Run(w.Context(), strings.NewReader(stdin),
		append([]string{program}, args...)...)
	w.must(err)
	return out
}

// check is what maxconn check says inside the lab.
func (w world) check(args ...string) (diagnose.Report, lab.Output) {
	w.Helper()
	return w.report("", args...)
}

// snapshot is what maxconn observe sees inside the lab, judge what maxconn check says of it.
func (w world) snapshot(args ...string) host.Snapshot {
	w.Helper()
	out := w.maxconn("", append([]string{"observe"}, args...)...)
	s, err := host.Parse(out.Stdout)
	if err != nil {
		w.Fatalf("%v\n%s%s", err, out.Stdout, out.Stderr)
	}
	return s
}

func (w world) judge(s host.Snapshot) (diagnose.Report, lab.Output) {
	w.Helper()
	return w.report(string(s.Text()), "--from", "-")
}

func (w world) report(stdin string, args ...string) (diagnose.Report, lab.Output) {
	w.Helper()
	out := w.maxconn(stdin, append([]string{"check", "--json"}, args...)...)
	var r diagnose.Report
	if err := json.Unmarshal(out.Stdout, &r); err != nil {
		w.Fatalf("%v\n%s%s", err, out.Stdout, out.Stderr)
	}
	return r, out
}
