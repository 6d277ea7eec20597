//go:build linux

package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/maxconn/maxconn/internal/apply"
	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/lab"
)

// fixing is a fix that runs, of a queue that overflows.
type fixing struct {
	world
	listener       lab.Group
	load           *driven
	state          string
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
}

func (w world) fixing() *fixing {
	w.Helper()
	if os.Geteuid() != 0 {
		w.Skip("only root carries plans out in the namespace of another process")
	}
	x := &fixing{world: w, listener: w.listen(8080, 5), state: w.TempDir()}
	x.load = drive(w.queueing(x.listener, 5, 40))
	w.Cleanup(x.load.stop)
	x.load.share(1)
	x.cmd = x.verb("fix", "--yes", "--json", "--for", "2s", "--confirm-within", "1s")
	x.cmd.Stdout, x.cmd.Stderr = &x.stdout, &x.stderr
	w.must(x.cmd.Start())
	return x
}

// verb is another run of maxconn with the same journal.
func (x *fixing) verb(args ...string) *exec.Cmd {
	if args[0] != "history" {
		args = append(args, "--netns", x.lab.NetNS())
	}
	return exec.CommandContext(x.Context(), program, append(args, "--state-dir", x.state)...)
}

// journal waits for an entry.
func (x *fixing) journal(entry string) {
	x.Helper()
	if !x.await(func() bool {
		text, err := os.ReadFile(filepath.Join(x.state, "runs", "1.jsonl"))
		return err == nil && bytes.Contains(text, []byte(`{"do":"`+entry+`"`))
	}) {
		x.Fatalf("the journal has no %q: %s", entry, &x.stderr)
	}
}

// history is what the journal says of the run, once it is decided.
func (x *fixing) history() (run apply.HistoryRun) {
	x.Helper()
	open := []apply.State{apply.Applying, apply.Pending, apply.Undoing, apply.Overdue}
	if !x.await(func() bool {
		var h apply.History
		out, err := x.verb("history", "--json").Output()
		x.must(err)
		x.must(json.Unmarshal(out, &h))
		run = h.Runs[0]
		return !strings.Contains(states(open), string(run.State))
	}) {
		x.Fatalf("it is not decided: %+v", run)
	}
	return run
}

func states(all []apply.State) (text string) {
	for _, s := range all {
		text += string(s) + " "
	}
	return text
}

// ends waits for the client, and gives its status and report.
func (x *fixing) ends() (r fix.Report, status int) {
	x.Helper()
	var exit *exec.ExitError
	if err := x.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		x.Fatal(err)
	}
	if err := json.Unmarshal(x.stdout.Bytes(), &r); err != nil && x.stdout.Len() > 0 {
		x.Fatal(err)
	}
	return r, x.cmd.ProcessState.ExitCode()
}

func (x *fixing) limit() int {
	x.Helper()
	q, err := x.server.Queue(x.listener)
	x.must(err)
	return q.Limit
}

// The client is killed: what it had begun is judged all the same, and kept.
func TestFixWithoutItsClient(t *testing.T) {
	t.Parallel()
	x := newWorld(t).fixing()
	x.journal("applied")
	x.must(x.cmd.Process.Kill())
	x.ends()
	if h := x.history(); h.State != apply.InEffect || h.Fix.Outcome != fix.Kept ||
		x.limit() <= 5 {
		t.Errorf("%+v", h)
	}
	if share := x.load.share(3); share < 40 {
		t.Errorf("%.1f served a round", share)
	}
}

// The process that judges is killed, or stopped: the client starts another.
func TestFixWithoutItsJudge(t *testing.T) {
	t.Parallel()
	for name, sig := range map[string]syscall.Signal{"killed": syscall.SIGKILL,
		"stopped": syscall.SIGSTOP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newWorld(t).fixing()
			x.journal("applied")
			judge := x.judge()
			x.must(syscall.Kill(judge, sig))
			if r, status := x.ends(); status != 0 || r.Outcome != fix.Kept ||
				x.limit() <= 5 {
				t.Errorf("status %d: %+v\n%s", status, r, &x.stderr)
			}
			if sig == syscall.SIGSTOP { // it finds that all is decided
				x.must(syscall.Kill(judge, syscall.SIGCONT))
				if !x.await(func() bool { return syscall.Kill(judge, 0) != nil }) {
					t.Error("it goes on")
				}
			}
		})
	}
}

