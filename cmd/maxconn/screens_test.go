//go:build linux

package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/spf13/cobra"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
	"github.com/maxconn/maxconn/internal/prove"
	"github.com/maxconn/maxconn/internal/prove/proof"
	"github.com/maxconn/maxconn/internal/render"
)

// narrow is the width of a terminal that nobody has made larger.
const narrow = 80

// onScreen runs a verb on a narrow screen in the locale C and holds what it writes to both: no line
// is wider, and maxconn itself writes ASCII alone.
func onScreen(t *testing.T, args ...string) {
	t.Helper()
	var out, complaint bytes.Buffer
	env := func(name string) string {
		return map[string]string{"COLUMNS": "80", "LANG": "C", "LC_ALL": "C"}[name]
	}
	run(t.Context(), args, strings.NewReader(""), &out, &complaint, env)
	if out.Len() == 0 {
		t.Errorf("%q writes nothing: %s", args, &complaint)
	}
	holdScreen(t, strings.Join(args, " "), out.String())
	holdASCII(t, strings.Join(args, " "), complaint.String())
}

func holdScreen(t *testing.T, what, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if w := ansi.StringWidth(strings.TrimRight(line, "\n")); w > narrow {
			t.Errorf("%s: %d columns: %s", what, w, line)
			return
		}
	}
	holdASCII(t, what, text)
}

func holdASCII(t *testing.T, what, text string) {
	t.Helper()
	if i := strings.IndexFunc(text, func(r rune) bool { return r > 0x7e }); i >= 0 {
		t.Errorf("%s: not ASCII: %q", what, text[max(0, i-40):min(len(text), i+20)])
	}
}

