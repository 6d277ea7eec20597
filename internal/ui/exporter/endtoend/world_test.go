//go:build linux

package endtoend

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/lab"
	"github.com/maxconn/maxconn/internal/lab/labtest"
)

var program string // maxconn itself

func TestMain(m *testing.M) {
	lab.Main()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if flag.Parse(); testing.Short() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "maxconn")
	if err == nil {
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "maxconn")
		var out []byte
		if out, err = exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o",
			program, "../../../../cmd/maxconn").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
	}
	if err := cmp.Or(err, os.Chmod(dir, 0o755)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// tool is a program of Debian's that a test needs: without it the test is skipped, or fails where
// MAXCONN_REQUIRE names metrics.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "metrics") {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("%s is not installed: scripts/debian-packages.sh", name)
	}
	return path
}

// inside is a lab that can be looked at from outside.
func inside(t *testing.T) (l *lab.Lab, server, client *lab.Actor) {
	t.Helper()
	if testing.Short() {
		t.Skip("whole programs, for minutes")
	}
	if os.Geteuid() != 0 {
		t.Skip("to enter a lab from outside takes root")
	}
	l = labtest.Start(t)
	var err error
	server, err = l.Spawn("server")
	must(t, err)
	client, err = l.Spawn("client")
	must(t, err)
	return l, server, client
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freePort is one that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

// start runs a program that ends with the test, and returns what it has said so far.
func start(t *testing.T, name string, args ...string) (c *exec.Cmd, said func() string) {
	t.Helper()
	var mu sync.Mutex
	var text bytes.Buffer
	c = exec.Command(name, args...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	pipe, err := c.StderrPipe()
	must(t, err)
	must(t, c.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			mu.Lock()
			fmt.Fprintln(&text, lines.Text())
			mu.Unlock()
		}
	}()
	said = func() string {
		mu.Lock()
		defer mu.Unlock()
		return text.String()
	}
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(10*time.Second, func() { c.Process.Kill() })
		<-read
		c.Wait()
		timer.Stop()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(name), said())
		}
	})
	return c, said
}

// exporting starts the exporter on a free port, and returns its address.
func exporting(t *testing.T, args ...string) (c *exec.Cmd, address string) {
	t.Helper()
	if testing.Short() {
		t.Skip("whole programs, for minutes")
	}
	args = append([]string{"exporter", "--listen", "127.0.0.1:0"}, args...)
	c, said := start(t, program, args...)
	at := regexp.MustCompile(`exporter: http://(\S+)/metrics`)
	await(t, 20*time.Second, "the exporter listens and has surveyed", func() bool {
		m := at.FindStringSubmatch(said())
		if m == nil {
			return false
		}
		address = m[1]
		return strings.Contains(said(), "a survey takes")
	})
	return c, address
}

// await waits for what nobody tells of.
func await(t testing.TB, patience time.Duration, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %v it is not so: %s", patience, what)
		}
	}
}

// get is the body of a page.
func get(t testing.TB, c *http.Client, url string) (int, string) {
	t.Helper()
	r, err := c.Get(url)
	must(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	must(t, err)
	return r.StatusCode, string(text)
}

// value is a series of a scrape, by how the line begins; ok says that it is there.
func value(text, series string) (v float64, ok bool) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, series+" "); found {
			_, err := fmt.Sscan(rest, &v)
			return v, err == nil
		}
	}
	return 0, false
}

// prometheus runs Prometheus, which scrapes an exporter once a second and sends alerts to an
// Alertmanager.
type prometheus struct {
	*testing.T
	url, alertmanager string
}

