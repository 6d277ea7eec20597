package apply

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"
)

// journalOf is the journal of a run that was applied, confirmed, persisted and rolled back.
func journalOf(t testing.TB) []byte {
	t.Helper()
	b := newBench(t)
	if _, err := b.Apply(t.Context(), thePlan(),
		Options{Within: time.Minute, Persist: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Confirm(0); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Rollback(0, false); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(b.store().journal(1))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// A journal that was cut anywhere behind its first line tells enough: rollback restores
// everything. One that was cut before says so, and nothing is changed until somebody has
// looked.
func TestCutJournal(t *testing.T) {
	b := newBench(t)
	if _, err := b.Apply(t.Context(), thePlan(), Options{}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(b.store().journal(1))
	if err != nil {
		t.Fatal(err)
	}
	applied := map[string]bool{}
	first := bytes.IndexByte(whole, '\n') + 1
	for cut := len(whole); cut >= 0; cut -= 7 {
		b := newBench(t)
		if err := b.store().prepare(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.store().journal(1), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := b.store().read(1)
		if cut < first {
			if err == nil {
				t.Errorf("cut at %d of %d: it was read", cut, first)
			}
			for what, err := range map[string]error{"rollback": second(b.Rollback(0,
				false)), "apply": second(b.Apply(t.Context(), thePlan(),
				Options{}))} {
				if err == nil ||
					!strings.Contains(err.Error(), "the journal of run 1 "+
						"cannot be read") || len(b.kernel.written) > 0 {
					t.Errorf("cut at %d: %s: %v", cut, what, err)
				}
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		// What had been written to the kernel by then: at most what was intended.
		for i := range r.Progress {
			if r.Progress[i].Intended {
				b.kernel.values[r.change(i).Target] = r.change(i).To
			}
		}
		if taken, err := b.Rollback(0, false); err != nil || taken.Left > 0 {
			t.Errorf("cut at %d: %+v, %v", cut, taken, err)
		}
		b.wantBefore(t)
		applied[string(r.State(Situation{BootID: "first"}))] = true
	}
	if len(applied) != 3 {
		t.Errorf("states seen: %v", applied)
	}
}

func second[T any](_ T, err error) error { return err }

// Garbage behind the beginning: the rest is not believed, each change may have been
// written, and the damaged file is kept.
func TestGarbageInJournal(t *testing.T) {
	b := newBench(t)
	if _, err := b.Apply(t.Context(), thePlan(), Options{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(b.store().journal(1))
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(text, '\n') + 1
	damaged := append(bytes.Clone(text[:first]), "\x00\x00\xff garbage\n"...)
	damaged = append(damaged, text[first:]...)
	if err := os.WriteFile(b.store().journal(1), damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := b.Status()
	if err != nil || s.Settled() || s.Runs[0].State != Interrupted ||
		s.Runs[0].Why !=
			"its journal is damaged: line 2: it is not an entry of a journal" ||
		s.Runs[0].Changes[0].Now != NowNew {
		t.Errorf("%+v, %v", s, err)
	}
	if taken, err := b.Rollback(0, false); err != nil || taken.Left != 0 ||
		len(taken.Items) != 6 {
		t.Errorf("%+v, %v", taken, err)
	}
	b.wantBefore(t)
	b.wantState(t, Undone)
	if kept, err := os.ReadFile(b.store().journal(1) + ".damaged"); err != nil ||
		!bytes.Equal(kept, damaged) {
		t.Errorf("the damaged journal was not kept: %v", err)
	}
}

// FuzzJournal holds the reader to: no panic, bounded, a prefix in whole lines reads the
// same, and what was read can be told.
func FuzzJournal(f *testing.F) {
	whole := journalOf(f)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"do":"begin","begin":{"schema":"maxconn.journal/1","id":1,"plan":{"schema":"maxconn.plan/1","changes":[]}}}` + "\n" + `{"do":"wrote","change":1}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRun(text)
		if err != nil {
			return
		}
		if r.valid > int64(len(text)) || len(r.Progress) != len(r.Plan.Changes) {
			t.Fatalf("%d valid of %d", r.valid, len(text))
		}
		again, err := parseRun(text[:r.valid])
		if err != nil || again.Damaged != "" || again.Applied != r.Applied ||
			again.Undo != r.Undo {
			t.Errorf("its valid part reads otherwise: %+v, %v", again, err)
		}
		for _, s := range []Situation{{}, {BootID: "first", Busy: true},
			{BootID: r.Place.BootID}} {
			if r.State(s) == "" {
				t.Error("no state")
			}
		}
	})
}

// FuzzReadPlan: no panic, and what is accepted passes the check again after a round trip.
func FuzzReadPlan(f *testing.F) {
	f.Add([]byte(`{"schema":"maxconn.plan/1","changes":[{"target":{"kind":"sysctl","name":"net.core.somaxconn"},"from":"1","to":"2"}]}`))
	f.Add([]byte(`{"schema":"maxconn.plan/1"} {}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := ReadPlan(bytes.NewReader(text))
		if err == nil && Check(p) != nil {
			t.Error("it was accepted and fails the check")
		}
	})
}
