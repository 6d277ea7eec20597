//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/load/result"
	"github.com/maxconn/maxconn/internal/plan"
)

// documented are the exit statuses that the help of each verb names.
func documented(t *testing.T) map[string][]int {
	t.Helper()
	all := map[string][]int{}
	number := regexp.MustCompile(`\b\d+\b`)
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		if _, text, ok := strings.Cut(c.Long, "Exit status:"); ok {
			text, _, _ = strings.Cut(text, "\n\n")
			for _, word := range number.FindAllString(text, -1) {
				n, _ := strconv.Atoi(word)
				all[c.Name()] = append(all[c.Name()], n)
			}
		}
		for _, below := range c.Commands() {
			each(below)
		}
	}
	a := &app{stdout: &bytes.Buffer{}, env: noEnv}
	each(a.root())
	return all
}

// What a verb exits with is a status that its help names, and the one that it promises.
func TestDocumentedStatuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	small, bad := hostFile("small-vm.txt"), file("bad.txt", "nothing\n")
	full := hostFile("node-accept-queue.txt")
	unseen := file("unseen.txt", "maxconn.snapshot/1\nend\n")
	reportOf := func(o fix.Outcome) string {
		return file(string(o), `{"schema":"maxconn.fix/1","outcome":"`+string(o)+`"}`)
	}
	state := []string{"--state-dir", filepath.Join(dir, "state")}
	journal := func(verb ...string) []string { return slices.Concat(verb, state) }
	help := documented(t)
	for _, c := range []struct {
		verb string
		want int
		args []string
	}{
		{"check", 0, []string{"check", "--from", small}},
		{"check", 1, []string{"check", "--from", full}},
		{"check", 1, []string{"check", "--from", small, "--inbound", ":6384=100k"}},
		{"check", 2, []string{"check", "--from", unseen}},
		{"check", 2, []string{"check", "--from", small, "--inbound", ":9=1"}},
		{"maxconn", 64, []string{"--from", bad}},
		{"plan", 0, []string{"plan", "--from", small, "--inbound", ":6384=5"}},
		{"plan", 1, []string{"plan", "--from", small, "--outbound", "10.0.0.9:1=9M"}},
		{"plan", 2, []string{"plan", "--from", small, "--inbound", ":9=1"}},
		{"apply", 64, journal("apply")},
		{"apply", 64, journal("apply", bad)},
		{"apply", 70, journal("apply", "--yes", "--listener", ":1=5")},
		{"fix", 0, journal("fix", "--from", reportOf(fix.Kept))},
		{"fix", 1, journal("fix", "--from", reportOf(fix.RolledBack))},
		{"fix", 1, journal("fix", "--from", reportOf(fix.NoSetting))},
		{"fix", 2, journal("fix", "--from", reportOf(fix.Waiting))},
		{"fix", 64, journal("fix")},
		{"fix", 64, journal("fix", "--from", bad)},
		{"fix", 70, journal("fix", "--from", "9")},
		{"confirm", 64, journal("confirm", "x")},
		{"confirm", 70, journal("confirm")},
		{"status", 0, journal("status")},
		{"status", 64, journal("status", "x")},
		{"rollback", 0, journal("rollback")},
		{"rollback", 64, journal("rollback", "0")},
		{"rollback", 70, journal("rollback", "9")},
	} {
		var out, complaint bytes.Buffer
		got := run(t.Context(), c.args, strings.NewReader(""), &out, &complaint, noEnv)
		if got != c.want {
			t.Errorf("%q: exit status %d, want %d: %s", c.args, got, c.want, &complaint)
		}
		// 64 and 70 are those of every verb and may stand in the help of maxconn alone
		if !slices.Contains(help[c.verb], got) && !slices.Contains(help["maxconn"], got) {
			t.Errorf("%s: exit status %d is not in its help", c.verb, got)
		}
	}
}

// "n" is a refusal, as the help says.
func TestStatusOfAnAnswer(t *testing.T) {
	for answer, want := range map[string]int{"n\n": statusFailed, "": statusFailed,
		"y\n": statusHolds} {
		a := &app{stdin: strings.NewReader(answer), stdout: &bytes.Buffer{}, env: noEnv}
		if ok, err := a.ask(plan.Plan{}, 0); ok != (want == 0) || err != nil ||
			a.status != want {
			t.Errorf("%q: %v, %v, status %d, want %d", answer, ok, err, a.status, want)
		}
	}
}

// What was interrupted is no goal that was missed.
func TestStatusOfALoad(t *testing.T) {
	for want, r := range map[int]*result.Report{
		statusHolds:       {GoalMet: true},
		statusBinds:       {},
		statusInterrupted: {Stopped: "interrupted"},
	} {
		a := &app{stdout: &bytes.Buffer{}, env: noEnv}
		if err := a.loaded(&loadFlags{}, r); err != nil || a.status != want {
			t.Errorf("status %d, %v, want %d", a.status, err, want)
		}
	}
}

// A status is settled where nothing waits for anybody.
func TestStatusOfTheJournal(t *testing.T) {
	for _, c := range []struct {
		state   apply.State
		change  apply.Now
		file    apply.Now
		settled bool
	}{
		{apply.InEffect, apply.NowNew, apply.NowNew, true},
		{apply.InEffect, apply.NowOther, apply.NowNew, false},
		{apply.InEffect, apply.NowNew, apply.NowOther, false},
		{apply.InEffect, apply.NowNew, apply.NowUnknown, false},
		{apply.PartlyLeft, apply.NowOld, apply.NowOld, true},
		{apply.PartlyLeft, apply.NowGone, apply.NowOld, true},
		{apply.PartlyLeft, apply.NowNew, apply.NowOld, false},
		{apply.PartlyLeft, apply.NowOld, apply.NowNew, false},
		{apply.PartlyLeft, apply.NowOther, apply.NowOld, false},
		{apply.Pending, apply.NowNew, apply.NowNew, false},
		{apply.Overdue, apply.NowNew, apply.NowNew, false},
		{apply.Interrupted, apply.NowOld, apply.NowOld, false},
		{apply.Rebooted, apply.NowOther, apply.NowOther, true},
		{apply.Over, apply.NowUnknown, apply.NowNew, true},
	} {
		s := apply.Status{Runs: []apply.RunStatus{{State: c.state,
			Changes: []apply.ChangeStatus{{Now: c.change}},
			Files:   []apply.FileStatus{{Now: c.file}}}}}
		if s.Settled() != c.settled {
			t.Errorf("%+v: settled %v", c, !c.settled)
		}
	}
}

// An error is one line, also of several that were joined.
func TestErrorsAreOneLine(t *testing.T) {
	var complaint bytes.Buffer
	a := &app{stderr: &complaint}
	a.complain(errors.Join(errors.New("one"), errors.New("two")), "")
	if complaint.String() != "maxconn: error: one; two\n" {
		t.Errorf("%q", &complaint)
	}
}
