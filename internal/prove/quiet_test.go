package prove

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/limit"
)

// A part that was late is done again, and ends the trial when it is always late.
func TestPromptly(t *testing.T) {
	b := &Bench{ctx: t.Context(), model: limit.Find}
	took, done := []time.Duration{9 * time.Second, time.Second}, 0
	err := caught(func() {
		b.Promptly(2*time.Second, func() time.Duration { done++; return took[done-1] })
	})
	if err != nil || done != 2 {
		t.Errorf("%v after %d times, want none after 2", err, done)
	}
	done = 0
	err = caught(func() {
		b.Promptly(2*time.Second, func() time.Duration { done++; return 3 * time.Second })
	})
	if err == nil || !strings.HasPrefix(err.Error(), "not quiet: 3s passed") || done != 3 {
		t.Errorf("%v after %d times, want not quiet after 3", err, done)
	}
}

// A verdict against a claim is believed only where the trial was not held up.
func TestDoubt(t *testing.T) {
	c := &Claim{Takes: time.Second}
	for _, took := range []time.Duration{10 * time.Second, time.Minute} {
		p := &Proof{Verdict: Differs, Why: "measured and predicted do not agree"}
		doubt(p, c, took)
		if held := took > lateness(c); (p.Verdict == CouldNotRun) != held ||
			held && !strings.HasPrefix(p.Why, "not quiet: it took 60 s") {
			t.Errorf("after %v: %s, %s", took, p.Verdict, p.Why)
		}
	}
	p := &Proof{Verdict: Holds}
	if doubt(p, c, time.Hour); p.Verdict != Holds {
		t.Errorf("a claim that holds after an hour: %s", p.Verdict)
	}
}

// An interrupted run tells what had ended, and nothing of the trials that it cut off.
func TestInterruptedRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	quick := &Claim{
		ID:    "quick",
		Takes: time.Second,
		Trial: func(*Bench) Outcome { return Exactly(1, 1) },
	}
	hangs := &Claim{ID: "hangs", Takes: time.Second, Trial: func(b *Bench) Outcome {
		b.Pause(time.Hour)
		return Outcome{}
	}}
	r, err := Run(ctx, Options{Claims: []*Claim{hangs, quick}, Progress: func(e Event) {
		if e.Proof != nil && e.Claim == quick {
			cancel()
		}
	}})
	if err != context.Canceled || len(r.Proofs) != 1 || r.Proofs[0].ID != "quick" {
		t.Errorf("%v, %+v", err, r.Proofs)
	}
}

// No more trials run at once than the CPUs carry.
func TestShares(t *testing.T) {
	r := &run{cpus: 2}
	for _, c := range []struct {
		claim Claim
		want  int64
	}{
		{Claim{Busy: Waits, Takes: time.Second}, 1},
		{Claim{Busy: Waits, Takes: time.Minute}, share},
		{Claim{Busy: Works, Takes: time.Minute}, share},
		{Claim{Busy: Alone, Takes: time.Second}, 2 * share},
	} {
		if got := r.weight(&c.claim); got != c.want {
			t.Errorf("%+v takes %d shares, want %d", c.claim, got, c.want)
		}
	}
}
