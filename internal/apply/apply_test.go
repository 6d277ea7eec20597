package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/linux/netns/nstest"
	"github.com/maxconn/maxconn/internal/plan"
)

func TestApplyAndRollback(t *testing.T) {
	b := newBench(t)
	b.kernel.most[queue] = "2048"
	report, err := b.Apply(t.Context(), thePlan(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Fields(
		"net.core.somaxconn=4096 net.ipv4.ip_local_port_range=1024_65535 77=65536 " +
			"77=65536 0.0.0.0:80=4096 eth0=5000"); !cmp.Equal(spaces(b.kernel.written),
		want) {
		t.Errorf("written in this order: %q", b.kernel.written)
	}
	q := report.Receipts[4]
	if q.Became != "2048" || !q.Kept || q.Wanted != "4096" || q.From != "5" ||
		report.State != InEffect || report.Receipts[0].Kept {
		t.Errorf("report %+v", report)
	}
	b.wantState(t, InEffect)
	v, err := b.Verify(false)
	if err != nil || v.Holds || v.Checks[4].Why == "" || !v.Checks[0].Holds {
		t.Errorf("verify: %+v, %v", v, err)
	}
	taken, err := b.Rollback(0, false)
	if err != nil || taken.Left != 0 || len(taken.Items) != 6 ||
		taken.Items[0].Setting != "txqueuelen of eth0" {
		t.Errorf("rollback: %+v, %v", taken, err)
	}
	b.wantBefore(t)
	b.wantState(t, Undone)
	n := len(b.kernel.written)
	if taken, err = b.Rollback(0, false); err != nil || len(taken.Items) != 0 ||
		taken.State != Undone || len(b.kernel.written) != n {
		t.Errorf("again: %+v, %v", taken, err)
	}
	info, err := os.Stat(b.Dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
}

func spaces(list []string) (out []string) {
	for _, s := range list {
		out = append(out, strings.ReplaceAll(s, " ", "_"))
	}
	return out
}

// What another hand changed since stays, and is reported; the rest goes back.
func TestRollbackLeavesForeignChanges(t *testing.T) {
	b := newBench(t)
	if _, err := b.Apply(t.Context(), thePlan(), Options{}); err != nil {
		t.Fatal(err)
	}
	b.kernel.values[cap1] = "9999"
	delete(b.kernel.values, soft) // the process has ended
	delete(b.kernel.values, hard)
	delete(b.before, soft)
	delete(b.before, hard)
	s, err := b.Status()
	if err != nil || s.Settled() || s.Runs[0].Changes[0].Now != NowOther ||
		s.Runs[0].Changes[2].Now != NowGone || s.Runs[0].Changes[4].Now != NowNew {
		t.Errorf("status %+v, %v", s, err)
	}
	taken, err := b.Rollback(1, false)
	if err != nil || taken.Left != 1 || taken.State != PartlyLeft {
		t.Errorf("%+v, %v", taken, err)
	}
	if b.kernel.values[cap1] != "9999" || b.kernel.values[queue] != "5" {
		t.Errorf("values %v", b.kernel.values)
	}
	b.wantState(t, PartlyLeft)
	b.kernel.values[cap1] = "128"
	if taken, err = b.Rollback(1, false); err != nil || taken.Left != 0 {
		t.Errorf("%+v, %v", taken, err)
	}
	b.wantState(t, Undone)
}

func TestRollbackBelowUse(t *testing.T) {
	b := newBench(t)
	if _, err := b.Apply(t.Context(), thePlan(), Options{}); err != nil {
		t.Fatal(err)
	}
	b.kernel.used[queue], b.kernel.used[soft] = 6, 1025
	n := len(b.kernel.written)
	_, err := b.Rollback(0, false)
	var r *Refusal
	if !errors.As(err, &r) || !strings.Contains(err.Error(), "was 5, and 6 are in use") ||
		!strings.Contains(err.Error(), "was 1024, and 1025") || len(b.kernel.written) != n {
		t.Errorf("%v, wrote %q", err, b.kernel.written[n:])
	}
	b.wantState(t, InEffect)
	if taken, err := b.Rollback(0, true); err != nil || taken.Left != 0 {
		t.Errorf("%+v, %v", taken, err)
	}
	b.wantBefore(t)
}

// A value of several numbers is compared as well: the last bound of tcp_mem, the size of a range.
func TestRollbackBelowUseOfSeveralNumbers(t *testing.T) {
	b := newBench(t)
	mem := sysctl(tcpMem)
	b.kernel.values[mem], b.before[mem] = "10 20 30", "10 20 30"
	p := thePlan()
	p.Changes = []plan.Change{change(mem, "10\t20\t30", "100 200 300"),
		change(ports, "32768 60999", "1024 65535")}
	if _, err := b.Apply(t.Context(), p, Options{}); err != nil {
		t.Fatal(err)
	}
	b.kernel.used[mem], b.kernel.used[ports] = 30, 28232
	for _, more := range []plan.Target{mem, ports} {
		b.kernel.used[more]++
		_, err := b.Rollback(0, false)
		if want := fmt.Sprintf("%s was %d, and %d are in use", more.Name,
			b.kernel.used[more]-1, b.kernel.used[more]); err == nil ||
			err.Error() != "nothing was changed: "+want {
			t.Errorf("%v, want %s", err, want)
		}
		b.kernel.used[more]--
	}
	if taken, err := b.Rollback(0, false); err != nil || taken.Left != 0 {
		t.Errorf("%+v, %v", taken, err)
	}
	b.wantBefore(t)
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*bench, *plan.Plan)
		want string
	}{
		"other host": {func(_ *bench, p *plan.Plan) {
			p.Host.Name = "other"
		}, "for host other, this is box"},
		"other kernel": {func(_ *bench, p *plan.Plan) {
			p.Host.Kernel = ""
		}, "for kernel (not named), this is 6.1.0"},
		"other namespace": {func(_ *bench, p *plan.Plan) {
			p.Host.Netns = "net:[2]"
		}, "for network namespace net:[2]"},
		"other boot": {func(_ *bench, p *plan.Plan) {
			p.Host.Boot = "2025-12-31T00:00:00Z"
		}, "of the boot at"},
		"schema": {func(_ *bench, p *plan.Plan) {
			p.Schema = "maxconn.plan/2"
		}, `"maxconn.plan/2"`},
		"changed value": {func(b *bench, _ *plan.Plan) {
			b.kernel.values[ports] = "1 2"
		}, "net.ipv4.ip_local_port_range is 1 2 now, the plan was made when it was " +
			"32768\t60999"},
		"process gone": {func(b *bench, _ *plan.Plan) {
			delete(b.kernel.values, hard)
		}, "gone"},
		"twice": {func(_ *bench, p *plan.Plan) {
			p.Changes[1] = p.Changes[0]
		}, "target of change 1"},
		"foreign key": {func(_ *bench, p *plan.Plan) {
			p.Changes[0].Target.Name = "kernel.core_pattern"
		}, "no setting of connections"},
		"path": {func(_ *bench, p *plan.Plan) {
			p.Changes[0].Target.Name = "net./../x"
		}, "not the name of a sysctl"},
		"two lines": {func(_ *bench, p *plan.Plan) {
			p.Changes[0].To = "1\n2"
		}, "not a name or a value"},
		"negative": {func(_ *bench, p *plan.Plan) {
			p.Changes[4].To = "-1"
		}, "not a whole number"},
		"no start": {func(_ *bench, p *plan.Plan) {
			p.Changes[2].Target.Start = 0
		}, "does not say when process 77 started"},
		"no inode": {func(_ *bench, p *plan.Plan) {
			p.Changes[4].Target.Inode = 0
		}, "inode"},
		"kind": {func(_ *bench, p *plan.Plan) {
			p.Changes[0].Target.Kind = "file"
		}, `kind "file"`},
	} {
		t.Run(name, func(t *testing.T) {
			b, p := newBench(t), thePlan()
			c.edit(b, &p)
			_, err := b.Apply(t.Context(), p, Options{})
			var r *Refusal
			if !errors.As(err, &r) || !strings.Contains(err.Error(), c.want) ||
				strings.Contains(strings.TrimSuffix(err.Error(), "\n"), "\n") {
				t.Errorf("%v, want %q", err, c.want)
			}
			if len(b.kernel.written) > 0 {
				t.Errorf("wrote %q", b.kernel.written)
			}
			b.wantState(t)
		})
	}
}

// Two applies at once: the second is refused while the first holds the lock, and after it
// while the first waits for a confirmation.
func TestOneAtATime(t *testing.T) {
	b := newBench(t)
	unlock, err := b.store().lock()
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Apply(t.Context(), thePlan(), Options{})
	if err == nil || !strings.Contains(err.Error(),
		fmt.Sprintf("another maxconn is changing this host (pid %d)", os.Getpid())) {
		t.Error(err)
	}
	unlock()
	if _, err := b.Apply(t.Context(), thePlan(), Options{Within: time.Minute}); err != nil {
		t.Fatal(err)
	}
	_, err = b.Apply(t.Context(), thePlan(), Options{})
	if err == nil || !strings.Contains(err.Error(), "run 1 is not over: it is pending") {
		t.Error(err)
	}
}

func TestConfirm(t *testing.T) {
	b := newBench(t)
	b.makeOld(t)
	if _, err := b.Confirm(0); err == nil || err.Error() != "nothing waits for a confirmation" {
		t.Error(err)
	}
	before := tree(t, b.etc)
	report, err := b.Apply(t.Context(), thePlan(), Options{Within: time.Minute, Persist: true})
	if err != nil || report.State != Pending || report.Until == nil || len(report.Files) > 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	if diff := cmp.Diff(before, tree(t, b.etc)); diff != "" {
		t.Error("files before the confirmation: " + diff)
	}
	b.up += 59 * time.Second
	if s, err := b.Status(); err != nil || s.Runs[0].SecondsLeft != 1 || !s.Runs[0].Guarded ||
		s.Settled() {
		t.Errorf("%+v, %v", s, err)
	}
	report, err = b.Confirm(0)
	if err != nil || report.State != InEffect || len(report.Files) != 2 {
		t.Fatalf("%+v, %v", report, err)
	}
	want := map[string]string{
		"/sysctl.d/":                "",
		"/sysctl.d/50-maxconn.conf": "-rw-r--r-- net.core.somaxconn = 4096\n",
		"/old.conf":                 "-rw-r----- new\n",
	}
	if diff := cmp.Diff(want, tree(t, b.etc)); diff != "" {
		t.Error(diff)
	}
	if _, err = b.Confirm(0); err != nil {
		t.Errorf("again: %v", err)
	}
	if s, err := b.Status(); err != nil || !s.Settled() {
		t.Errorf("%+v, %v", s, err)
	}
	if taken, err := b.Rollback(0, false); err != nil || taken.Left != 0 {
		t.Errorf("%+v, %v", taken, err)
	}
	if diff := cmp.Diff(before, tree(t, b.etc)); diff != "" {
		t.Error("after rollback: " + diff)
	}
	b.wantBefore(t)
}

// Where the process is gone that was to roll back, nothing was rolled back, and nobody says so.
func TestConfirmTooLateWithoutAGuard(t *testing.T) {
	b := newBench(t)
	gone := exec.Command(nstest.Tool(t, "true"))
	if err := gone.Run(); err != nil {
		t.Fatal(err)
	}
	b.Guard = func(int) (int, error) { return gone.Process.Pid, nil }
	if _, err := b.Apply(t.Context(), thePlan(), Options{Within: time.Minute}); err != nil {
		t.Fatal(err)
	}
	b.up += 61 * time.Second
	_, err := b.Confirm(0)
	var refused *Refusal
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "was not rolled back") ||
		refused.Hint != "maxconn rollback 1 does it" {
		t.Errorf("%v, %+v", err, refused)
	}
}

