package prove

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/prove/proof"
)

// Outcome is what a trial found.
type Outcome struct {
	// Predicted is the catalogue's figure, Measured the kernel's, both in the
	// claim's unit. Low and High bound what agrees with the prediction.
	Predicted, Measured float64
	Low, High           float64
	// Formula is how the prediction came about, with the lab's figures.
	Formula string
	// Evidence is what must be there when the limit binds, Control what must not
	// be there without the cause.
	Evidence, Control []Check
	// Series are the measured points, for plots.
	Series []Series
	// Note is worth telling beside the verdict, one sentence.
	Note string
}

// level is a predicted level of a plot.
func level(name string, y int64) Mark {
	v := float64(y)
	return Mark{Name: name, Y: &v}
}

// Exactly is an outcome of a count: it agrees or it does not.
func Exactly(predicted, measured int64) Outcome {
	p := float64(predicted)
	return Outcome{Predicted: p, Measured: float64(measured), Low: p, High: p}
}

// Within is an outcome of a quantity that may be off by a share of the prediction, 0.02 for 2 %.
func Within(share, predicted, measured float64) Outcome {
	d := math.Abs(share * predicted)
	return Outcome{Predicted: predicted, Measured: measured, Low: predicted - d,
		High: predicted + d}
}

// Between is an outcome whose prediction is a range, low being the figure.
func Between(low, high, measured float64) Outcome {
	return Outcome{Predicted: low, Measured: measured, Low: low, High: high}
}

// Agrees says whether the measured figure is what was predicted.
func (o Outcome) Agrees() bool { return o.Low <= o.Measured && o.Measured <= o.High }

// Expect adds evidence: got must equal want.
func (o *Outcome) Expect(what string, want, got any) {
	o.Evidence = append(o.Evidence, check(what, want, got))
}

// Without adds an observation of the control run: got must equal want.
func (o *Outcome) Without(what string, want, got any) {
	o.Control = append(o.Control, check(what, want, got))
}

// ExpectThat and WithoutThat are for what is more than an equality; want is its words.
func (o *Outcome) ExpectThat(what, want string, got any, ok bool) {
	o.Evidence = append(o.Evidence, Check{What: what, Want: want, Got: said(got), OK: ok})
}

// WithoutThat is ExpectThat for the control run.
func (o *Outcome) WithoutThat(what, want string, got any, ok bool) {
	o.Control = append(o.Control, Check{What: what, Want: want, Got: said(got), OK: ok})
}

func check(what string, want, got any) Check {
	w, g := said(want), said(got)
	return Check{What: what, Want: w, Got: g, OK: w == g}
}

// said is a value in words: errors by name and how often, the most usual values as they are.
func said(v any) string {
	errs, ok := v.(map[string]int)
	if !ok {
		return fmt.Sprint(v)
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(errs)) {
		words = append(words, fmt.Sprintf("%d %s", errs[name], name))
	}
	return cmp.Or(strings.Join(words, ", "), "none")
}

// The types of reports stand in package proof, which builds on every system.
type (
	Verdict      = proof.Verdict
	Report       = proof.Report
	Proof        = proof.Proof
	Check        = proof.Check
	Series       = proof.Series
	Point        = proof.Point
	Mark         = proof.Mark
	AdviceReport = proof.AdviceReport
	Advised      = proof.Advised
	Flow         = proof.Flow
	Figure       = proof.Figure
	Effect       = proof.Effect
	Comparison   = proof.Comparison
	Differing    = proof.Differing
	Compared     = proof.Compared
	Driven       = proof.Driven
)

// Schema and the words of a report, as in package proof.
const (
	Schema      = proof.Schema
	Holds       = proof.Holds
	Differs     = proof.Differs
	CouldNotRun = proof.CouldNotRun
	Starts      = proof.Starts
	Helps       = proof.Helps
	NoEffect    = proof.NoEffect
	Harmful     = proof.Harmful
	Gone        = proof.Gone
	Untried     = proof.Untried
)

// judge fills the verdict in from what the trial found.
func judge(p *Proof, o Outcome) {
	p.Predicted, p.Low, p.High, p.Measured = o.Predicted, o.Low, o.High, o.Measured
	p.Formula, p.Note, p.Series = o.Formula, o.Note, o.Series
	p.Evidence, p.Control = o.Evidence, o.Control
	p.Verdict = Holds
	if why := o.against(); why != "" {
		p.Verdict, p.Why = Differs, why
	}
}

// against is the first thing that speaks against the claim, "" where nothing does.
func (o Outcome) against() string {
	if !o.Agrees() {
		return "measured and predicted do not agree"
	}
	for _, c := range o.Evidence {
		if !c.OK {
			return fmt.Sprintf("%s: %s, expected %s", c.What, c.Got, c.Want)
		}
	}
	for _, c := range o.Control {
		if !c.OK {
			return fmt.Sprintf("control run, %s: %s, expected %s", c.What, c.Got,
				c.Want)
		}
	}
	return ""
}