// Every screen about every recorded host.
func TestScreensOfHosts(t *testing.T) {
	files, err := filepath.Glob(hostFile("*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	more, _ := filepath.Glob("testdata/hosts/*.txt")
	goals := []string{"--inbound", ":443=100k", "--inbound", ":99=5", "--outbound",
		"10.0.0.9:5432=900/s"}
	for _, file := range append(files, more...) {
		from := []string{"--from", file}
		for _, verb := range [][]string{{"check"}, {"check", "--verbose"},
			slices.Concat([]string{"check"}, goals), {"plan"}, {"plan", "--to-max"},
			{"plan", "--to-max", "--verbose"}, slices.Concat([]string{"plan"}, goals),
			{"explain", "EADDRNOTAVAIL"}, {"explain", "EMFILE"}} {
			onScreen(t, append(verb, from...)...)
		}
	}
}

// A SO_REUSEPORT group is one block, and its members are called so.
func TestScreenOfAGroup(t *testing.T) {
	var b strings.Builder
	b.WriteString("maxconn.snapshot/1\nsystem kernel = 6.18.0\n" +
		"sysctl net.core.somaxconn = 4096\nsysctl net.ipv4.tcp_syncookies = 1\n")
	for i, name := range []string{"", "~2", "~3", "~4"} {
		pid := string(rune('1' + i))
		b.WriteString("listener 0.0.0.0:8082" + name + " = family=4 queue=6 limit=5 " +
			"drops=9 uid=0 inode=7" + pid + " pid=" + pid + " process=srv\n" +
			"process " + pid + " = name=srv uid=0 soft=1024 hard=4096 files=9 start=1\n")
	}
	file := filepath.Join(t.TempDir(), "group.txt")
	if err := os.WriteFile(file, []byte(b.String()+"end\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check"}, {"check", "--verbose"},
		{"plan", "--inbound", ":8082=4096@once"}} {
		args = append(args, "--from", file)
		onScreen(t, args...)
		var out, complaint bytes.Buffer
		run(t.Context(), args, strings.NewReader(""), &out, &complaint, noEnv)
		if strings.Contains(out.String(), "~2") {
			t.Errorf("%q: what is ~2?\n%s", args, &out)
		}
		if n := strings.Count(out.String(), "takes effect  "); n > 2 {
			t.Errorf("%q: %d blocks for one group\n%s", args, n, &out)
		}
	}
}

// Every page of explain.
func TestScreensOfExplain(t *testing.T) {
	onScreen(t, "explain")
	for _, l := range limit.Catalogue() {
		onScreen(t, "explain", string(l.ID), "--from", hostFile("small-vm.txt"))
		for _, name := range l.Knobs {
			onScreen(t, "explain", name, "--from", hostFile("small-vm.txt"))
		}
		for _, s := range l.Signs {
			if s.Text != "" {
				onScreen(t, "explain", strings.ReplaceAll(s.Text, "…", " x "),
					"--from", hostFile("small-vm.txt"))
			}
		}
	}
}

// The help of every verb.
func TestScreensOfHelp(t *testing.T) {
	var each func(c *cobra.Command)
	each = func(c *cobra.Command) {
		onScreen(t, append(strings.Fields(c.CommandPath())[1:], "--help")...)
		for _, below := range c.Commands() {
			each(below)
		}
	}
	a := &app{stdout: &bytes.Buffer{}, env: noEnv}
	each(a.root())
}

// What has happened to the settings: runs of apply with many of them.
func TestScreensOfTheJournal(t *testing.T) {
	var settings []string
	var changes []apply.ChangeStatus
	for range 12 {
		settings = append(settings, "accept queue of 192.0.2.1:8080, server (pid 12345)")
		changes = append(changes, apply.ChangeStatus{Setting: settings[0], Value: "4096",
			From: "128", Wanted: "4096", Now: apply.NowOther})
	}
	about := func(show func(*bytes.Buffer) error) {
		t.Helper()
		var b bytes.Buffer
		if err := show(&b); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		a := &app{stdout: &out, env: func(string) string { return "80" }}
		if err := a.lines(func(w io.Writer) error {
			_, err := w.Write(b.Bytes())
			return err
		}); err != nil {
			t.Fatal(err)
		}
		holdScreen(t, "the journal", out.String())
	}
	about(func(b *bytes.Buffer) error {
		return showHistory(b, apply.History{Runs: []apply.HistoryRun{{Run: 1,
			Settings: settings, Why: "nobody confirmed within 60 s"}}})
	})
	about(func(b *bytes.Buffer) error {
		return showStatus(b, apply.Status{Runs: []apply.RunStatus{{Run: 1,
			Changes: changes}}}, journalFlags{})
	})
	about(func(b *bytes.Buffer) error {
		return showPlan(b, plan.Plan{Changes: []plan.Change{{Setting: settings[0],
			From: "1", To: "2", Why: strings.Join(settings, "; ")}}}, time.Minute)
	})
}

// The results of experiments: long names and units, figures of every length.
func TestScreensOfExperiments(t *testing.T) {
	r := proof.Report{Kernel: "6.18.44-generic", CPUs: 2, User: "root", Seconds: 99.9}
	var list []proof.Listed
	for _, c := range prove.Claims() {
		list = append(list, c.Listed())
		for _, v := range []proof.Verdict{proof.Holds, proof.Differs, proof.CouldNotRun} {
			r.Proofs = append(r.Proofs, proof.Proof{ID: c.ID, Limit: string(c.Limit),
				Claim: c.Says, Unit: c.Unit, Source: c.Source, Verdict: v,
				Predicted: 28232, Low: 28232, High: 28300, Measured: 28232.5,
				Seconds: 12.3, Why: "it was not quiet enough"})
		}
	}
	advice := proof.AdviceReport{Kernel: "6.18.44-generic", Scaling: "scaled down by 100"}
	for _, step := range []string{"defaults", "tcp_tw_reuse=1 beside a wider port range",
		"net.ipv4.tcp_max_tw_buckets 2000000 and net.core.somaxconn 65535"} {
		advice.Advice = append(advice.Advice, proof.Advised{Step: step,
			Predicted: proof.Flow{PerSecond: 28232, Held: 46001},
			Measured:  proof.Flow{PerSecond: 27999.9, Held: 46001},
			Verdict:   proof.NoEffect, Promise: "more", Model: "none"})
	}
	for _, style := range []render.Style{{Width: narrow}, {Width: narrow, Verbose: true}} {
		var b bytes.Buffer
		for _, err := range []error{render.ProofText(&b, r, style),
			render.Claims(&b, list, style), render.AdviceText(&b, advice, style)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		holdScreen(t, "prove", b.String())
		if !style.Verbose && !strings.Contains(b.String(), "\nCLAIM ") {
			t.Error("the claims are no table")
		}
		if !strings.Contains(b.String(), "\nSTEP ") {
			t.Error("the steps are no table")
		}
	}
}
