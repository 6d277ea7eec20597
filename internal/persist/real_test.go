//go:build linux

package persist

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/maxconn/maxconn/internal/plan"
)

// unavailable ends a test for want of a tool: MAXCONN_REQUIRE=exports makes that a failure.
func unavailable(t *testing.T, why string) {
	t.Helper()
	if strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "exports") {
		t.Fatal(why)
	}
	t.Skip(why)
}

// analyze runs systemd-analyze verify on a unit of files that are laid under a directory of
// their own.
func analyze(t *testing.T, files []File, more map[string]string, unit string) (string, error) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		unavailable(t, "systemd-analyze is not installed")
	}
	dir := t.TempDir()
	for _, f := range files {
		if rest, ok := strings.CutPrefix(f.Path, UnitDir); ok {
			write(t, filepath.Join(dir, rest), f.Content)
		}
	}
	for name, text := range more {
		write(t, filepath.Join(dir, name), []byte(text))
	}
	cmd := exec.Command(tool, "verify", "--man=no", "--recursive-errors=one",
		filepath.Join(dir, unit))
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "SYSTEMD_UNIT_PATH=" + dir + ":",
		"LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// about keeps the lines of an output that speak of a file of ours.
func about(output, name string) (out []string) {
	for line := range strings.Lines(output) {
		if strings.Contains(line, name) {
			out = append(out, line)
		}
	}
	return out
}

// systemd itself finds no fault with what is written for it, and does find one where there is one.
func TestSystemdTakesTheUnit(t *testing.T) {
	program, err := exec.LookPath("true")
	if err != nil {
		t.Skip("there is no program to name in the unit")
	}
	files := Boot{Options: Options{Program: program}}.verifyFiles()
	out, err := analyze(t, files, nil, "maxconn-verify.service")
	if bad := about(out, "maxconn"); err != nil || len(bad) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	files[0].Content = []byte(strings.Replace(string(files[0].Content), "Type=oneshot",
		"Type=once", 1))
	out, _ = analyze(t, files, nil, "maxconn-verify.service")
	if len(about(out, "maxconn-verify.service")) == 0 {
		t.Errorf("a unit with a fault passes, so the check says nothing: %s", out)
	}
}

func TestSystemdTakesTheDropIn(t *testing.T) {
	s := &scene{root: fstest.MapFS{}, facts: snapshot(t,
		"process 11 = name=x start=100 unit=ours.service soft=1024 hard=524288\nsystem "+
			"scope = initial\n")}
	s.plan.Changes = []plan.Change{parseChange(t,
		"process 11#soft: 1024 => 65536; process-files; connections")}
	files, err := Files(s.plan, s.options())
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]string{"ours.service": "[Service]\nExecStart=/bin/true\n"}
	out, err := analyze(t, files, own, "ours.service")
	if bad := about(out, "ours.service"); err != nil || len(bad) > 0 {
		t.Errorf("%v: %s", err, out)
	}
	files[0].Content = []byte(strings.Replace(string(files[0].Content), ":524288", ":many", 1))
	out, _ = analyze(t, files, own, "ours.service")
	if len(about(out, dropInName)) == 0 {
		t.Errorf("a drop-in with a fault passes, so the check says nothing: %s", out)
	}
}
