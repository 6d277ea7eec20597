//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/lab"
)

// Real faults, made with real sockets in a network namespace of their own: the
// first finding must name the limit, the subject and the cause, and propose only
// what would help.

// world is a lab with a server and a client in it.
type world struct {
	*testing.T
	lab            *lab.Lab
	server, client *lab.Actor
}

var loopback = netip.MustParseAddr("127.0.0.1")

func at(port uint16) netip.AddrPort { return netip.AddrPortFrom(loopback, port) }

// want is what the first finding must say.
type want struct {
	limit, severity string
	subject         string   // contained
	process         string   // "" = any
	cause           string   // regular expression
	remedies        []string // regular expressions, each must match one remedy
	never           []string // regular expressions that no remedy may match
}

// neverHelps are settings that no finding may propose (design.md section 5).
var neverHelps = []string{`tcp_tw_recycle`, `tcp_fin_timeout`, `infinity`,
	`tcp_max_syn_backlog .*somaxconn`}

func (w world) listen(port uint16, backlog int) lab.Group {
	w.Helper()
	g, _, err := w.server.Listen(lab.ListenSpec{Addr: at(port), Backlog: backlog})
	w.must(err)
	return g
}

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
}

var faults = map[string]struct {
	make func(world)
	want want
}{
	"ports held by established connections": {
		func(w world) {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			l := w.listen(5432, 128)
			w.connect(l, lab.ConnectSpec{To: at(5432), N: 20})
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
		},
		want{limit: "ephemeral-ports", severity: "critical", subject: "127.0.0.1:5432",
			process: "client", cause: `established connections use all 20 ports`,
			remedies: []string{`setting net.ipv4.ip_local_port_range`, `application`,
				`topology`}},
	},
	"ports held by TIME_WAIT": {
		func(w world) {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.tcp_tw_reuse", "0")
			l := w.listen(5432, 128)
			w.closeFirst(w.connect(l, lab.ConnectSpec{To: at(5432), N: 20}))
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
		},
		want{limit: "time-wait", severity: "critical", subject: "127.0.0.1:5432",
			cause:    `TIME_WAIT.*tcp_tw_reuse`,
			remedies: []string{`application`, `net.ipv4.tcp_tw_reuse 0 -> `}},
	},
	"tcp_tw_reuse made useless by tcp_timestamps=0": {
		func(w world) {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.tcp_tw_reuse", "1")
			w.set("net.ipv4.tcp_timestamps", "0")
			l := w.listen(5432, 128)
			w.closeFirst(w.connect(l, lab.ConnectSpec{To: at(5432), N: 20}))
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
		},
		want{limit: "time-wait", severity: "critical", subject: "127.0.0.1:5432",
			cause:    `tcp_timestamps`,
			remedies: []string{`setting net.ipv4.tcp_timestamps 0 -> 1`},
			never:    []string{`tcp_tw_reuse`}},
	},
	"ports taken by ip_local_reserved_ports": {
		func(w world) {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.set("net.ipv4.ip_local_reserved_ports", "40002-40019")
			l := w.listen(5432, 128)
			w.connect(l, lab.ConnectSpec{To: at(5432), N: 2})
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
		},
		want{limit: "ephemeral-ports", severity: "critical", subject: "", cause: `reserved`,
			remedies: []string{`net.ipv4.ip_local_reserved_ports`}},
	},
	"ports held by bound sockets": {
		func(w world) {
			w.set("net.ipv4.ip_local_port_range", "40000 40019")
			w.listen(5432, 128)
			_, err := w.server.Bind(lab.BindSpec{Addr: at(0), N: 20})
			w.must(err)
			w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
		},
		want{limit: "ephemeral-ports", severity: "critical", process: "server",
			cause:    `bound and not connected`,
			remedies: []string{`application.*IP_BIND_ADDRESS_NO_PORT`}},
	},
	"bind before connect shares one set of ports": {
		func(w world) {
			w.set("net.ipv4.ip_local_port_range", "40000 40039")
			a, b := w.listen(5432, 128), w.listen(5433, 128)
			w.connect(a, lab.ConnectSpec{To: at(5432), N: 20, From: at(0)})
			w.connect(b, lab.ConnectSpec{To: at(5433), N: 20, From: at(0)})
			w.refused(lab.ConnectSpec{To: at(5432), From: at(0)}, "EADDRINUSE")
		},
		want{limit: "ephemeral-ports", severity: "critical", subject: "127.0.0.1",
			cause:    `IP_BIND_ADDRESS_NO_PORT`,
			remedies: []string{`application.*IP_BIND_ADDRESS_NO_PORT`}},
	},
	"a process at its descriptor limit": {
		func(w world) {
			l := w.listen(8080, 128)
			w.connect(l, lab.ConnectSpec{To: at(8080), N: 50})
			w.must(w.server.Limit(100))
			out, err := w.server.FillFiles()
			w.must(err)
			if out.Errors["EMFILE"] == 0 {
				w.Fatalf("no EMFILE: %v", out.Errors)
			}
		},
		want{limit: "process-files", severity: "critical", subject: "server",
			process: "server", cause: `100`,
			remedies: []string{`live prlimit`}},
	},
	"a backlog set by the application": {
		func(w world) {
			l := w.listen(8080, 5)
			w.knock(8080, 40)
			w.full(l, 6)
		},
		want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `application asked for a backlog of 5`,
			remedies: []string{`backlog argument of listen\(\) 5 -> `},
			never:    []string{`somaxconn 4096`, `setting net.core.somaxconn`}},
	},
	"a backlog cut by somaxconn": {
		func(w world) {
			w.set("net.core.somaxconn", "8")
			l := w.listen(8080, 1024)
			w.knock(8080, 40)
			w.full(l, 9)
		},
		want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `net.core.somaxconn = 8 cuts`,
			remedies: []string{`setting net.core.somaxconn 8 -> `}},
	},
	"an application that stopped accepting": {
		func(w world) {
			l := w.listen(8080, 64)
			w.connect(l, lab.ConnectSpec{To: at(8080), N: 10})
			w.knock(8080, 100)
			w.full(l, 65)
			// the fault is that time passes and nobody accepts
			time.Sleep(2100 * time.Millisecond)
		},
		want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `does not accept`,
			remedies: []string{`application.*accept`},
			never:    []string{`somaxconn`, `backlog`}},
	},
	"an application that is stopped": {
		func(w world) {
			w.listen(8080, 64)
			w.must(w.server.Stop())
			w.knock(8080, 100)
		},
		want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `process is stopped`,
			remedies: []string{`application.*accept`},
			never:    []string{`somaxconn`, `backlog`}},
	},
	"half-open connections without SYN cookies": {
		func(w world) {
			w.set("net.ipv4.tcp_syncookies", "0")
			w.listen(8080, 16)
			w.syn(8080, 100)
		},
		want{limit: "syn-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `(?i)half-open|SYN queue`,
			remedies: []string{`tcp_syncookies|listen`}},
	},
	"half-open connections bounded by tcp_max_syn_backlog": {
		func(w world) {
			w.set("net.ipv4.tcp_syncookies", "0")
			w.set("net.ipv4.tcp_max_syn_backlog", "16")
			w.listen(8080, 1024)
			w.syn(8080, 100)
		},
		want{limit: "syn-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "server", cause: `tcp_max_syn_backlog`,
			remedies: []string{`tcp_max_syn_backlog 16 -> |tcp_syncookies 0 -> 1`}},
	},
	"half-open connections with SYN cookies": {
		func(w world) {
			w.listen(8080, 16)
			w.syn(8080, 100)
		},
		want{limit: "syn-queue", severity: "warning", subject: "127.0.0.1:8080",
			process: "server", cause: `(?i)cookies`,
			remedies: []string{`listen`}, never: []string{`tcp_max_syn_backlog`}},
	},
	"a tcp_max_tw_buckets that is too small": {
		func(w world) {
			w.set("net.ipv4.tcp_max_tw_buckets", "5")
			l := w.listen(8080, 128)
			w.closeFirst(w.connect(l, lab.ConnectSpec{To: at(8080), N: 20}))
		},
		// The table is full, or was a moment ago: a RST from the other end may have
		// ended some already.
		want{limit: "time-wait-buckets", severity: "warning", // nobody is refused
			cause:    `tcp_max_tw_buckets`,
			remedies: []string{`setting net.ipv4.tcp_max_tw_buckets 5 -> `}},
	},
	"a CLOSE_WAIT leak": {
		func(w world) {
			l := w.listen(8080, 512)
			opened, _ := w.connect(l, lab.ConnectSpec{To: at(8080), N: 300})
			_, err := w.client.Close(opened.Group, lab.CloseSpec{N: 250})
			w.must(err)
			time.Sleep(2100 * time.Millisecond) // before that they may be about to close
		},
		want{limit: "close-wait", severity: "warning", subject: "server", process: "server",
			cause:    `CLOSE_WAIT.*8080|8080.*CLOSE_WAIT`,
			remedies: []string{`application`}, never: []string{`setting`}},
	},
	"one slow member of a SO_REUSEPORT group": {
		func(w world) {
			slow, err := w.lab.Spawn("slow")
			w.must(err)
			g, _, err := w.server.Listen(lab.ListenSpec{Addr: at(8080), Backlog: 10,
				ReusePort: true})
			w.must(err)
			_, _, err = slow.Listen(lab.ListenSpec{Addr: at(8080), Backlog: 10,
				ReusePort: true})
			w.must(err)
			var wg sync.WaitGroup
			wg.Go(func() {
				w.server.Accept(lab.AcceptSpec{Listener: g, N: 1000,
					Within: 2 * time.Second})
			})
			w.knock(8080, 60)
			wg.Wait()
		},
		want{limit: "accept-queue", severity: "critical", subject: "127.0.0.1:8080",
			process: "slow", cause: `one slow member`,
			remedies: []string{`application`}},
	},
}

