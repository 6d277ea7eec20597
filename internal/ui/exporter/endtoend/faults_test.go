//go:build linux

package endtoend

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/ui/watch"
)

// lines starts watch with the words before it, and returns what reads the next line that it writes
// and what it has said.
func lines(t *testing.T, before []string, args ...string) (c *exec.Cmd, next func() watch.Line,
	said *strings.Builder) {
	t.Helper()
	words := append(append(before, program, "watch", "--every", "300ms"), args...)
	c = exec.Command(words[0], words[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said = &strings.Builder{}
	c.Stderr = said
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	in := bufio.NewReader(out)
	return c, func() (l watch.Line) {
		t.Helper()
		text, err := in.ReadBytes('\n')
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		must(t, json.Unmarshal(text, &l))
		return l
	}, said
}

// unsharing is a program of Debian's that runs another one in namespaces of its own.
func unsharing(t *testing.T, args ...string) []string {
	t.Helper()
	return append([]string{tool(t, "unshare"), "--kill-child"}, args...)
}

// A disk that is full ends the recording, not the view: it goes on, and says at its end what was
// lost. What was recorded until then is shown.
func TestRecordingOnAFullDisk(t *testing.T) {
	l, _, _ := inside(t)
	dir := t.TempDir()
	disk := exec.Command("mount", "-t", "tmpfs", "-o", "size=48k", "maxconn-test", dir)
	if out, err := disk.CombinedOutput(); err != nil {
		t.Skipf("no disk of 48 kB can be made: %v: %s", err, out)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	film := filepath.Join(dir, "film")
	c, next, said := lines(t, nil, "--netns", l.NetNS(), "--record", film)
	size := func() int64 {
		s, err := os.Stat(film)
		must(t, err)
		return s.Size()
	}
	var before int64
	for same := 0; same < 5; { // surveys that were shown and not recorded
		if next(); size() == before && before > 0 {
			same++
		} else {
			before, same = size(), 0
		}
	}
	must(t, c.Process.Signal(syscall.SIGTERM))
	for end := time.Now().Add(time.Minute); c.ProcessState == nil; {
		c.Wait()
		if time.Now().After(end) {
			t.Fatal("it goes on after SIGTERM")
		}
	}
	if c.ProcessState.ExitCode() != 70 ||
		!strings.Contains(said.String(), "error: record to "+film+": ") ||
		!strings.Contains(said.String(), "no space left on device") ||
		!strings.Contains(said.String(), "hint: it holds the first ") {
		t.Errorf("status %d: %s", c.ProcessState.ExitCode(), said)
	}
	out, err := exec.Command(program, "watch", "--from", film).Output()
	if n := strings.Count(string(out), "\n"); err != nil || n < 2 {
		t.Errorf("%d surveys can be played: %v", n, err)
	}
}

// In a container that shows no other process the fault is seen all the same; whose it is, and what
// processes hold, is not known, and not 0.
func TestContainerWithoutOtherProcesses(t *testing.T) {
	l, server, client := inside(t)
	listening(t, server, 8080, 5)
	refusing(t, client)
	before := append([]string{tool(t, "nsenter"), "--net=" + l.NetNS()},
		unsharing(t, "--pid", "--fork", "--mount-proc")...)
	_, next, _ := lines(t, before)
	for range 100 {
		line := next()
		seen := false
		for _, r := range line.Rows {
			if r.Process != "" || r.Limit == "process-files" {
				t.Fatalf("a process is told apart: %+v", r)
			}
			seen = seen || r.Limit == "accept-queue" && r.Severity == "critical" &&
				r.Subject == "127.0.0.1:8080"
		}
		if seen && line.Verdict == "binds" {
			return
		}
	}
	t.Error("the fault is not seen")
}

// SIGTERM during the first survey ends exporter and watch at once, without an error.
func TestEndDuringASurvey(t *testing.T) {
	if testing.Short() {
		t.Skip("whole programs")
	}
	c, said := start(t, program, "exporter", "--listen", "127.0.0.1:0")
	await(t, time.Minute, "it answers", func() bool {
		return strings.Contains(said(), "/metrics")
	})
	must(t, c.Process.Signal(syscall.SIGTERM))
	if err := c.Wait(); err != nil {
		t.Errorf("exporter: %v: %s", err, said())
	}
}
