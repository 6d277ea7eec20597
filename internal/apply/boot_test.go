package apply

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/plan"
)

// reboot ends the boot: values are as before, processes and their sockets are gone, and
// then the files are read.
func (b *bench) reboot(t *testing.T) {
	t.Helper()
	b.Here.BootID, b.up = b.Here.BootID+"+", time.Second
	b.Here.Initial = true
	for target, value := range b.before {
		b.kernel.values[target] = value
		if target.Start != 0 {
			delete(b.kernel.values, target)
		}
	}
	text, err := os.ReadFile(filepath.Join(b.etc, "sysctl.d", "50-maxconn.conf"))
	if value, ok := strings.CutPrefix(strings.TrimSpace(string(text)),
		cap1.Name+" = "); err == nil && ok {
		b.kernel.values[cap1] = value
	}
}

// After a reboot what the files keep is there again: status says so, rollback takes files
// and values back. The rest ended with its boot.
func TestReboot(t *testing.T) {
	b := newBench(t)
	b.makeOld(t)
	before := tree(t, b.etc)
	if _, err := b.Apply(t.Context(), thePlan(), Options{Persist: true}); err != nil {
		t.Fatal(err)
	}
	b.reboot(t)
	b.wantState(t, InEffect)
	b.wantNow(t, NowNew, NowGone, NowGone, NowGone, NowGone, NowGone)
	if v, err := b.Verify(true); err != nil || !v.Holds || len(v.Checks) != 3 {
		t.Errorf("verify: %+v, %v", v, err)
	}
	n := len(b.kernel.written)
	taken, err := b.Rollback(0, false)
	if err != nil || taken.Left != 0 || !slices.Equal(b.kernel.written[n:],
		[]string{"net.core.somaxconn=128"}) {
		t.Errorf("%+v, %v; wrote %q", taken, err, b.kernel.written[n:])
	}
	if diff := cmp.Diff(before, tree(t, b.etc)); diff != "" {
		t.Error(diff)
	}
	if b.kernel.values[device] != "1000" {
		t.Errorf("the device has %s", b.kernel.values[device])
	}
}

func (b *bench) wantNow(t *testing.T, want ...Now) {
	t.Helper()
	s, err := b.Status()
	if err != nil || len(s.Runs) == 0 {
		t.Fatal(s, err)
	}
	var got []Now
	for _, c := range s.Runs[0].Changes {
		got = append(got, c.Now)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What somebody else has set at a later boot, or has in use there, is respected as within one boot.
func TestRollbackAfterBootIsCompareAndSet(t *testing.T) {
	kept := func() *bench {
		b := newBench(t)
		if _, err := b.Apply(t.Context(), thePlan(), Options{Persist: true}); err != nil {
			t.Fatal(err)
		}
		b.reboot(t)
		return b
	}
	b := kept()
	b.kernel.values[cap1] = "9000"
	if taken, err := b.Rollback(0, false); err != nil || taken.Left != 1 ||
		b.kernel.values[cap1] != "9000" {
		t.Errorf("%+v, %v", taken, err)
	}
	b = kept()
	b.kernel.used[cap1] = 500
	var refused *Refusal
	if _, err := b.Rollback(0, false); !errors.As(err, &refused) ||
		b.kernel.values[cap1] != "4096" {
		t.Errorf("below what is in use: %v", err)
	}
	b = kept()
	b.Here.Initial = false
	if _, err := b.Rollback(0, false); !errors.As(err, &refused) ||
		!strings.Contains(err.Error(), "host's own network namespace") {
		t.Errorf("from another namespace: %v", err)
	}
	b = kept()
	p := thePlan()
	p.Changes = p.Changes[:1]
	p.Changes[0].From, p.Changes[0].To = "4096", "8192"
	if _, err := b.Apply(t.Context(), p, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Rollback(1, false); !errors.As(err, &refused) ||
		!strings.Contains(err.Error(), "run 2 changed net.core.somaxconn") {
		t.Errorf("under a later run: %v", err)
	}
}

// A boot that ends a window ends the run, and is not in the way of the next one.
func TestRebootInTheWindow(t *testing.T) {
	b := newBench(t)
	if _, err := b.Apply(t.Context(), thePlan(), Options{Within: time.Minute}); err != nil {
		t.Fatal(err)
	}
	b.reboot(t)
	b.wantState(t, Rebooted)
	p := thePlan()
	p.Changes = slices.DeleteFunc(p.Changes, func(c plan.Change) bool {
		return c.Target.Start != 0
	})
	if _, err := b.Apply(t.Context(), p, Options{}); err != nil {
		t.Errorf("a run of an earlier boot is in the way: %v", err)
	}
}

// The power goes at each step of an apply that persists. After the boot status does not
// call a half done run settled while a file of it acts, and rollback leaves neither file
// nor value.
func TestPowerCutAndReboot(t *testing.T) {
	type cut struct{}
	for n := 1; ; n++ {
		b, steps := newBench(t), 0
		b.makeOld(t)
		before := tree(t, b.etc)
		b.Step.Before = func(string, string) error {
			if steps++; steps == n {
				panic(cut{})
			}
			return nil
		}
		func() {
			defer func() { _ = recover() }()
			_, _ = b.Apply(t.Context(), thePlan(), Options{Persist: true})
		}()
		if steps < n {
			return
		}
		b.Step = Step{}
		b.reboot(t)
		s, err := b.Status()
		if err != nil || b.kernel.values[cap1] != "128" && !tellsHalf(s) {
			t.Errorf("step %d: %+v, %v", n, s, err)
		}
		if taken, err := b.Rollback(0, false); err != nil || taken.Left != 0 ||
			b.kernel.values[cap1] != "128" {
			t.Errorf("step %d: %+v, %v, somaxconn %s", n, taken, err,
				b.kernel.values[cap1])
		}
		if diff := cmp.Diff(before, tree(t, b.etc)); diff != "" {
			t.Errorf("step %d: %s", n, diff)
		}
	}
}

// tellsHalf says whether a status admits that a file of a run acts. Only with all files
// there may it call that settled.
func tellsHalf(s Status) bool {
	if len(s.Runs) != 1 || s.Runs[0].Changes[0].Now != NowNew {
		return false
	}
	r := s.Runs[0]
	whole := !slices.ContainsFunc(r.Files, func(f FileStatus) bool {
		return f.Now != NowNew
	}) && len(r.Files) == 2
	return r.State == Interrupted && !s.Settled() || r.State == InEffect && whole
}

// A value that is not the wanted one is told with the file that sets it.
func TestVerifyNamesTheOwner(t *testing.T) {
	b := newBench(t)
	if _, err := b.Apply(t.Context(), thePlan(), Options{Persist: true}); err != nil {
		t.Fatal(err)
	}
	b.reboot(t)
	b.kernel.values[cap1] = "77"
	b.SetBy = func(key, value string) string { return "/etc/" + key + "/" + value }
	v, err := b.Verify(true)
	want := Comparison{
		Setting: cap1.Name,
		Wanted:  "4096",
		Value:   "77",
		Why:     "/etc/net.core.somaxconn/77 sets it",
	}
	if err != nil || v.Holds || len(v.Checks) == 0 || v.Checks[0] != want {
		t.Errorf("%+v, %v", v, err)
	}
	if namespaced(sysctl("fs.nr_open")) || !namespaced(device) || device.Kind != host.LinkKind {
		t.Error("fs.nr_open is the host's, a device is of a namespace")
	}
}
