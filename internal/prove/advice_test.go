package prove

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/prove/proof"
)

func TestAdviceVerdicts(t *testing.T) {
	for _, c := range []struct {
		name string
		a    Advised
		want Effect
	}{
		{"the same", flows(470, 28232, 465, 28232), NoEffect},
		{"more held", flows(470, 28232, 766, 46001), Helps},
		{"fewer", flows(470, 28232, 235, 28232), Harmful},
		{"one figure better, one worse",
			Advised{Figures: []Figure{{Without: 129, Measured: 1025},
				{Without: 4097, Measured: 1025}}}, Harmful},
		{"less is better",
			Advised{Figures: []Figure{{Without: 10000, Measured: 61, Less: true}}},
			Helps},
		{"nothing dropped before or after", Advised{Figures: []Figure{{Less: true}}},
			NoEffect},
		{"what is told aside",
			Advised{Figures: []Figure{{Without: 9, Measured: 99, Less: true,
				Aside: true}}}, NoEffect},
		{"less because the processors are busy", slower(flows(46001, 1, 30000, 1)),
			NoEffect},
		{"more than when the processors were busy", Advised{
			Before:   Flow{PerSecond: 30000, Held: 1, BoundBy: proof.ByProcessors},
			Measured: Flow{PerSecond: 46001, Held: 1, BoundBy: proof.ByPorts},
		}, NoEffect},
		{"more than the ports gave before, though the processors are busy",
			slower(flows(766, 1, 30000, 1)), Helps},
		{"said by the kernel", Advised{Verdict: Gone}, Gone},
	} {
		if judgeStep(&c.a, false); c.a.Verdict != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.a.Verdict, c.want)
		}
	}
}

// flows are a step before and after, both bound by ports.
func flows(rateBefore float64, heldBefore int64, rate float64, held int64) Advised {
	return Advised{
		Before:   Flow{PerSecond: rateBefore, Held: heldBefore, BoundBy: proof.ByPorts},
		Measured: Flow{PerSecond: rate, Held: held, BoundBy: proof.ByPorts},
	}
}

func slower(a Advised) Advised {
	a.Measured.BoundBy = proof.ByProcessors
	return a
}

// Each step waits for TIME_WAIT, side by side: 80 s.
func TestAdvice(t *testing.T) {
	if !strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "slow") {
		t.Skip("takes 80 s: asked for with MAXCONN_REQUIRE=slow")
	}
	r, err := Advice(context.Background(),
		AdviceOptions{Progress: func(done, all int, step string) {
			t.Logf("%d of %d: %s", done, all, step)
		}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
	want := []Effect{Starts, Helps, NoEffect, Helps, Gone, NoEffect, Harmful, NoEffect,
		NoEffect, NoEffect, Helps, Helps}
	for i, a := range r.Advice {
		t.Logf("%-50s %-9s predicted %.0f/s %d, measured %.0f/s %d: %s", a.Step, a.Verdict,
			a.Predicted.PerSecond, a.Predicted.Held, a.Measured.PerSecond,
			a.Measured.Held, a.Why)
		if a.Verdict != want[i] {
			t.Errorf("%s: %s, want %s", a.Step, a.Verdict, want[i])
		}
	}
	t.Logf("%.0f s", r.Seconds)
}