func prometheusOf(t *testing.T, exporter string) prometheus {
	t.Helper()
	server, manager := tool(t, "prometheus"), tool(t, "prometheus-alertmanager")
	dir := t.TempDir()
	rules, err := filepath.Abs("../../../../packaging/prometheus/maxconn.rules.yml")
	must(t, err)
	p := prometheus{t, freePort(t), freePort(t)}
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		return file
	}
	start(t, manager, "--config.file="+write("alertmanager.yml", `route:
  receiver: nobody
  group_wait: 0s
receivers: [{name: nobody}]
`), "--storage.path="+filepath.Join(dir, "am"), "--web.listen-address="+p.alertmanager,
		"--cluster.listen-address=", "--log.level=warn")
	start(t, server, "--config.file="+write("prometheus.yml", fmt.Sprintf(`global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [%q]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
  - job_name: maxconn
    static_configs: [{targets: [%q]}]
`, rules, p.alertmanager, exporter)), "--storage.tsdb.path="+filepath.Join(dir, "tsdb"),
		"--web.listen-address="+p.url, "--log.level=warn")
	await(t, 30*time.Second, "Prometheus has scraped the exporter", func() bool {
		r, err := http.Get("http://" + p.url + "/-/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK && len(p.query("maxconn_build_info")) > 0
	})
	await(t, 30*time.Second, "Alertmanager is ready", func() bool {
		r, err := http.Get("http://" + p.alertmanager + "/-/ready")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
	return p
}

// result is a series of an answer of Prometheus.
type result struct {
	Metric map[string]string `json:"metric"`
	Value  []any             `json:"value"`
	Values [][]any           `json:"values"`
}

func (p prometheus) query(expr string) []result {
	p.Helper()
	r, err := http.PostForm("http://"+p.url+"/api/v1/query", url.Values{"query": {expr}})
	if err != nil {
		return nil
	}
	defer r.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []result }
	}
	must(p, json.NewDecoder(r.Body).Decode(&answer))
	if answer.Error != "" {
		p.Fatalf("%s: %s", expr, answer.Error)
	}
	return answer.Data.Result
}

// first is when a series first had a sample, in seconds.
func (p prometheus) first(selector string) (float64, bool) {
	p.Helper()
	earliest, found := 0.0, false
	for _, r := range p.query(selector + "[10m]") {
		if at, ok := r.Values[0][0].(float64); ok && (!found || at < earliest) {
			earliest, found = at, true
		}
	}
	return earliest, found
}

// alerts are those that Alertmanager has now, resolved ones left out.
func (p prometheus) alerts() (all []map[string]string) {
	p.Helper()
	r, err := http.Get("http://" + p.alertmanager + "/api/v2/alerts?active=true")
	must(p, err)
	defer r.Body.Close()
	var answer []struct{ Labels map[string]string }
	must(p, json.NewDecoder(r.Body).Decode(&answer))
	for _, a := range answer {
		all = append(all, a.Labels)
	}
	return all
}

// alert is one of a name and with some labels that Alertmanager has, or nil; seen are the others of
// the name.
func (p prometheus) alert(name string, want map[string]string) (found map[string]string,
	seen []map[string]string) {
	p.Helper()
	for _, labels := range p.alerts() {
		if labels["alertname"] != name {
			continue
		}
		found = labels
		for label, text := range want {
			if labels[label] != text {
				found = nil
			}
		}
		if found != nil {
			return found, nil
		}
		seen = append(seen, labels)
	}
	return nil, seen
}

var loopback = netip.MustParseAddr("127.0.0.1")

func at(port uint16) netip.AddrPort { return netip.AddrPortFrom(loopback, port) }

// connected opens n connections that the server takes.
func connected(t *testing.T, server, client *lab.Actor, l lab.Group, port uint16,
	n int) (opened, accepted lab.Opened) {
	t.Helper()
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { accepted, err = server.Accept(lab.AcceptSpec{Listener: l, N: n}) })
	opened, e := client.Connect(lab.ConnectSpec{To: at(port), N: n})
	wg.Wait()
	must(t, cmp.Or(err, e))
	if opened.Count != n || accepted.Count != n {
		t.Fatalf("opened %d, accepted %d of %d: %v %v", opened.Count, accepted.Count, n,
			opened.Errors, accepted.Errors)
	}
	return opened, accepted
}

func listening(t *testing.T, server *lab.Actor, port uint16, backlog int) lab.Group {
	t.Helper()
	g, _, err := server.Listen(lab.ListenSpec{Addr: at(port), Backlog: backlog})
	must(t, err)
	return g
}
