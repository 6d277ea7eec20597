//go:build linux

package endtoend

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/ui/exporter/rules"
)

// scene is what a fault is made with.
type scene struct {
	*testing.T
	lab            *lab.Lab
	server, client *lab.Actor
}

// fault is a fault, and the alert that it has to set off.
type fault struct {
	alert string
	limit limit.ID
	want  map[string]string // labels
	make  func(scene) (end func())
}

var faults = []fault{
	{
		alert: "MaxconnAcceptQueueRefusing", limit: limit.AcceptQueue,
		want: map[string]string{"subject": "127.0.0.1:8080", "process": "server",
			"scope": "listener"},
		make: func(s scene) func() {
			l := listening(s.T, s.server, 8080, 5)
			_, err := s.client.Connect(lab.ConnectSpec{To: at(8080), N: 40,
				NonBlocking: true})
			must(s, err)
			return func() {
				_, err := s.server.Close(l, lab.CloseSpec{})
				must(s, err)
			}
		},
	},
	{
		alert: "MaxconnEphemeralPortsRefusing", limit: limit.EphemeralPorts,
		want: map[string]string{"subject": "127.0.0.1 -> 127.0.0.1:5432",
			"process": "client", "scope": "peer"},
		make: func(s scene) func() {
			l := listening(s.T, s.server, 5432, 128)
			must(s, s.lab.Set("net.ipv4.ip_local_port_range", "40000 40019"))
			connected(s.T, s.server, s.client, l, 5432, 20)
			out, err := s.client.Connect(lab.ConnectSpec{To: at(5432)})
			must(s, err)
			if out.Errors["EADDRNOTAVAIL"] == 0 {
				s.Fatalf("errors %v, want EADDRNOTAVAIL", out.Errors)
			}
			return func() {
				must(s, s.lab.Set("net.ipv4.ip_local_port_range", "32768 60999"))
			}
		},
	},
	{
		alert: "MaxconnSynQueueRefusing", limit: limit.SYNQueue,
		want: map[string]string{"subject": "127.0.0.1:8443", "process": "server",
			"scope": "listener"},
		make: func(s scene) func() {
			must(s, s.lab.Set("net.ipv4.tcp_syncookies", "0"))
			l := listening(s.T, s.server, 8443, 16)
			_, err := s.client.RawSYN(lab.SYNSpec{To: at(8443), N: 100})
			must(s, err)
			return func() {
				_, err := s.server.Close(l, lab.CloseSpec{})
				must(s, err)
			}
		},
	},
	{
		alert: "MaxconnProcessFilesRefusing", limit: limit.ProcessFiles,
		want: map[string]string{"subject": "crowded", "process": "crowded",
			"scope": "process"},
		make: func(s scene) func() {
			crowded, err := s.lab.Spawn("crowded")
			must(s, err)
			l := listening(s.T, crowded, 9090, 128)
			must(s, crowded.Limit(64))
			_, err = crowded.FillFiles()
			must(s, err)
			_, err = s.client.Connect(lab.ConnectSpec{To: at(9090), N: 3,
				NonBlocking: true})
			must(s, err)
			_ = l
			return func() { must(s, crowded.Kill()) }
		},
	},
}

// A fault sets off its alert, with the labels that name it, within two evaluations of the rules
// after the exporter shows it, and the alert is resolved when the fault is over; during the faults
// every panel has data.
func TestAlerts(t *testing.T) {
	t.Parallel()
	l, server, client := inside(t)
	_, address := exporting(t, "--netns", l.NetNS())
	p := prometheusOf(t, address)
	s := scene{t, l, server, client}
	var ends []func()
	for _, f := range faults {
		made := time.Now()
		ends = append(ends, f.make(s))
		var seen []map[string]string
		await(t, 40*time.Second, f.alert+" fires", func() (fires bool) {
			var labels map[string]string
			if labels, seen = p.alert(f.alert, f.want); len(seen) > 0 {
				t.Logf("fires: %v", seen)
			}
			return labels != nil
		})
		fired(p, f, made)
	}
	panels(p)
	for _, end := range ends {
		end()
	}
	for _, f := range faults {
		await(t, 60*time.Second, f.alert+" is resolved", func() bool {
			found, others := p.alert(f.alert, nil)
			return found == nil && len(others) == 0
		})
	}
}