func TestConfirmTooLate(t *testing.T) {
	b := newBench(t)
	if _, err := b.Apply(t.Context(), thePlan(), Options{Within: time.Minute}); err != nil {
		t.Fatal(err)
	}
	b.up += 61 * time.Second
	b.wantState(t, Overdue)
	if _, err := b.Confirm(0); err == nil ||
		!strings.Contains(err.Error(), "too late: run 1 was to be confirmed 1s ago") {
		t.Error(err)
	}
	if w, err := b.Watch(t.Context(), 1); w != WatchedReverted || err != nil {
		t.Errorf("%v, %v", w, err)
	}
	b.wantBefore(t)
	b.wantState(t, Undone)
	if _, err := b.Confirm(0); err == nil ||
		!strings.Contains(err.Error(), "was rolled back: nobody confirmed it in time") {
		t.Error(err)
	}
}

// A journal that is gone for good (a state directory that somebody removed) does not keep
// its watcher forever.
func TestWatchWithoutAJournal(t *testing.T) {
	b := newBench(t)
	if _, err := b.Apply(t.Context(), thePlan(), Options{Within: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(b.store().journal(1)); err != nil {
		t.Fatal(err)
	}
	now := b.Now
	looked := time.Duration(0)
	b.Now = func() time.Time { looked += watchGone / 3; return now().Add(looked) }
	if w, err := b.Watch(t.Context(), 1); w != WatchedLeft || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, %v", w, err)
	}
}

// The process that awaits the confirmation rolls the run back when it is told to end:
// nobody would do it later.
func TestWatchToldToEnd(t *testing.T) {
	b := newBench(t)
	if _, err := b.Apply(t.Context(), thePlan(), Options{Within: time.Minute}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w, err := b.Watch(ctx, 1); w != WatchedReverted || err != nil {
		t.Errorf("%v, %v", w, err)
	}
	b.wantBefore(t)
	if w, err := b.Watch(ctx, 1); w != WatchedKept || err != nil {
		t.Errorf("again: %v, %v", w, err)
	}
}

// An error at any one step, of any kind: everything is undone, the error says what it was,
// and the next apply is free to begin.
func TestErrorAtEveryStep(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EINVAL, syscall.EPERM, syscall.ENOSPC,
		syscall.EROFS} {
		for n := 1; ; n++ {
			b, steps := newBench(t), 0
			b.makeOld(t)
			etc := tree(t, b.etc)
			b.Step.Before = func(op, subject string) error {
				if steps++; steps == n {
					return &os.PathError{Op: op, Path: subject, Err: errno}
				}
				return nil
			}
			_, err := b.Apply(t.Context(), thePlan(), Options{Persist: true})
			if err == nil && steps < n {
				break
			}
			if !errors.Is(err, errno) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v at step %d: %v", errno, n, err)
			}
			b.wantBefore(t)
			if diff := cmp.Diff(etc, tree(t, b.etc)); diff != "" {
				t.Errorf("%v at step %d: %s", errno, n, diff)
			}
			if _, err := b.Rollback(0, false); err != nil {
				t.Errorf("%v at step %d: rollback %v", errno, n, err)
			}
			if _, err := b.Apply(t.Context(), thePlan(), Options{}); err != nil {
				t.Errorf("%v at step %d: apply again: %v", errno, n, err)
			}
		}
	}
}

