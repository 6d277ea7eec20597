package proof

import "strings"

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

// Check is one observation that must be as wanted.
type Check struct {
	What string `json:"what"`
	Want string `json:"want"`
	Got  string `json:"got"`
	OK   bool   `json:"ok"`
}

// Series is a measured curve.
type Series struct {
	Name   string  `json:"name"`
	X      string  `json:"x"` // what the axes are, with units
	Y      string  `json:"y"`
	Points []Point `json:"points"`
	// Marks are predicted levels or moments to draw into the plot.
	Marks []Mark `json:"marks,omitempty"`
}

// Point is one measurement.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// Mark is a straight line of a plot: at X, or at Y.
type Mark struct {
	Name string   `json:"name"`
	X    *float64 `json:"x,omitempty"`
	Y    *float64 `json:"y,omitempty"`
}

// TooBusy begins the reason of a trial that the rest of the machine was too busy for.
const TooBusy = "not quiet: "

// NotQuiet says whether the trial may well give a verdict when it is tried again.
func (p Proof) NotQuiet() bool {
	return p.Verdict == CouldNotRun && strings.HasPrefix(p.Why, TooBusy)
}

// Listed is a claim as prove --list shows it.
type Listed struct {
	ID    string `json:"id"`
	Limit string `json:"limit"` // the limit of the catalogue that it is about
	Says  string `json:"claim"`
	// Slow claims run only with --all or by name; Machine ones need a virtual machine.
	Slow    bool `json:"slow"`
	Machine bool `json:"machine"`
}
