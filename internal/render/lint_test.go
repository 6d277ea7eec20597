package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

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

// Of each format --explain-parse says as what it was read, and shows every setting with its line,
// how it is written and where it acts.
func TestExplainParse(t *testing.T) {
	archives, err := filepath.Glob("../lint/testdata/corpus/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	formats := map[string]bool{}
	for _, archive := range archives {
		a, err := txtar.ParseFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(a.Files); i += 2 {
			f := a.Files[i]
			r := lint.Lint([]lint.File{{Name: f.Name, Text: f.Data}},
				lint.Target{Kernel: "6.12"})
			formats[r.Read[0].Format] = true
			var b bytes.Buffer
			if err := LintParsed(&b, r, Style{Width: 1000}); err != nil {
				t.Fatal(err)
			}
			checkParsed(t, f.Name, r, b.String())
		}
	}
	if len(formats) < 35 {
		t.Errorf("%d formats", len(formats))
	}
}

func checkParsed(t *testing.T, name string, r lint.Report, shown string) {
	t.Helper()
	head, rest, _ := strings.Cut(shown, "\n")
	if !strings.HasPrefix(head, name+": ") || !strings.HasSuffix(head, " as "+
		r.Read[0].Format) {
		t.Errorf("%s: %q", name, head)
	}
	for _, l := range r.Lines {
		line := fmt.Sprintf("%d  %s  %s", l.Line, l.Key, l.Form)
		if l.Value != "" {
			line = fmt.Sprintf("%d  %s = %s  %s", l.Line, l.Key, l.Value, l.Form)
		}
		if l.Scope != "" {
			line += ", " + string(l.Scope)
		}
		if words := strings.Join(strings.Fields(line), " "); len(line) < longestSetting &&
			l.Into == "" && !strings.Contains(strings.Join(strings.Fields(rest), " "),
			words) {
			t.Errorf("%s: no %q in %q", name, words, rest)
		}
		if l.Form == "" || l.Line < 1 {
			t.Errorf("%s: %+v", name, l)
		}
	}
	for _, u := range r.Read[0].Refers {
		if !strings.Contains(rest, fmt.Sprintf("not read: line %d: ", u.Line)) {
			t.Errorf("%s: %+v is not shown in %q", name, u, rest)
		}
	}
	if r.Read[0].NotJudged && !strings.Contains(rest, "not judged") {
		t.Errorf("%s: %q", name, rest)
	}
}