// A disk that stays full: before the first write to the kernel that is a refusal, later all
// is undone, and what the journal could not be told the next rollback finds out.
func TestDiskStaysFull(t *testing.T) {
	for n := 1; ; n++ {
		b, steps, full := newBench(t), 0, false
		b.Step.Before = func(op, subject string) error {
			if steps++; steps == n {
				full = true
			}
			if full && op != "kernel" {
				return syscall.ENOSPC
			}
			return nil
		}
		_, err := b.Apply(t.Context(), thePlan(), Options{})
		if err == nil && !full {
			break
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("step %d: %v", n, err)
		}
		b.wantBefore(t)
		b.Step = Step{}
		if _, err := b.Rollback(0, false); err != nil {
			t.Errorf("step %d: %v", n, err)
		}
		b.wantBefore(t)
		if _, err := b.Apply(t.Context(), thePlan(), Options{}); err != nil {
			t.Errorf("step %d: apply again: %v", n, err)
		}
	}
}

// A kernel that refuses from some write on, taking back included: what stays is named, and
// rollback does it when the kernel lets it.
func TestKernelStaysClosed(t *testing.T) {
	b, closed := newBench(t), false
	b.Step.Before = func(op, subject string) error {
		if op == "kernel" && subject == words(queue) {
			closed = true
		}
		if closed && op == "kernel" {
			return syscall.EROFS
		}
		return nil
	}
	_, err := b.Apply(t.Context(), thePlan(), Options{})
	var u *UndoneError
	if !errors.As(err, &u) || u.Undo.Left != 4 || !errors.Is(err, syscall.EROFS) ||
		!strings.Contains(err.Error(), "not as before: ") {
		t.Errorf("%v", err)
	}
	b.wantState(t, PartlyLeft)
	b.Step = Step{}
	if taken, err := b.Rollback(0, false); err != nil || taken.Left != 0 {
		t.Errorf("%+v, %v", taken, err)
	}
	b.wantBefore(t)
}