// closeFirst has the client close first, so that it keeps the TIME_WAITs. On two CPUs the
// last ACK may cross a socket that is just closing, and the RST that answers it would end a
// TIME_WAIT: tcp_rfc1337 keeps it.
func (w world) closeFirst(opened, accepted lab.Opened) {
	w.Helper()
	w.set("net.ipv4.tcp_rfc1337", "1")
	_, err := w.client.Close(opened.Group, lab.CloseSpec{})
	w.must(err)
	_, err = w.server.Close(accepted.Group, lab.CloseSpec{})
	w.must(err)
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

func (w world) syn(port uint16, n int) {
	w.Helper()
	_, err := w.client.RawSYN(lab.SYNSpec{To: at(port), N: n})
	w.must(err)
}

func newWorld(t *testing.T) world {
	t.Helper()
	l, err := lab.Start(context.Background())
	if errors.Is(err, lab.ErrUnavailable) &&
		!strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "lab") {
		t.Skipf("no lab here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w := world{T: t, lab: l}
	w.server, err = l.Spawn("server")
	w.must(err)
	w.client, err = l.Spawn("client")
	w.must(err)
	return w
}

// binary is maxconn itself, built once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "maxconn")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "maxconn")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %s", err, out)
	}
	return path, os.Chmod(dir, 0o755)
})

