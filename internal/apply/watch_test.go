package apply

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// adopt makes this process the parent of those whose own has died, so that their exit
// status can be had.
func adopt(t *testing.T) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) })
}

// journaled waits until the journal of the first run says something.
func (s *scene) journaled(says func(*Run) bool) *Run {
	s.t.Helper()
	st := store{dir: s.job.Dir}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(
		5 * time.Millisecond) {
		if r, err := st.read(1); err == nil && says(r) {
			return r
		}
	}
	s.t.Fatal("the journal never says it")
	return nil
}

// ends waits for an adopted process.
func ends(t *testing.T, pid int) (status int) {
	t.Helper()
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(pid, &ws, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			t.Fatalf("wait for %d: %v", pid, err)
		}
		if ws.Signaled() {
			return 128 + int(ws.Signal())
		}
		return ws.ExitStatus()
	}
}

// Nobody confirms: the window ends, and the process that outlived the client rolls
// everything back and exits with its own status.
func TestAutoRevert(t *testing.T) {
	adopt(t)
	s := newScene(t)
	s.job.Etc = ""
	a := s.must(job{Verb: "apply", Within: time.Second})
	if a.Report.State != Pending || len(a.Report.Receipts) != 5 {
		t.Fatalf("%+v", a)
	}
	r := s.journaled(func(r *Run) bool { return r.Guard > 0 })
	if sid, err := unix.Getsid(r.Guard); err != nil || sid != r.Guard {
		t.Errorf("its session is %d (%v), want its own", sid, err)
	}
	// What a terminal that closes sends.
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGINT} {
		if err := syscall.Kill(r.Guard, sig); err != nil {
			t.Error(err)
		}
	}
	if status := ends(t, r.Guard); status != 3 {
		t.Errorf("exit status %d, want 3: reverted", status)
	}
	s.wantBefore("nothing", 0)
	r = s.journaled(func(r *Run) bool { return r.Ended })
	if r.Undo != "nobody confirmed it in time" || r.Left != 0 {
		t.Errorf("%q, %d left", r.Undo, r.Left)
	}
	for i, p := range r.Progress {
		if p.Undone != Restored {
			t.Errorf("%s: %s", r.change(i).Setting, p.Undone)
		}
	}
}

// The client is killed half-way, and its whole process group: the revert happens at once.
func TestAutoRevertAfterKill(t *testing.T) {
	adopt(t)
	s := newScene(t)
	s.job.Etc = ""
	client := make(chan bool)
	go func() {
		defer close(client)
		s.run(job{Verb: "apply", Within: time.Minute, Slow: true})
	}()
	last := len(s.job.Plan.Changes) - 1
	r := s.journaled(func(r *Run) bool { return r.Progress[last].Intended })
	if values := s.values(); values[last] != "5" || values[0] != "2000" {
		t.Errorf("half-way: %q", values)
	}
	if states := s.wantTruth("nothing", 0); len(states) != 1 || states[0] != Applying {
		t.Errorf("half-way: %q", states)
	}
	if a := s.do(job{Verb: "apply"}); !strings.HasPrefix(a.Err,
		"another maxconn is changing this host (pid ") {
		t.Errorf("a second apply: %q", a.Err)
	}
	text, err := os.ReadFile(filepath.Join(s.job.Dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []syscall.Signal{syscall.SIGHUP, syscall.SIGKILL} {
		// the hangup may have done it
		if err := syscall.Kill(-pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
	<-client
	if status := ends(t, r.Guard); status != 3 {
		t.Errorf("exit status %d, want 3: reverted", status)
	}
	s.wantBefore("nothing", 0)
	if r := s.journaled(func(r *Run) bool {
		return r.Ended
	}); r.Undo != "the program that applied it was ended half-way" {
		t.Errorf("%q", r.Undo)
	}
}

// Confirmed in time: the process ends by itself and takes nothing back.
func TestConfirmEndsTheWatch(t *testing.T) {
	adopt(t)
	s := newScene(t)
	s.job.Etc = ""
	s.must(job{Verb: "apply", Within: time.Minute})
	s.must(job{Verb: "confirm"})
	r := s.journaled(func(r *Run) bool { return r.Guard > 0 })
	if status := ends(t, r.Guard); status != 0 {
		t.Errorf("exit status %d, want 0: kept", status)
	}
	if values := s.values(); values[4] != "4096" {
		t.Errorf("values %q", values)
	}
	s.must(job{Verb: "rollback"})
	s.wantBefore("nothing", 0)
}

// The watching process is told to end (a session that is torn down): it reverts first.
// Killed outright it cannot: status says that nothing would, and when the time is over that
// it is, and rollback does it.
func TestWatchEnded(t *testing.T) {
	adopt(t)
	s := newScene(t)
	s.job.Etc = ""
	s.must(job{Verb: "apply", Within: time.Minute})
	r := s.journaled(func(r *Run) bool { return r.Guard > 0 })
	if err := syscall.Kill(r.Guard, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if status := ends(t, r.Guard); status != 3 {
		t.Errorf("SIGTERM: exit status %d, want 3: reverted", status)
	}
	s.wantBefore("nothing", 0)

	s.job.Dir = filepath.Join(t.TempDir(), "state")
	s.must(job{Verb: "apply", Within: time.Minute})
	r = s.journaled(func(r *Run) bool { return r.Guard > 0 })
	if err := syscall.Kill(r.Guard, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if status := ends(t, r.Guard); status != 128+9 {
		t.Fatalf("exit status %d", status)
	}
	if a := s.must(job{Verb: "status"}); a.Status.Runs[0].State != Pending ||
		a.Status.Runs[0].Guarded {
		t.Errorf("%+v", a.Status)
	}
	s.must(job{Verb: "rollback"})
	s.wantBefore("nothing", 0)

	s.job.Dir = filepath.Join(t.TempDir(), "state")
	s.must(job{Verb: "apply", Within: time.Second, Alone: true})
	for deadline := time.Now().Add(30 * time.Second); ; {
		states := s.wantTruth("nothing", 0)
		if len(states) == 1 && states[0] == Overdue {
			break
		}
		if len(states) != 1 || states[0] != Pending || time.Now().After(deadline) {
			t.Fatalf("states %q", states)
		}
	}
	if a := s.do(job{Verb: "confirm"}); !strings.HasPrefix(a.Err, "too late: run 1") {
		t.Errorf("confirm: %q", a.Err)
	}
	if a := s.do(job{Verb: "apply"}); a.Err != "run 1 is not over: it is overdue" {
		t.Errorf("apply: %q", a.Err)
	}
	s.must(job{Verb: "rollback"})
	s.wantBefore("nothing", 0)
}