// Files that cannot be written after a confirmation leave none behind; the running values
// stay, and confirm does it again.
func TestErrorWhilePersisting(t *testing.T) {
	for n := 1; ; n++ {
		b, steps := newBench(t), 0
		b.makeOld(t)
		etc := tree(t, b.etc)
		if _, err := b.Apply(t.Context(), thePlan(),
			Options{Within: time.Minute, Persist: true}); err != nil {
			t.Fatal(err)
		}
		b.Step.Before = func(string, string) error {
			if steps++; steps == n {
				return syscall.ENOSPC
			}
			return nil
		}
		_, err := b.Confirm(0)
		if err == nil && steps < n {
			break
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("step %d: %v", n, err)
		}
		if diff := cmp.Diff(etc, tree(t, b.etc)); diff != "" {
			t.Errorf("step %d: %s", n, diff)
		}
		if _, err := b.Confirm(0); err != nil {
			t.Errorf("step %d: again: %v", n, err)
		}
		b.wantState(t, InEffect)
		if taken, err := b.Rollback(0, false); err != nil || taken.Left > 0 {
			t.Errorf("step %d: %+v, %v", n, taken, err)
		}
		if diff := cmp.Diff(etc, tree(t, b.etc)); diff != "" {
			t.Errorf("step %d: after rollback: %s", n, diff)
		}
		b.wantBefore(t)
	}
}

