package proof

// AdviceReport is the popular recipe, one step after the other: each step stands on those
// before it.
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
	// Predicted and Measured are the flow with this step and all before it, Before is
	// what was measured without it. Full scale.
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
	// BoundBy is what the rate ended at: "ports", where it is that of the model, or
	// "processors", which had no more to give at that moment.
	BoundBy string `json:"bound_by"`
}

// What a rate ended at, in Flow.BoundBy.
const (
	ByPorts      = "ports"
	ByProcessors = "processors"
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