// check runs maxconn inside the lab.
func (w world) check(args ...string) (diagnose.Report, lab.Output) {
	w.Helper()
	path, err := binary()
	w.must(err)
	out, err := w.lab.Run(context.Background(), nil,
		append([]string{path, "check", "--json"}, args...)...)
	w.must(err)
	var r diagnose.Report
	if err := json.Unmarshal(out.Stdout, &r); err != nil {
		w.Fatalf("%v\n%s%s", err, out.Stdout, out.Stderr)
	}
	return r, out
}

func TestFaults(t *testing.T) {
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			f.make(w)
			r, out := w.check()
			if out.Code != 1 {
				t.Errorf("exit status %d, want 1: something binds", out.Code)
			}
			if len(r.Findings) == 0 {
				t.Fatalf("nothing found; unseen: %v", r.Unseen)
			}
			compare(t, r.Findings[0], f.want)
			if t.Failed() {
				t.Logf("%+v", r.Findings)
			}
		})
	}
}

func compare(t *testing.T, f diagnose.Finding, w want) {
	t.Helper()
	if f.Limit != w.limit || !strings.Contains(w.severity, string(f.Severity)) {
		t.Errorf("first finding is %s %s, want %s %s", f.Severity, f.Limit, w.severity,
			w.limit)
	}
	if !strings.Contains(f.Subject, w.subject) {
		t.Errorf("subject %q, want one with %q", f.Subject, w.subject)
	}
	if w.process != "" && (f.Process != w.process || f.PID == 0) {
		t.Errorf("process %q pid %d, want %q", f.Process, f.PID, w.process)
	}
	if !regexp.MustCompile(w.cause).MatchString(f.Cause) {
		t.Errorf("cause %q, want %s", f.Cause, w.cause)
	}
	var remedies []string
	for _, m := range f.Remedies {
		remedies = append(remedies, fmt.Sprintf("%s %s %s -> %s: %s", m.Kind, m.Setting,
			m.From, m.To, m.Text))
	}
	for _, re := range w.remedies {
		if !matchesAny(re, remedies) {
			t.Errorf("no remedy matches %s: %q", re, remedies)
		}
	}
	for _, re := range append(w.never, neverHelps...) {
		if matchesAny(re, remedies) {
			t.Errorf("a remedy matches %s: %q", re, remedies)
		}
	}
}