// The end of the context between two changes undoes the first.
func TestInterrupted(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.Step.After = func(op, subject string) {
		if op == "kernel" && subject == words(hard) {
			cancel()
		}
	}
	_, err := b.Apply(ctx, thePlan(), Options{})
	if !errors.Is(err, context.Canceled) ||
		!strings.HasSuffix(err.Error(), "everything is as before") {
		t.Error(err)
	}
	b.wantBefore(t)
	b.wantState(t, Undone)
}

// Rollback without a number stays at the last run, and says what earlier one is in effect still.
func TestRollbackTwice(t *testing.T) {
	b := newBench(t)
	one, two := thePlan(), thePlan()
	one.Changes, two.Changes = one.Changes[:1], two.Changes[1:2]
	for _, p := range []plan.Plan{one, two} {
		if _, err := b.Apply(t.Context(), p, Options{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, items := range []int{1, 0} {
		taken, err := b.Rollback(0, false)
		if err != nil || taken.Run != 2 || len(taken.Items) != items ||
			!slices.Equal(taken.InEffect, []int{1}) {
			t.Errorf("%+v, %v", taken, err)
		}
	}
	if taken, err := b.Rollback(1, false); err != nil || taken.Left > 0 ||
		taken.InEffect != nil {
		t.Errorf("%+v, %v", taken, err)
	}
	b.wantBefore(t)
}

// Rollback without a number skips runs that failed by themselves.
func TestRollbackTakesTheLastThatWorked(t *testing.T) {
	b := newBench(t)
	p := thePlan()
	p.Changes = p.Changes[:1]
	if _, err := b.Apply(t.Context(), p, Options{}); err != nil {
		t.Fatal(err)
	}
	q := thePlan()
	q.Changes = q.Changes[1:]
	b.kernel.refuse[device] = syscall.EPERM
	if _, err := b.Apply(t.Context(), q, Options{}); !errors.Is(err, syscall.EPERM) ||
		!strings.Contains(err.Error(), "CAP_NET_ADMIN") {
		t.Errorf("%v", err)
	}
	taken, err := b.Rollback(0, false)
	if err != nil || taken.Run != 1 {
		t.Errorf("%+v, %v", taken, err)
	}
	b.wantBefore(t)
	if _, err := b.Rollback(9, false); err == nil || err.Error() != "there is no run 9" {
		t.Error(err)
	}
}

func TestOtherNamespace(t *testing.T) {
	b := newBench(t)
	if _, err := b.Apply(t.Context(), thePlan(), Options{}); err != nil {
		t.Fatal(err)
	}
	b.Here.Netns = "net:[2]"
	if _, err := b.Rollback(0, false); err == nil ||
		!strings.Contains(err.Error(), "run 1 changed network namespace net:[1], this "+
			"is net:[2]") {
		t.Error(err)
	}
	s, err := b.Status()
	if err != nil || s.Runs[0].Changes[0].Now != NowUnknown {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestStateDirectoryCannotBeMade(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.Dir = filepath.Join(file, "state")
	_, err := b.Apply(t.Context(), thePlan(), Options{})
	if !errors.Is(err, syscall.ENOTDIR) || len(b.kernel.written) > 0 {
		t.Error(err)
	}
}

// An error at any one step of a rollback: it says so, or goes on; the next one does the rest.
func TestErrorWhileRollingBack(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EINVAL, syscall.EPERM, syscall.ENOSPC,
		syscall.EROFS} {
		for n := 1; ; n++ {
			b, steps := newBench(t), 0
			b.makeOld(t)
			etc := tree(t, b.etc)
			if _, err := b.Apply(t.Context(), thePlan(),
				Options{Persist: true}); err != nil {
				t.Fatal(err)
			}
			b.Step.Before = func(string, string) error {
				if steps++; steps == n {
					return errno
				}
				return nil
			}
			taken, err := b.Rollback(0, false)
			if steps < n {
				break
			}
			if err == nil && taken.Left == 0 {
				t.Errorf("%v at step %d: not a word: %+v", errno, n, taken)
			}
			if again, err := b.Rollback(0, false); err != nil || again.Left > 0 {
				t.Errorf("%v at step %d: again: %+v, %v", errno, n, again, err)
			}
			b.wantBefore(t)
			b.wantState(t, Undone)
			if diff := cmp.Diff(etc, tree(t, b.etc)); diff != "" {
				t.Errorf("%v at step %d: %s", errno, n, diff)
			}
		}
	}
}

// What lost power takes away is what was not synced: each write to the kernel comes right
// after the sync of a line that announces it, and the first after the sync of the directory
// in which the journal appeared.
func TestIntentIsSyncedFirst(t *testing.T) {
	b := newBench(t)
	var trace []string
	b.Step.After = func(op, subject string) { trace = append(trace, op+" "+subject) }
	if _, err := b.Apply(t.Context(), thePlan(), Options{}); err != nil {
		t.Fatal(err)
	}
	journal, first := b.store().journal(1), true
	for i, step := range trace {
		if !strings.HasPrefix(step, "kernel ") {
			continue
		}
		if got := trace[i-2 : i]; !cmp.Equal(got,
			[]string{"write " + journal, "sync " + journal}) {
			t.Errorf("before %q: %q", step, got)
		}
		if got := trace[i-4 : i-2]; first &&
			!cmp.Equal(got, []string{"rename " + journal,
				"sync " + filepath.Dir(journal)}) {
			t.Errorf("before the first line: %q", got)
		}
		first = false
	}
	if first {
		t.Errorf("nothing was written: %q", trace)
	}
}

// Of two runs that changed the same setting the last goes back first.
func TestRollbackUnderALaterRun(t *testing.T) {
	b := newBench(t)
	p := thePlan()
	p.Changes = p.Changes[:1]
	if _, err := b.Apply(t.Context(), p, Options{}); err != nil {
		t.Fatal(err)
	}
	p.Changes = []plan.Change{change(cap1, "4096", "8192")}
	if _, err := b.Apply(t.Context(), p, Options{Persist: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Rollback(1, false); err == nil ||
		err.Error() != "run 2 changed net.core.somaxconn after run 1 did" ||
		b.kernel.values[cap1] != "8192" {
		t.Error(err)
	}
	v, err := b.Verify(true)
	if err != nil || !v.Holds || len(v.Checks) != 3 {
		t.Errorf("verify: %+v, %v", v, err)
	}
	for _, id := range []int{2, 1} {
		if taken, err := b.Rollback(id, false); err != nil || taken.Left > 0 {
			t.Errorf("%+v, %v", taken, err)
		}
	}
	b.wantBefore(t)
}

// Where there can be no files for the next boot, nothing is begun.
func TestNoFiles(t *testing.T) {
	b := newBench(t)
	b.Files = nil
	_, err := b.Apply(t.Context(), thePlan(), Options{Persist: true})
	if err == nil || !strings.Contains(err.Error(), "cannot be written here") ||
		len(b.kernel.written) > 0 {
		t.Error(err)
	}
	b.wantState(t)
}