// fired checks the labels of an alert, and how soon it came.
func fired(p prometheus, f fault, made time.Time) {
	p.Helper()
	labels, _ := p.alert(f.alert, f.want)
	if labels["severity"] != "critical" || labels["netns"] != "observed" ||
		labels["limit"] != string(f.limit) {
		p.Errorf("%s: labels %v", f.alert, labels)
	}
	shown, ok1 := p.first(fmt.Sprintf(
		`maxconn_finding_info{limit=%q,severity="critical",subject=%q}`, f.limit,
		f.want["subject"]))
	alerted, ok2 := p.first(fmt.Sprintf(
		`ALERTS{alertname=%q,alertstate="firing",subject=%q}`, f.alert, f.want["subject"]))
	if !ok1 || !ok2 || alerted-shown > 2.1 {
		p.Errorf("%s: shown at %v, firing at %v, want within two evaluations", f.alert,
			shown,
			alerted)
	}
	p.Logf("%s: shown %.1f s after the fault was begun, firing %.1f s later", f.alert,
		shown-float64(made.UnixMilli())/1000, alerted-shown)
}

// panels asks Prometheus what Grafana would.
func panels(p prometheus) {
	p.Helper()
	queries := append(rules.Host(limit.Catalogue()).Queries(),
		rules.Fleet(limit.Catalogue()).Queries()...)
	if len(queries) < 20 {
		p.Fatalf("%d queries", len(queries))
	}
	for _, q := range queries {
		if len(p.query(q)) == 0 {
			p.Errorf("no data: %s", q)
		}
	}
}

// The control run: 5,000 healthy connections set nothing off. MAXCONN_LONG=10m is how long a run by
// hand looks at them.
func TestHealthyFiresNothing(t *testing.T) {
	t.Parallel()
	l, server, client := inside(t)
	length := 15 * time.Second
	if text := os.Getenv("MAXCONN_LONG"); text != "" {
		var err error
		length, err = time.ParseDuration(text)
		must(t, err)
	}
	_, address := exporting(t, "--netns", l.NetNS())
	p := prometheusOf(t, address)
	g := listening(t, server, 8080, 4096)
	connected(t, server, client, g, 8080, 5000)
	fired := func() bool { return len(p.query(`ALERTS{alertstate="firing"}`)) > 0 }
	for end := time.Now().Add(length); time.Now().Before(end) && !fired(); {
		time.Sleep(time.Second) // the test is that nothing happens in this time
	}
	for _, r := range p.query(`ALERTS{alertstate="firing"}`) {
		t.Errorf("fires: %v", r.Metric)
	}
	const shown = `sum(maxconn_listener_connections{state="established"})`
	if r := p.query(shown); len(r) != 1 || r[0].Value[1] != "5000" {
		t.Errorf("%s is %v, want 5000", shown, r)
	}
}

