package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/render"
)

var updateHosts = flag.Bool("update", false,
	"write the verdicts on recorded hosts into testdata/hosts")

// recorded is what somebody who knows the host would say of it. The verdict in full stands beside
// the snapshot in NAME.want (100 columns) and, for some, in NAME.json.want.
type recorded struct {
	status   int
	severity diagnose.Severity // of the first finding; "" where none is more than information
	limit    string
	subject  string // contained
}

// recordedHosts has an entry for each snapshot of testdata/hosts.
var recordedHosts = map[string]recorded{
	"big-counters":      {status: statusHolds},
	"busy-proxy":        {statusBinds, diagnose.Warning, "time-wait", "192.0.2.52:8080"},
	"container":         {statusBinds, diagnose.Warning, "threads", "cgroup"},
	"fd-limit":          {statusBinds, diagnose.Warning, "process-files", "api (pid 874)"},
	"laptop":            {status: statusHolds},
	"memory-pressure":   {statusBinds, diagnose.Warning, "tcp-memory", "this host"},
	"node-accept-queue": {statusBinds, diagnose.Critical, "accept-queue", "0.0.0.0:3000"},
	"rhel7":             {statusBinds, diagnose.Warning, "time-wait", "this network namespace"},
	"small-vm":          {status: statusHolds},
	"unprivileged":      {status: statusUnknown},
}

func hostFile(name string) string { return filepath.Join("..", "..", "testdata", "hosts", name) }

func eachHost(t *testing.T, test func(t *testing.T, name string, want recorded)) {
	t.Helper()
	files, err := filepath.Glob(hostFile("*.txt"))
	if err != nil || len(files) != len(recordedHosts) {
		t.Fatalf("%d snapshots in testdata/hosts, %d expectations here, %v", len(files),
			len(recordedHosts), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		want, ok := recordedHosts[name]
		if !ok {
			t.Fatalf("%s: no expectation", file)
		}
		t.Run(name, func(t *testing.T) { test(t, name, want) })
	}
}

func noEnv(string) string { return "" }

// checkHost runs check --from on a recorded host.
func checkHost(t *testing.T, name string, args ...string) (status int, stdout string) {
	t.Helper()
	var out, complaint bytes.Buffer
	args = append([]string{"check", "--from", hostFile(name + ".txt")}, args...)
	status = run(t.Context(), args, strings.NewReader(""), &out, &complaint, noEnv)
	if complaint.Len() > 0 && status != statusUnknown {
		t.Errorf("%q complains: %s", args, &complaint)
	}
	return status, out.String()
}

// The verdict on each recorded host is the one written down.
func TestRecordedHosts(t *testing.T) {
	eachHost(t, func(t *testing.T, name string, want recorded) {
		if status, _ := checkHost(t, name); status != want.status {
			t.Errorf("status %d, want %d", status, want.status)
		}
		text, report := recordedReport(t, name)
		golden(t, hostFile(name+".want"), text)
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > usualWidth {
				t.Errorf("a line of %d columns: %s", n, line)
			}
		}
		if _, err := os.Stat(hostFile(name + ".json.want")); err == nil {
			golden(t, hostFile(name+".json.want"), report)
		}
		firstFinding(t, report, want)
	})
}

// recordedReport is what check says of a host with the limits that there were when it was
// recorded: the facts that a newer one needs are not in the snapshot.
func recordedReport(t *testing.T, name string) (text, report string) {
	t.Helper()
	ids, err := os.ReadFile(hostFile("limits"))
	if err != nil {
		t.Fatal(err)
	}
	_, s := parseHost(t, name)
	r := diagnose.Check(s, diagnose.Options{Limits: strings.Fields(string(ids))})
	r.Asked = nil // they stand for all
	var b, j bytes.Buffer
	if err := errors.Join(render.Text(&b, r, render.Style{Width: usualWidth}),
		render.JSON(&j, r)); err != nil {
		t.Fatal(err)
	}
	return b.String(), j.String()
}

// golden compares with a file, or writes it with -update.
func golden(t *testing.T, file, have string) {
	t.Helper()
	if *updateHosts {
		if err := os.WriteFile(file, []byte(have), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := gocmp.Diff(string(want), have); d != "" {
		t.Errorf("%s (-want +have; -update accepts it):\n%s", file, d)
	}
}

func firstFinding(t *testing.T, report string, want recorded) {
	t.Helper()
	var r diagnose.Report
	if err := json.Unmarshal([]byte(report), &r); err != nil {
		t.Fatal(err)
	}
	var first diagnose.Finding
	if len(r.Findings) > 0 && r.Findings[0].Severity != diagnose.Info {
		first = r.Findings[0]
	}
	if first.Severity != want.severity || first.Limit != want.limit ||
		!strings.Contains(first.Subject, want.subject) {
		t.Errorf("first finding: %s %s at %s, want %s %s at %s", first.Severity,
			first.Limit, first.Subject, want.severity, want.limit, want.subject)
	}
}

// A recorded host tells where it comes from and is written as observe writes it, so that a
// new recording differs in what has changed alone.
func TestRecordedHostsAreAsObserveWrites(t *testing.T) {
	eachHost(t, func(t *testing.T, name string, _ recorded) {
		text, s := parseHost(t, name)
		comment, body := splitComment(text)
		if !strings.HasPrefix(comment, "# ") {
			t.Error("the first line is no comment that tells where the snapshot " +
				"comes from")
		}
		if d := gocmp.Diff(body, string(s.Text())); d != "" {
			t.Errorf("not as observe writes it (-file +observe):\n%s", d)
		}
	})
}

func parseHost(t *testing.T, name string) (text string, s host.Snapshot) {
	t.Helper()
	b, err := os.ReadFile(hostFile(name + ".txt"))
	if err != nil {
		t.Fatal(err)
	}
	if s, err = host.Parse(b); err != nil {
		t.Fatal(err)
	}
	return string(b), s
}

// splitComment parts the lines at the head that begin with "#" from the rest.
func splitComment(text string) (comment, body string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			break
		}
		comment += line
	}
	return comment, strings.TrimPrefix(text, comment)
}