// judge is the process that the journal names.
func (x *fixing) judge() (pid int) {
	x.Helper()
	text, err := os.ReadFile(filepath.Join(x.state, "runs", "1.jsonl"))
	x.must(err)
	for line := range bytes.Lines(text) {
		var e struct {
			Do  string
			PID int
		}
		x.must(json.Unmarshal(line, &e))
		if e.Do == "guard" {
			pid = e.PID
		}
	}
	return pid
}

// The load stops in the middle: nobody can tell, and nobody confirms.
func TestFixWithoutLoad(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l := w.listen(8080, 5)
	served, quiet := w.served(l, 40), make(chan struct{})
	d := drive(scene{load: func() int {
		select {
		case <-quiet:
			return 0
		default:
			return served()
		}
	}})
	defer d.stop()
	d.share(1)
	x := &fixing{world: w, listener: l, load: d, state: t.TempDir()}
	if os.Geteuid() != 0 {
		t.Skip("only root carries plans out in the namespace of another process")
	}
	x.cmd = x.verb("fix", "--yes", "--json", "--for", "1s", "--confirm-within", "1s")
	x.cmd.Stdout, x.cmd.Stderr = &x.stdout, &x.stderr
	x.must(x.cmd.Start())
	x.journal("guard")
	close(quiet)
	r, status := x.ends()
	if status != 2 || r.Outcome != fix.Waiting || r.Until == nil ||
		!strings.Contains(x.stderr.String(), "unless confirmed: maxconn confirm") {
		t.Errorf("status %d: %+v\n%s", status, r, &x.stderr)
	}
	if h := x.history(); h.State != apply.Undone || x.limit() != 5 {
		t.Errorf("%+v, the queue takes %d", h, x.limit())
	}
}

// Two at once: the second changes nothing and says why.
func TestFixTwice(t *testing.T) {
	t.Parallel()
	x := newWorld(t).fixing()
	x.journal("applied")
	out, err := x.verb("fix", "--yes").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "run 1 is not over") {
		t.Errorf("%v: %s", err, out)
	}
	if r, status := x.ends(); status != 0 || r.Outcome != fix.Kept {
		t.Errorf("status %d: %+v", status, r)
	}
}

// Without the right to write it changes nothing, and says which right is missing.
func TestFixWithoutRights(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const ports = "40000 40019"
	w.set("net.ipv4.ip_local_port_range", ports)
	w.connect(w.listen(5432, 128), lab.ConnectSpec{To: at(5432), N: 20})
	w.refused(lab.ConnectSpec{To: at(5432)}, "EADDRNOTAVAIL")
	if _, err := exec.LookPath("setpriv"); err != nil || os.Getuid() != 0 {
		t.Skip("to be another user takes root and setpriv")
	}
	const nobody = 65534
	other, err := os.MkdirTemp("", "maxconn-fix")
	w.must(err)
	defer os.RemoveAll(other)
	if err := os.Chown(other, nobody, nobody); err != nil {
		t.Skipf("another user: %v", err)
	}
	state := filepath.Join(other, "state")
	out, err := w.lab.Run(w.Context(), nil, "setpriv", "--reuid=65534", "--regid=65534",
		"--clear-groups", program, "fix", "--yes", "--for", "1s", "--state-dir", state)
	w.must(err)
	if out.Code != 70 || !strings.Contains(string(out.Stderr), "nothing was changed") ||
		!strings.Contains(string(out.Stderr), "CAP_NET_ADMIN") {
		t.Errorf("status %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	now, err := w.lab.Value("net.ipv4.ip_local_port_range")
	if err != nil || strings.Join(strings.Fields(now), " ") != ports {
		t.Errorf("the range is %q, %v", now, err)
	}
}
