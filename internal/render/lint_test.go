package render

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/lint"
)

// linted is a report with a bit of everything.
func linted() lint.Report {
	return lint.Lint([]lint.File{
		{Name: "etc/sysctl.d/10-a.conf",
			Text: []byte("net.core.somaxconn = 1024\nnet.ipv4.tcp_sack = " +
				"1\nvm.swappiness = 10\nnet.ipv4.tcp_tw_recycle = 1\n")},
		{Name: "/srv/b c.sh", Text: []byte("sysctl -w net.ipv4.tcp_timestamps=0\n")},
		{Name: "empty.conf"},
	}, lint.Target{Kernel: "6.1"})
}

func TestLintText(t *testing.T) {
	var b bytes.Buffer
	if err := LintText(&b, linted().Brief(), Style{Width: 80}); err != nil {
		t.Fatal(err)
	}
	want := `lint for Linux 6.1: 5 settings in 3 files

etc/sysctl.d/10-a.conf
  1  below-default  net.core.somaxconn = 1024
     1,024 is below the default of this kernel, 4,096 (128 before Linux 5.4):
     the line lowers the cap on every accept queue.
     net/socket.c __sys_listen_socket; include/net/inet_connection_sock.h
       inet_csk_reqsk_queue_is_full; 19f92a030ca6 (5.4)
  4  gone           net.ipv4.tcp_tw_recycle = 1
     Gone since Linux 4.12. The write fails (no such file) and is ignored.
     Before, it dropped connections of clients behind NAT.
     net/ipv4/tcp_minisocks.c tcp_time_wait (recycle_ok), net/ipv4/tcp_input.c
       tcp_conn_request, net/ipv4/tcp_metrics.c tcp_peer_is_proven; 4396e46187ca
       (4.12)
  not about how many connections there can be: tcp_sack (2)

/srv/b c.sh
  1  harmful        net.ipv4.tcp_timestamps = 0
     Without timestamps tcp_tw_reuse reuses nothing, old duplicates are not told
     from new packets (PAWS), and connections made with SYN cookies lose window
     scaling and SACK. The default is 1.
     net/ipv4/tcp_ipv4.c tcp_twsk_unique; net/ipv4/tcp_input.c tcp_paws_check;
       Documentation/networking/ip-sysctl.rst

empty.conf
  nothing here is about connections

3 faults: 1 gone, 1 harmful, 1 below-default; 1 unrelated; 1 skipped that have
  nothing to do with connections (--all shows them)
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}

// Names of files and values come from others: nothing in them reaches a terminal as it is,
// whatever the width.
func TestLintTextIsClean(t *testing.T) {
	hostile := "\x1b[2J\xff\u202e" + strings.Repeat("x", 500)
	r := lint.Lint([]lint.File{{Name: hostile,
		Text: []byte("net.core.somaxconn = " + hostile + "\n" + "net.ipv4.tcp_" + hostile +
			" = 1\n")}}, lint.Target{Kernel: "6.1"})
	for _, width := range []int{40, 80, 200} {
		var b bytes.Buffer
		if err := LintText(&b, r, Style{Width: width, Verbose: true}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > width ||
				strings.ContainsAny(line, "\x1b\u202e") {
				t.Errorf("width %d, %d: %q", width, n, line)
			}
		}
	}
}

func TestLintJSON(t *testing.T) {
	var b bytes.Buffer
	if err := LintJSON(&b, linted()); err != nil {
		t.Fatal(err)
	}
	var r lint.Report
	if err := json.Unmarshal(b.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Schema != "maxconn.lint/1" || r.Kernel != "6.1" || len(r.Lines) != 5 ||
		strings.Contains(b.String(), "null") {
		t.Errorf("%s", &b)
	}
	for i, l := range r.Lines {
		if want := linted().Lines[i]; l.File != want.File || l.Line != want.Line ||
			l.Key != want.Key || l.Value != want.Value || l.Verdict != want.Verdict ||
			l.Why != want.Why || l.Source != want.Source {
			t.Errorf("line %d: %+v", i, l)
		}
	}
}

// What OASIS SARIF 2.1.0 asks for: rules, results that point at them by index, locations
// with URIs and lines from 1.
func TestLintSARIF(t *testing.T) {
	var b bytes.Buffer
	if err := LintSARIF(&b, linted(), "1.0"); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	var have []string
	for _, x := range run.Results {
		if run.Tool.Driver.Rules[x.RuleIndex].ID != x.RuleID || x.Message.Text == "" {
			t.Errorf("%+v", x)
		}
		where := x.Locations[0].Physical
		have = append(have, x.RuleID+" "+x.Level+" "+where.Artifact.URI+":"+
			string(rune('0'+where.Region.StartLine)))
	}
	want := []string{"below-default warning etc/sysctl.d/10-a.conf:1",
		"gone warning etc/sysctl.d/10-a.conf:4", "harmful error file:///srv/b%20c.sh:1"}
	if d := cmp.Diff(want, have); d != "" || log.Version != "2.1.0" {
		t.Error(d)
	}
	for _, v := range lint.Verdicts {
		found := false
		for _, r := range run.Tool.Driver.Rules {
			found = found || r.ID == string(v)
		}
		if found != v.Fault() {
			t.Errorf("rule for %s: %v", v, found)
		}
	}
}