func matchesAny(re string, texts []string) bool {
	for _, s := range texts {
		if regexp.MustCompile(re).MatchString(s) {
			return true
		}
	}
	return false
}

// The control run: 5,000 healthy connections, both directions, TIME_WAIT of ordinary
// closing among them, give no warning.
func TestHealthyNamespaceGivesNoWarning(t *testing.T) {
	w := newWorld(t)
	l := w.listen(8080, 4096)
	w.connect(l, lab.ConnectSpec{To: at(8080), N: 5000})
	w.closeFirst(w.connect(l, lab.ConnectSpec{To: at(8080), N: 500}))
	r, out := w.check()
	for _, f := range r.Findings {
		if f.Severity != diagnose.Info {
			t.Errorf("%s %s %s: %s", f.Severity, f.Limit, f.Subject, f.Cause)
		}
	}
	if out.Code != 0 || r.Verdict != diagnose.Holds {
		t.Errorf("exit status %d, verdict %s", out.Code, r.Verdict)
	}
	if r.Capacity.Outbound[0].Held != 28232 || len(r.Capacity.Inbound) != 1 ||
		r.Capacity.Inbound[0].Now < 5000 {
		t.Errorf("capacity %+v", r.Capacity)
	}
}

// A snapshot carried elsewhere gives the same verdict, byte for byte.
func TestObserveThenCheckEqualsCheck(t *testing.T) {
	w := newWorld(t)
	l := w.listen(8080, 16)
	w.connect(l, lab.ConnectSpec{To: at(8080), N: 10})
	path, err := binary()
	w.must(err)
	for _, form := range [][]string{nil, {"--json"}, {"--md"}} {
		direct, err := w.lab.Run(context.Background(), nil,
			append([]string{path, "check"}, form...)...)
		w.must(err)
		snapshot, err := w.lab.Run(context.Background(), nil, path, "observe")
		w.must(err)
		carried, err := w.lab.Run(context.Background(),
			strings.NewReader(string(snapshot.Stdout)),
			append([]string{path, "check", "--from", "-"}, form...)...)
		w.must(err)
		if string(direct.Stdout) != string(carried.Stdout) || direct.Code != carried.Code {
			t.Errorf("%v: check\n%s\nobserve | check --from -\n%s%s", form,
				direct.Stdout, carried.Stdout, carried.Stderr)
		}
	}
}
