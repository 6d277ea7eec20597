package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/limit"
)

// hostile is a name that tries to colour the terminal, to clear it, to turn the writing
// direction, to leave its table cell, and that is no UTF-8.
const hostile = "a\x1b[2J\u009b31m\u202eb|c`d`<i>*e*\xff\n\x07f"

func report() diagnose.Report {
	r := diagnose.Report{
		Schema: diagnose.Schema,
		Host: diagnose.Host{Name: "box", Kernel: "6.12.1", Netns: "net:[1]",
			Scope: "initial", User: "root"},
		Verdict: diagnose.Binds,
		Checked: []diagnose.Checked{{Limit: "accept-queue", Subjects: 1, Findings: 1}},
	}
	r.Capacity.Outbound = []diagnose.Outbound{
		{
			Held:      28232,
			BoundBy:   "ephemeral-ports",
			HeldHow:   limit.Computed,
			PerSecond: 470,
			RateBy:    "time-wait",
			RateHow:   limit.Computed,
		},
		{
			Source:      "2001:db8::1",
			Destination: "[2001:db8::2]:443",
			Process:     hostile,
			PID:         7,
			Now:         1234567,
			Held:        1024,
			BoundBy:     "process-files",
			HeldHow:     limit.Read,
		},
	}
	r.Capacity.Inbound = []diagnose.Inbound{{
		Listener: "0.0.0.0:80",
		Process:  hostile,
		PID:      7,
		Now:      3,
		Held:     9,
		BoundBy:  "system-files",
		HeldHow:  limit.Read,
		AtMost:   true,
		Burst:    6,
		BurstBy:  "accept-queue",
		BurstHow: limit.Computed,
	}}
	r.Findings = []diagnose.Finding{
		{
			Limit: "accept-queue", Severity: diagnose.Critical, Subject: "0.0.0.0:80",
			Process: hostile, PID: 7, Measure: limit.Burst, Ceiling: 6,
			CeilingHow: limit.Computed, Used: 6, Refused: 40,
			Cause: "the queue is full", Owner: "the application",
			Evidence: []limit.Evidence{{Fact: "drops", Value: "12345",
				Meaning: "since it was opened"}},
			Remedies: []limit.Remedy{{
				Kind:        limit.ByApplication,
				Setting:     "backlog",
				From:        "5",
				To:          "128",
				Text:        "ask for more",
				TakesEffect: "at the next listen()",
			}},
		},
		{
			Limit:      "time-wait",
			Severity:   diagnose.Info,
			Subject:    "any",
			Measure:    limit.PerSecond,
			Ceiling:    470,
			CeilingHow: limit.Computed,
			Cause:      strings.Repeat("a long cause ", 20),
		},
	}
	r.Unseen = []diagnose.Unseen{{Fact: "slab *", Why: "permission denied",
		Limits: []string{"connection-memory"}}}
	return r
}

func written(t *testing.T, f func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func textOf(t *testing.T, r diagnose.Report, s Style) string {
	return written(t, func(w io.Writer) error { return Text(w, r, s) })
}

func TestNoLineIsWiderThanTheScreen(t *testing.T) {
	for width := 40; width <= 130; width++ {
		for _, style := range []Style{{Width: width},
			{Width: width, Color: true, Verbose: true}} {
			for line := range strings.Lines(textOf(t, report(), style)) {
				if w := ansi.StringWidth(strings.TrimSuffix(line, "\n")); w >
					width {
					t.Fatalf("width %d: a line of %d columns: %q", width, w,
						line)
				}
			}
		}
	}
}

func TestColourChangesNoWord(t *testing.T) {
	plain := textOf(t, report(), Style{Width: 100})
	coloured := textOf(t, report(), Style{Width: 100, Color: true})
	if strings.Contains(plain, "\x1b") {
		t.Error("an escape sequence without colour")
	}
	if coloured == plain {
		t.Error("colour changes nothing")
	}
	var b strings.Builder
	inside := false
	for _, r := range coloured {
		switch {
		case r == '\x1b':
			inside = true
		case inside:
			inside = r != 'm'
		default:
			b.WriteRune(r)
		}
	}
	if d := cmp.Diff(plain, b.String()); d != "" {
		t.Errorf("words differ (-plain +coloured):\n%s", d)
	}
}

// Nothing of a name or a file may act on a terminal, in any form of output.
func TestHostileNamesAreShownNotObeyed(t *testing.T) {
	r := report()
	for name, out := range map[string]string{
		"text":     textOf(t, r, Style{Width: 80, Verbose: true}),
		"json":     written(t, func(w io.Writer) error { return JSON(w, r) }),
		"markdown": written(t, func(w io.Writer) error { return Markdown(w, r) }),
	} {
		for i, c := range out {
			if c != '\n' && c != utf8.RuneError && func(r rune) bool {
				return !strconv.IsPrint(r)
			}(c) {
				t.Errorf("%s: %q at byte %d: %q", name, c, i, out[max(0, i-20):i+4])
			}
		}
	}
	if out := textOf(t, r, Style{Width: 100}); !strings.Contains(out,
		`a\x1b[2J\u009b31m\u202eb|c`+"`d`"+`<i>*e*\xff\n\af`) {
		t.Errorf("the name is not shown as in Go:\n%s", out)
	}
}

func TestJSONRoundTrip(t *testing.T) {
	r := report()
	r.Findings[0].Process = "web\u009b\u202e\U000e0001<&>" // valid UTF-8, so that it comes back
	out := written(t, func(w io.Writer) error { return JSON(w, r) })
	if strings.Contains(out, "null") {
		t.Errorf("null in place of an empty array:\n%s", out)
	}
	if !strings.Contains(out, `"process": "web\u009b\u202e\udb40\udc01<&>"`) {
		t.Errorf("escapes:\n%s", out)
	}
	var back diagnose.Report
	if err := json.Unmarshal([]byte(out), &back); err != nil {
		t.Fatal(err)
	}
	if back.Findings[0].Process != r.Findings[0].Process || len(back.Findings) != 2 ||
		back.Capacity.Outbound[0].Held != 28232 {
		t.Errorf("came back as %+v", back)
	}
	if r.Findings[0].Steps != nil {
		t.Error("writing changed the caller's report")
	}
}

func TestMarkdownTablesKeepTheirCells(t *testing.T) {
	out := written(t, func(w io.Writer) error { return Markdown(w, report()) })
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		if n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"); n != 8 {
			t.Errorf("%d bars, want 8: %s", n, line)
		}
	}
	if strings.Contains(out, "<i>*e*") && !strings.Contains(out, "`` a\\x1b") {
		t.Errorf("markup of a name outside a code span:\n%s", out)
	}
}

