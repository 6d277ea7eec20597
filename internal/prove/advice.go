package prove

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/maxconn/maxconn/internal/limit"
)

// AdviceOptions steer Advice. The zero value measures the recipe as it is.
type AdviceOptions struct {
	// Kernel is the running kernel's release, for the report.
	Kernel string
	// Model predicts; nil means the catalogue.
	Model Model
	// Progress, unless nil, is told when a step has been measured; calls do not overlap.
	Progress func(done, all int, step string)
}

// AdviceReport is the popular recipe, one step after the other: each step stands on those before it.
type AdviceReport struct {
	Schema  string    `json:"schema"`
	Kernel  string    `json:"kernel"`
	Advice  []Advised `json:"advice"`
	Scaling string    `json:"scaling"`
	Seconds float64   `json:"seconds"`
}

// Advised is one step of the recipe and what became of it here.
type Advised struct {
	Step    string   `json:"step"`
	Recipe  []string `json:"recipe"`  // the lines that it tells to run
	Promise string   `json:"promise"` // what it promises
	Model   string   `json:"model"`   // what the kernel's source says, one sentence
	// Predicted and Measured are the flow with this step and all before it, Before is what was measured without it. Full scale.
	Predicted Flow `json:"predicted"`
	Measured  Flow `json:"measured"`
	Before    Flow `json:"before"`
	// Figures are what else the step is said to change.
	Figures []Figure `json:"figures"`
	// Verdict is about what was measured: works, no-effect, harmful, gone, or could-not-run.
	Verdict Effect `json:"verdict"`
	Why     string `json:"why"`
	Scaling string `json:"scaling"`
}

// Flow is a client's connections to one destination, where the client closes first.
type Flow struct {
	PerSecond float64 `json:"per_second"` // sustained
	Held      int64   `json:"held"`       // at one time
	// BoundBy is what the rate ended at: "ports", where it is that of the model, or "processors", which had no more to give at that moment.
	BoundBy string `json:"bound_by"`
}

const (
	byPorts      = "ports"
	byProcessors = "processors"
)

// Figure is a further measurement of a step, not scaled.
type Figure struct {
	What string `json:"what"`
	Unit string `json:"unit"`
	// Predicted is null where the model does not go that far.
	Predicted *float64 `json:"predicted"`
	Without   float64  `json:"without"` // measured without the step
	Measured  float64  `json:"measured"`
	// Less says that less is better.
	Less bool `json:"less"`
	// Aside is worth knowing and says nothing for or against the step.
	Aside bool `json:"aside"`
}

// Effect is what a step of a recipe does on this kernel.
type Effect string

const (
	Starts   Effect = "baseline" // the defaults, from which the recipe starts
	Helps    Effect = "works"
	NoEffect Effect = "no-effect"
	Harmful  Effect = "harmful"
	Gone     Effect = "gone" // the kernel has no such setting
	Untried  Effect = "could-not-run"
)

// scaleOf is by how much a port range is made smaller. Rates and connections are in proportion to the ports; the 60 s of TIME_WAIT are not
// scaled. Where ports come back after a second there are still fewer, so that they bind and not the processors.
func scaleOf(full map[string]string) int {
	if full["net.ipv4.tcp_tw_reuse"] == "1" {
		return 512
	}
	return 64
}

const adviceScaling = "measured with a 64th of the ports (from tcp_tw_reuse on a 512th) and multiplied by as much: connections are in proportion to ports, " +
	"and with so few the ports bind and not the processors, which are a ceiling of their own in full size; the 60 s of TIME_WAIT are not scaled"

// Advice measures the popular recipe, all steps side by side, each in a network namespace of its own; it takes about 80 s. The error is that of the
// context, or that labs cannot be made; a step that fails alone says so.
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
		out[i].judge(i == 0)
	}
	return &AdviceReport{Schema: Schema, Kernel: o.Kernel, Advice: out, Scaling: adviceScaling, Seconds: time.Since(start).Seconds()}, err
}

// judge gives the verdict by what was measured with the step and without it.
func (a *Advised) judge(first bool) {
	rate, held := a.rateChange(), change(float64(a.Before.Held), float64(a.Measured.Held))
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
		a.Why = a.words(first)
	}
}

// rateChange compares rates as far as ports made them: what the processors could do at the moment is no effect of a step. More than the ports
// gave before is more, whatever bounds it now.
func (a *Advised) rateChange() int {
	c := change(a.Before.PerSecond, a.Measured.PerSecond)
	if c > 0 && a.Before.BoundBy == byPorts || c < 0 && a.Measured.BoundBy == byPorts {
		return c
	}
	return 0
}

// boundBy says what a measured rate ended at.
func boundBy(predicted, measured float64) string {
	if change(predicted, measured) < 0 {
		return byProcessors
	}
	return byPorts
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
func whole(rate float64) string { return limit.Count(int64(math.Round(rate))) }

// words are the measurements in one sentence.
func (a *Advised) words(first bool) string {
	text := fmt.Sprintf("%s connections/s sustained to one destination and %s held", whole(a.Measured.PerSecond), limit.Count(a.Measured.Held))
	if a.Measured.BoundBy == byProcessors {
		text += " (the processors had no more to give: not compared)"
	}
	if !first {
		text += fmt.Sprintf("; %s and %s without this step", whole(a.Before.PerSecond), limit.Count(a.Before.Held))
	}
	for _, f := range a.Figures {
		text += fmt.Sprintf("; %s: %.4g %s, %.4g without", f.What, f.Measured, f.Unit, f.Without)
	}
	return text
}
