package prove

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/maxconn/maxconn/internal/limit"
)

// Two lengths of TIME_WAIT take more than two minutes.
func TestSlowClaimsHold(t *testing.T) {
	if !strings.Contains(os.Getenv("MAXCONN_REQUIRE"), "slow") {
		t.Skip("takes 140 s: asked for with MAXCONN_REQUIRE=slow")
	}
	var ids []string
	for _, c := range Claims() {
		if c.Slow() && c.Machine == "" {
			ids = append(ids, c.ID)
		}
	}
	mustHold(t, tried(t, nil, ids...))
}

func mustHold(t *testing.T, proofs []Proof) {
	t.Helper()
	for _, p := range proofs {
		if p.Verdict == CouldNotRun {
			t.Logf("%s: %s", p.ID, p.Why)
			continue
		}
		t.Logf("%s: %v of %v, %.2f s", p.ID, p.Measured, p.Predicted, p.Seconds)
		if p.Verdict != Holds {
			t.Errorf("%s: %s: predicted %v (%v to %v), measured %v: %s\n%v\n%v", p.ID,
				p.Verdict, p.Predicted, p.Low, p.High, p.Measured, p.Why,
				p.Evidence, p.Control)
			t.Log(p.Series)
		}
	}
}

// With a broken formula each proof says so: TIME_WAIT of 30 s, a reserved port forgotten, a
// table one larger.
func TestBrokenOutboundFormulaDiffers(t *testing.T) {
	for _, broken := range []struct {
		limit, claim string
		by           int64
	}{
		{"time-wait", "time-wait-timer", 10}, // 20 connections/s with 600 ports: 30 s
		{"ephemeral-ports", "ports-reserved-and-bound", 3},
		{"ephemeral-ports", "ports-per-source", 1},
		{"ephemeral-ports", "ports-in-total", -1},
		{"ephemeral-ports", "bind-before-connect", 200},
		// as if the step came with the last port
		{"ephemeral-ports", "connect-cost-step", 2048},
		{"ephemeral-ports", "tw-reuse-modes", 10}, // as if TIME_WAIT held no port
		{"time-wait-buckets", "time-wait-overflow", 1},
	} {
		for _, p := range tried(t, offBy(limit.ID(broken.limit), broken.by), broken.claim) {
			if p.Verdict != Differs {
				t.Errorf("%s with %s off by %d: %s, want differs (%s)", p.ID,
					broken.limit, broken.by, p.Verdict, p.Why)
			}
		}
	}
}

// The formula of the kernel's timer wheel, at the frequencies that distributions use.
func TestSlack(t *testing.T) {
	for _, c := range []struct{ length, tick, want time.Duration }{
		{time.Minute, 4 * time.Millisecond, 2048 * time.Millisecond},
		{time.Minute, time.Millisecond, 4096 * time.Millisecond},
		{time.Minute, 10 * time.Millisecond, 5120 * time.Millisecond},
		{3 * time.Second, 4 * time.Millisecond, 256 * time.Millisecond},
		{100 * time.Millisecond, 4 * time.Millisecond, 4 * time.Millisecond},
	} {
		if got := slack(c.length, c.tick); got != c.want {
			t.Errorf("slack of %v at a tick of %v: %v, want %v", c.length, c.tick, got,
				c.want)
		}
	}
}

// Ports that serve again after 2 s each make half as many connections a second.
func TestSteady(t *testing.T) {
	if got := steady([]int64{0, 10, 20, 2000, 2010, 2020, 4000, 4010, 4020}, 3); got != 1.5 {
		t.Errorf("steady gave %v, want 1.5", got)
	}
	if got := steady([]int64{0, 10}, 3); got != 0 {
		t.Errorf("steady gave %v where no port was used twice", got)
	}
}

// The step is found also where batches were disturbed.
func TestStepAt(t *testing.T) {
	each := make([]int64, 128)
	for i := range each {
		each[i] = 20_000 + int64(i%7)*1000
		if i >= 64 {
			each[i] += 110_000
		}
	}
	each[3], each[40], each[100] = 900_000, 400_000, 30_000
	if got := stepAt(each); got != 64 {
		t.Errorf("the step is at batch %d, want 64", got)
	}
}