func TestWhatIsNotSeenIsNotZero(t *testing.T) {
	r := report()
	r.Capacity = diagnose.Capacity{Outbound: []diagnose.Outbound{{Source: "a", Destination: "b",
		Now: 1}}}
	r.Unseen = []diagnose.Unseen{{Fact: "listener *",
		Why: "sock_diag: operation not permitted"}}
	out := textOf(t, r, Style{Width: 100})
	for _, want := range []string{"INBOUND  could not be seen: sock_diag: operation not " +
		"permitted", "a -> b      1         -                -"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	r.Unseen = nil
	if out := textOf(t, r, Style{Width: 100}); !strings.Contains(out,
		"INBOUND  nothing listens here") {
		t.Error(out)
	}
}

func TestVerdicts(t *testing.T) {
	accept := diagnose.Finding{Limit: "accept-queue", Severity: diagnose.Critical,
		Subject: ":80"}
	other := diagnose.Finding{Limit: "accept-queue", Severity: diagnose.Critical,
		Subject: ":81"}
	ports := diagnose.Finding{Limit: "ephemeral-ports", Severity: diagnose.Warning,
		Subject: "a -> b"}
	wanted := diagnose.Finding{Limit: "time-wait", Severity: diagnose.Warning, Subject: "b",
		Demand: 900}
	deciding := []diagnose.Unseen{{Fact: "sysctl x", Why: "permission denied", Decides: true}}
	rows := []diagnose.Unseen{{Fact: "process *", Why: "permission denied", Decides: true,
		Limits: []string{"process-files"}}}
	void := []diagnose.Unseen{{Fact: "sysctl x", Why: "permission denied",
		Limits: []string{"time-wait"}}}
	partly := []diagnose.Unseen{{
		Fact:   "process *",
		Why:    "permission denied",
		Limits: []string{"threads", "process-files", "close-wait"},
	}}
	all := make([]diagnose.Checked, len(limit.Catalogue()))
	for i, l := range limit.Catalogue() {
		all[i] = diagnose.Checked{Limit: string(l.ID)}
	}
	for _, c := range []struct {
		name string
		r    diagnose.Report
		want string
	}{
		{"holds", diagnose.Report{Verdict: diagnose.Holds, Checked: all},
			"Nothing limits this host's connections now."},
		{"holds for those seen", diagnose.Report{
			Verdict: diagnose.Holds,
			Checked: all,
			Unseen: []diagnose.Unseen{{Fact: "process *", Why: "permission denied",
				Limits: []string{"process-files"}}},
		}, "Nothing that could be seen limits this host's connections now; " +
			"process-files only for the processes that could be seen."},
		{"holds in part", diagnose.Report{Verdict: diagnose.Holds,
			Checked: without(all, "time-wait"), Unseen: void},
			"Nothing that could be " +
				"seen limits this host's connections now; not judged: time-wait."},
		{"holds in part, for those seen", diagnose.Report{
			Verdict: diagnose.Holds,
			Checked: without(all, "time-wait"),
			Unseen:  append(partly, void...),
		}, "Nothing that could be seen limits this host's connections now; not judged: " +
			"time-wait; close-wait and process-files only for the processes that " +
			"could be seen."},
		{"holds without a detail", diagnose.Report{
			Verdict: diagnose.Holds,
			Checked: all,
			Unseen: []diagnose.Unseen{{Fact: "ports bound", Why: "not listed",
				Limits: []string{"ephemeral-ports"}}},
		}, "Nothing that could be seen limits this host's connections now."},
		{"holds for some of one", diagnose.Report{
			Verdict: diagnose.Holds,
			Asked:   []string{"process-files"},
			Checked: []diagnose.Checked{{Limit: "process-files"}},
			Unseen: []diagnose.Unseen{{Fact: "process *",
				Limits: []string{"process-files"}}},
		}, "Not limited now as far as could be seen by what was asked for: " +
			"process-files; process-files only for the processes that could be seen."},
		{"warning for those seen", diagnose.Report{Verdict: diagnose.Binds,
			Findings: []diagnose.Finding{ports}, Unseen: partly},
			"Nothing that could be " +
				"seen refuses connections now, but 1 limit needs attention: " +
				"ephemeral-ports at a -> b."},
		{"wanted of those seen", diagnose.Report{Verdict: diagnose.Binds,
			Findings: []diagnose.Finding{wanted}, Unseen: partly},
			"The wanted workload " +
				"does not fit: time-wait at b. Nothing that could be seen " +
				"refuses connections now."},
		{"holds for one", diagnose.Report{Verdict: diagnose.Holds,
			Asked: []string{all[0].Limit}, Checked: all[:1]}, "Not limited now by " +
			"what was asked for: " + all[0].Limit + "."},
		{"one", diagnose.Report{Verdict: diagnose.Binds,
			Findings: []diagnose.Finding{accept}}, "1 limit refuses connections " +
			"now: accept-queue at :80."},
		{"same limit twice", diagnose.Report{Verdict: diagnose.Binds,
			Findings: []diagnose.Finding{accept, other, ports}}, "1 limit refuses " +
			"connections now: accept-queue at :80 (and 1 other)."},
		{"window", diagnose.Report{
			Host:     diagnose.Host{Window: "10s"},
			Verdict:  diagnose.Binds,
			Findings: []diagnose.Finding{accept},
		}, "1 limit refuses connections now or did in the 10s watched: accept-queue " +
			"at :80."},
		{"warning", diagnose.Report{Verdict: diagnose.Binds,
			Findings: []diagnose.Finding{ports}}, "Nothing refuses connections " +
			"now, but 1 limit needs attention: ephemeral-ports at a -> b."},
		{"wanted", diagnose.Report{Verdict: diagnose.Binds,
			Findings: []diagnose.Finding{wanted, ports}}, "The wanted workload " +
			"does not fit: time-wait at b. Nothing refuses connections now."},
		{"both", diagnose.Report{Verdict: diagnose.Binds,
			Findings: []diagnose.Finding{accept, wanted}}, "1 limit refuses " +
			"connections now: accept-queue at :80. The wanted workload does not " +
			"fit: time-wait at b."},
		{"unknown", diagnose.Report{Verdict: diagnose.Unknown, Unseen: deciding},
			"Could not tell: sysctl x: permission denied"},
		{"partly", diagnose.Report{Verdict: diagnose.Unknown, Unseen: rows,
			Checked: []diagnose.Checked{{Limit: "process-files"}}},
			"Nothing that could be seen limits this host's connections now, but not " +
				"all could be seen: processes: permission denied"},
		{"nothing at all", diagnose.Report{Verdict: diagnose.Unknown},
			"Could not tell: no limit could be evaluated"},
	} {
		var have strings.Builder
		for _, s := range verdictSpans(c.r) {
			have.WriteString(s.text)
		}
		if have.String() != c.want {
			t.Errorf("%s:\nhave %s\nwant %s", c.name, have.String(), c.want)
		}
	}
}

func without(checked []diagnose.Checked, id string) []diagnose.Checked {
	return slices.DeleteFunc(slices.Clone(checked), func(c diagnose.Checked) bool {
		return c.Limit == id
	})
}

// What was not seen takes two lines at most, at any width, and names the processes first.
func TestNotSeenIsBrief(t *testing.T) {
	var r diagnose.Report
	r.Host.User = "uid 65534"
	for _, name := range []string{"arp.entries", "arp.table_fulls", "ndisc.entries",
		"ndisc.table_fulls"} {
		r.Unseen = append(r.Unseen, diagnose.Unseen{Fact: "neighbour " + name,
			Why: "not visible in a child network namespace"})
	}
	r.Unseen = append(r.Unseen, diagnose.Unseen{Fact: "process *",
		Why: "init (pid 1) and others are not readable as uid 65534; run as root to " +
			"see owners"}, diagnose.Unseen{Fact: "slab *", Why: "permission denied"})
	for width := 40; width <= 130; width++ {
		out := textOf(t, r, Style{Width: width})
		_, brief, _ := strings.Cut(out, "\nNot seen: ")
		brief, _, _ = strings.Cut(brief, "\n\n")
		if n := strings.Count(brief, "\n") + 1; n > 2 || brief == "" {
			t.Errorf("width %d: %d lines:\n%s", width, n, brief)
		}
		if width >= 80 && !strings.HasPrefix(brief,
			"processes: init (pid 1) and others are not readable as uid 65534") {
			t.Errorf("width %d: %s", width, brief)
		}
	}
}

// A line that is too long ends behind a word.
func TestCutAtAWord(t *testing.T) {
	for _, c := range []struct {
		width int
		spans []span
		want  string
	}{
		{20, []span{text("one two three"), text(" four")}, "one two three four"},
		{17, []span{text("one two three"), text(" four")}, "one two three ..."},
		{16, []span{text("one two three"), text(" four")}, "one two ..."},
		{16, []span{text("one two, three"), text(" four")}, "one two ..."},
		{20, []span{{"info", dim}, text("  1234567890123456789")}, "info  1234567890 ..."},
		{11, []span{text("ééé ééé ééé")}, "ééé ééé ééé"},
		{10, []span{text("ééé ééé ééé")}, "ééé ..."},
		{10, []span{text("123456 8 ab")}, "123456 ..."},
	} {
		s := &screen{style: Style{Width: c.width}}
		s.line(0, c.spans...)
		if have := strings.TrimSuffix(s.b.String(), "\n"); have != c.want {
			t.Errorf("width %d: have %q, want %q", c.width, have, c.want)
		}
	}
}

// A host with many of everything keeps its first screen, and hides nothing with Verbose.
func TestFirstScreenIsShort(t *testing.T) {
	r := report()
	r.Findings, r.Capacity = nil, diagnose.Capacity{}
	for i := range 400 {
		r.Capacity.Outbound = append(r.Capacity.Outbound, diagnose.Outbound{
			Source:      "10.0.0.1",
			Destination: fmt.Sprintf("10.0.1.%d:80", i),
			BoundBy:     "x",
			RateBy:      "y",
		})
		r.Capacity.Inbound = append(r.Capacity.Inbound,
			diagnose.Inbound{Listener: fmt.Sprintf("0.0.0.0:%d", i), BoundBy: "x",
				BurstBy: "y"})
		r.Findings = append(r.Findings,
			diagnose.Finding{Limit: "x", Severity: diagnose.Info,
				Subject: fmt.Sprint(i)})
	}
	if n := strings.Count(textOf(t, r, Style{Width: 100}), "\n"); n > 35 {
		t.Errorf("%d lines", n)
	}
	if n := strings.Count(textOf(t, r, Style{Width: 100, Verbose: true}), "\n"); n < 1200 {
		t.Errorf("verbose has %d lines only", n)
	}
}

func TestFigures(t *testing.T) {
	for _, c := range []struct{ have, want string }{
		{marked(28232, limit.Computed, false), "=28,232"},
		{marked(28232, limit.Computed, true), "<=28,232"},
		{marked(28232, limit.Read, false), "28,232"},
		{marked(470, limit.Measured, false), "~470"},
		{count(0), "0"}, {count(-1234567), "-1,234,567"}, {value("+1234"), "+1,234"},
		{value("32768 60999"), "32768 60999"}, {value("-"), "-"}, {value(""), ""},
	} {
		if c.have != c.want {
			t.Errorf("have %s, want %s", c.have, c.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{hostile, "", "nginx: worker process", "\xff\xfe", "\u202e", "�",
		strings.Repeat("é", 100)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean := Clean(s)
		if !utf8.ValidString(clean) {
			t.Errorf("%q is no UTF-8", clean)
		}
		for _, r := range clean {
			if r != utf8.RuneError && !strconv.IsPrint(r) {
				t.Errorf("%q holds %q", clean, r)
			}
		}
		var back map[string]string
		var b bytes.Buffer
		if err := writeJSON(&b, map[string]string{"s": s}); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b.Bytes(), &back); err != nil ||
			back["s"] != strings.ToValidUTF8(s, "�") && utf8.ValidString(s) {
			t.Errorf("JSON of %q: %v, came back as %q", s, err, back["s"])
		}
		if strings.ContainsAny(string(code(s)), "\n\x1b") ||
			strings.ContainsAny(string(prose(s)), "\n\x1b") {
			t.Errorf("Markdown of %q", s)
		}
	})
}
