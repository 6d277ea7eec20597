//go:build linux

package faults

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/diagnose/without"
	"github.com/maxconn/maxconn/internal/limit"
)

// fault is one entry of the list.
type fault struct {
	name string
	// report is where somebody has met it.
	report string
	// make makes it, and checks that the kernel refuses what it should.
	make func(world) scene
	want want
	// check are arguments of the observation that has to show it.
	check []string
	// noRemedy are settings that seem to end it and are no remedy, with the reason.
	noRemedy map[string]string
	// byHand are settings that help and that a plan leaves to people, with the reason.
	byHand map[string]string
	// later is why a remedy ends it, and not within the time that fix watches.
	later string
	// minute is why its remedy takes a minute to act.
	minute string
}

// faults is the whole list.
var faults = slices.Concat(portFaults, timeWaitFaults, queueFaults, processFaults,
	natFaults, filterFaults, reportedPorts, reportedQueues, reportedProcesses)

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
var neverHelps = []string{`tcp_tw_recycle`, `setting net.ipv4.tcp_fin_timeout \d+ -> [1-5]?\d:`, `infinity`,
	`tcp_max_syn_backlog .*somaxconn`}

// The first finding names the limit, the subject and the cause, and proposes what helps; and no
// verdict gets better by what is not known.
func TestFound(t *testing.T) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			f.make(w)
			s := w.snapshot(f.check...)
			r, out := w.judge(s)
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
			for _, c := range without.Complaints(s, limit.Workload{}) {
				t.Error(c)
			}
		})
	}
}

// A report is a link, and stands for one fault.
func TestReports(t *testing.T) {
	seen := map[string]string{}
	for _, f := range faults {
		if f.report == "" {
			continue
		}
		other := seen[f.report]
		if other != "" || !strings.HasPrefix(f.report, "https://") {
			t.Errorf("%s: %s, also of %q", f.name, f.report, other)
		}
		seen[f.report] = f.name
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
