package prove

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/prove/proof"
)

// AdviceOptions steer Advice. The zero value measures the recipe as it is.
type AdviceOptions struct {
	// Kernel is the running kernel's release, for the report.
	Kernel string
	// Model predicts; nil means the catalogue.
	Model Model
	// Progress, unless nil, is called when a step has been measured; calls do not overlap.
	Progress func(done, all int, step string)
}

// scaleOf is by how much a port range is made smaller. Rates and connections are in
// proportion to the ports; the 60 s of TIME_WAIT are not scaled. Where ports come back
// after a second there are still fewer, so that they bind and not the processors.
func scaleOf(full map[string]string) int {
	if full["net.ipv4.tcp_tw_reuse"] == "1" {
		return 512
	}
	return 64
}

const adviceScaling = "measured with a 64th of the ports (from tcp_tw_reuse on a 512th) and " +
	"multiplied by as much: connections are in proportion to ports, " +
	"and with so few the ports bind and not the processors, which are a ceiling of their " +
	"own in full size; the 60 s of TIME_WAIT are not scaled"

// Advice measures the popular recipe, all steps side by side, each in a network namespace
// of its own; it takes about 80 s. The error is that of the context, or that labs cannot be
// made; a step that fails alone says so.
func Advice(ctx context.Context, o AdviceOptions) (*AdviceReport, error) {
	if o.Model == nil {
		o.Model = limit.Find
	}
	start := time.Now()
	b := &Bench{ctx: ctx, model: o.Model}
	steps := recipe()
	out := make([]Advised, len(steps))
	done := 0
	var fs []func()
	for i := range steps {
		fs = append(fs, func() {
			out[i] = b.advised(steps, i)
			b.mu.Lock()
			defer b.mu.Unlock()
			if done++; o.Progress != nil {
				o.Progress(done, len(steps), steps[i].name)
			}
		})
	}
	err := caught(func() { b.Together(fs...) })
	err = errors.Join(err, b.close())
	if err == nil {
		err = ctx.Err()
	}
	for i := range out {
		if i > 0 {
			out[i].Before = out[i-1].Measured
		}
		judgeStep(&out[i], i == 0)
	}
	return &AdviceReport{
		Schema:  Schema,
		Kernel:  o.Kernel,
		Advice:  out,
		Scaling: adviceScaling,
		Seconds: time.Since(start).Seconds(),
	}, err
}

// judgeStep gives the verdict by what was measured with the step and without it.
func judgeStep(a *Advised, first bool) {
	rate, held := rateChange(a), change(float64(a.Before.Held), float64(a.Measured.Held))
	worst, best := min(rate, held), max(rate, held)
	for _, f := range a.Figures {
		if f.Aside {
			continue
		}
		c := change(f.Without, f.Measured)
		if f.Less {
			c = -c
		}
		worst, best = min(worst, c), max(best, c)
	}
	switch {
	case a.Verdict != "": // said by the kernel
	case first:
		a.Verdict = Starts
	case worst < 0:
		a.Verdict = Harmful
	case best > 0:
		a.Verdict = Helps
	default:
		a.Verdict = NoEffect
	}
	if a.Why == "" {
		a.Why = stepWords(a, first)
	}
}

// rateChange compares rates as far as ports made them: what the processors could do at the
// moment is no effect of a step. More than the ports gave before is more, whatever bounds
// it now.
func rateChange(a *Advised) int {
	c := change(a.Before.PerSecond, a.Measured.PerSecond)
	if c > 0 && a.Before.BoundBy == proof.ByPorts ||
		c < 0 && a.Measured.BoundBy == proof.ByPorts {
		return c
	}
	return 0
}

// boundBy says what a measured rate ended at.
func boundBy(predicted, measured float64) string {
	if change(predicted, measured) < 0 {
		return proof.ByProcessors
	}
	return proof.ByPorts
}

// change is 1 for more, -1 for less, 0 for the same within a tenth.
func change(before, after float64) int {
	switch {
	case after > before*1.1:
		return 1
	case after < before*0.9:
		return -1
	}
	return 0
}

// whole writes a rate without a fraction.
func whole(rate float64) string { return figure.Count(int64(math.Round(rate))) }

// stepWords are the measurements in one sentence.
func stepWords(a *Advised, first bool) string {
	text := fmt.Sprintf("%s connections/s sustained to one destination and %s held",
		whole(a.Measured.PerSecond), figure.Count(a.Measured.Held))
	if a.Measured.BoundBy == proof.ByProcessors {
		text += " (CPU-bound, not compared)"
	}
	if !first {
		text += fmt.Sprintf("; %s and %s without this step", whole(a.Before.PerSecond),
			figure.Count(a.Before.Held))
	}
	for _, f := range a.Figures {
		text += fmt.Sprintf("; %s: %.4g %s, %.4g without", f.What, f.Measured, f.Unit,
			f.Without)
	}
	return text
}
