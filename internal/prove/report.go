package prove

import (
	"fmt"

	"github.com/maxconn/maxconn/internal/prove/proof"
)

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
