package prove

import "fmt"

// Schema names the JSON form of a Report. Fields may be added, none renamed.
const Schema = "maxconn.proof/1"

// Verdict is what came of a trial.
type Verdict string

const (
	Holds       Verdict = "holds"
	Differs     Verdict = "differs"
	CouldNotRun Verdict = "could-not-run"
)

// Report is all proofs of one run.
type Report struct {
	Schema  string  `json:"schema"`
	Kernel  string  `json:"kernel"`
	CPUs    int     `json:"cpus"`
	User    string  `json:"user"`
	Proofs  []Proof `json:"proofs"`
	Seconds float64 `json:"seconds"`
}

// Proof is a claim and what its trial measured on this kernel.
type Proof struct {
	ID        string   `json:"id"`
	Limit     string   `json:"limit"`
	Claim     string   `json:"claim"`
	Predicted float64  `json:"predicted"`
	Low       float64  `json:"low"` // what agrees with the prediction
	High      float64  `json:"high"`
	Measured  float64  `json:"measured"`
	Unit      string   `json:"unit"`
	Formula   string   `json:"formula,omitempty"`
	Verdict   Verdict  `json:"verdict"`
	Why       string   `json:"why"` // why it differs or could not run
	Note      string   `json:"note,omitempty"`
	Evidence  []Check  `json:"evidence"`
	Control   []Check  `json:"control"`
	Series    []Series `json:"series,omitempty"`
	Source    string   `json:"source"`
	Seconds   float64  `json:"seconds"`
}

// Count is how many proofs ended so.
func (r *Report) Count(v Verdict) (n int) {
	for _, p := range r.Proofs {
		if p.Verdict == v {
			n++
		}
	}
	return n
}

// judge fills the verdict in from what the trial found.
func (p *Proof) judge(o Outcome) {
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
			return fmt.Sprintf("control run, %s: %s, expected %s", c.What, c.Got, c.Want)
		}
	}
	return ""
}