// A burst of a few milliseconds that overflows the queue between two scrapes is in the next one.
func TestBurstBetweenScrapes(t *testing.T) {
	l, server, client := inside(t)
	g := listening(t, server, 8080, 5)
	_, address := exporting(t, "--netns", l.NetNS())
	c := &http.Client{}
	scrape := func() string {
		_, text := get(t, c, "http://"+address+"/metrics")
		return text
	}
	const labels = `{listener="127.0.0.1:8080",netns="observed",process="server"}`
	const refusals = `maxconn_limit_refusals_total{limit="accept-queue",netns="observed"}`
	read := func(text, series string) float64 {
		t.Helper()
		v, ok := value(text, series)
		if !ok {
			t.Fatalf("%s is not there:\n%s", series, text)
		}
		return v
	}
	const peak = "maxconn_listener_accept_queue_peak_connections" + labels
	await(t, 5*time.Second, "the queue is looked at", func() bool {
		_, ok := value(scrape(), peak)
		return ok
	})
	before := scrape()
	if v := read(before, peak); v != 0 {
		t.Fatalf("a peak of %v before the burst", v)
	}
	begun := time.Now()
	_, err := client.Connect(lab.ConnectSpec{To: at(8080), N: 40, NonBlocking: true})
	must(t, err)
	out, err := server.Accept(lab.AcceptSpec{Listener: g, N: 6, Within: time.Second})
	must(t, err)
	t.Logf("the queue was full for less than %v; %d taken", time.Since(begun), out.Count)
	time.Sleep(300 * time.Millisecond) // two looks; the next scrape is not due yet either
	after := scrape()
	if v := read(after, peak); v != 6 {
		t.Errorf("the peak is %v, want 6", v)
	}
	if v := read(after, refusals) - read(before, refusals); v < 1 {
		t.Errorf("%v refusals, want some", v)
	}
	const dropped = "maxconn_listener_dropped_total" + labels
	if v := read(after, dropped) - read(before, dropped); v < 1 {
		t.Errorf("%v dropped, want some", v)
	}
	if v := read(scrape(), peak); v == 6 {
		q, err := server.Queue(g)
		must(t, err)
		if q.Used < 6 { // clients send their SYNs again and may fill it anew
			t.Errorf("the peak of before is shown twice")
		}
	}
}

// The exporter ends at once when it is told to, also while it surveys, and two of them do not share
// an address.
func TestEnd(t *testing.T) {
	c, address := exporting(t)
	second, said := start(t, program, "exporter", "--listen", address)
	if second.Wait(); second.ProcessState.ExitCode() != 70 ||
		!strings.Contains(said(), "address already in use") ||
		!strings.Contains(said(), "hint: another exporter may run already") {
		t.Errorf("the second one ended with %d: %s", second.ProcessState.ExitCode(), said())
	}
	if code, text := get(t, http.DefaultClient, "http://"+address+"/healthz"); code != 200 ||
		text != "ok\n" {
		t.Errorf("healthz: %d %s", code, text)
	}
	must(t, c.Process.Signal(syscall.SIGTERM))
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("SIGTERM: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it goes on after SIGTERM")
	}
}

// Namespaces come and go; one that has ended is held by nobody, and its series end.
func TestNamespacesComeAndGo(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("to enter other namespaces takes root")
	}
	_, address := exporting(t, "--all-netns")
	count := func() int {
		_, text := get(t, http.DefaultClient, "http://"+address+"/metrics")
		return strings.Count(text, `port77process"`)
	}
	l, _, _ := inside(t)
	a, err := l.Spawn("port77process")
	must(t, err)
	listening(t, a, 7777, 16)
	await(t, 90*time.Second, "the namespace is shown", func() bool { return count() > 0 })
	must(t, l.Close())
	await(t, 90*time.Second, "its series end", func() bool { return count() == 0 })
}

// A unit of type socket hands its sockets over; where others can reach them the same holds as for
// addresses of the command line.
func TestSocketOfSystemd(t *testing.T) {
	if testing.Short() {
		t.Skip("whole programs")
	}
	for address, ok := range map[string]bool{"127.0.0.1:0": true, "0.0.0.0:0": false} {
		l, err := net.Listen("tcp", address)
		must(t, err)
		f, err := l.(*net.TCPListener).File()
		must(t, err)
		c := exec.Command("sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec "+program+
			" exporter --systemd-socket")
		c.ExtraFiles = []*os.File{f} // the descriptor 3 (sd_listen_fds(3))
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		must(t, c.Start())
		f.Close()
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		if ok {
			url := fmt.Sprintf("http://127.0.0.1:%d/metrics", port)
			if code, _ := get(t, http.DefaultClient, url); code != http.StatusOK {
				t.Errorf("%s: status %d", address, code)
			}
			must(t, c.Process.Signal(syscall.SIGTERM))
		}
		c.Wait()
		if code := c.ProcessState.ExitCode(); ok != (code == 0) || !ok && code != 64 {
			t.Errorf("%s: exit status %d", address, code)
		}
	}
}
