//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/maxconn/maxconn/internal/lab"
)

// TestMain makes the test binary other programs as well: the init of a machine, a worker of
// a lab, the bare dump and the stop-watch of the benchmark, and maxconn itself for scripts.
func TestMain(m *testing.M) {
	machineMain()
	lab.Main()
	benchMain()
	testscript.Main(tidy{m}, map[string]func(){"maxconn": main})
}

// tidy removes the program that the tests have built.
type tidy struct{ *testing.M }

func (t tidy) Run() int {
	defer func() { os.RemoveAll(built) }()
	return t.M.Run()
}

// Each testdata/<verb>_*.txtar is a session. It finds the recorded hosts of testdata/hosts
// in its directory.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		WorkdirRoot:         t.TempDir(), // removed also where a script fails
		Setup:               copyHosts,
		Cmds: map[string]func(*testscript.TestScript, bool,
			[]string){"exits": exits, "isjson": isJSON, "lab": startLab,
			"cmpplan": comparePlan},
		Condition: condition,
	})
}

func copyHosts(e *testscript.Env) error {
	hosts, err := filepath.Glob("testdata/hosts/*.txt")
	if err != nil || len(hosts) == 0 {
		return errors.Join(err, errors.New("no recorded hosts"))
	}
	for _, h := range hosts {
		text, err := os.ReadFile(h)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(e.WorkDir, filepath.Base(h)), text,
			0o666); err != nil {
			return err
		}
	}
	return nil
}

// exits runs a program that must end with this very status: exits 64 maxconn --nonsense.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if err != nil || neg || len(args) < 2 {
		ts.Fatalf("usage: exits status program [args...]")
	}
	err = ts.Exec(args[1], args[2:]...)
	have := 0
	var e *exec.ExitError
	if errors.As(err, &e) {
		have, err = e.ExitCode(), nil
	}
	if err != nil || have != want {
		ts.Fatalf("exit status %d (%v), want %d", have, err, want)
	}
}

// notJudged is the last paragraph of a plan: which limits could not be judged.
var notJudged = regexp.MustCompile(`\n\nNot judged: .*\n(  .*\n)*`)

// comparePlan is cmp stdout for a plan, without the limits that could not be judged: their
// list grows with the catalogue.
func comparePlan(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: cmpplan file")
	}
	have := notJudged.ReplaceAllString(ts.ReadFile("stdout"), "\n")
	if d := gocmp.Diff(ts.ReadFile(args[0]), have); d != "" {
		ts.Fatalf("%s (-want +have):\n%s", args[0], d)
	}
}

// isJSON checks that a file, or stdout, is one JSON document with this schema.
func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: isjson file schema")
	}
	var doc struct{ Schema string }
	if err := json.Unmarshal([]byte(ts.ReadFile(args[0])), &doc); err != nil ||
		doc.Schema != args[1] {
		ts.Fatalf("%s: schema %q, %v", args[0], doc.Schema, err)
	}
}
