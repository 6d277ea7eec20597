package proof

import "github.com/maxconn/maxconn/internal/limit"

// Comparison is a wanted workload, driven with today's settings and with the plan's.
type Comparison struct {
	Schema     string     `json:"schema"`
	Kernel     string     `json:"kernel"`
	Comparison []Compared `json:"comparison"`
	// Carried are the settings that differ and that the labs had; NotCarried those that
	// no namespace can have.
	Carried    []Differing `json:"carried"`
	NotCarried []Differing `json:"not_carried"`
	Seconds    float64     `json:"seconds"`
}

// Differing is a setting that the plan changes.
type Differing struct {
	Setting string `json:"setting"`
	Before  string `json:"before"`
	After   string `json:"after"`
	Why     string `json:"why,omitempty"` // why it was not carried
}

// Compared is one demand of the workload, before and after. All figures are in full scale.
type Compared struct {
	Subject   string        `json:"subject"`
	Direction string        `json:"direction"` // outbound, inbound
	Measure   limit.Measure `json:"measure"`
	Wanted    int64         `json:"wanted"`
	Before    Driven        `json:"before"`
	After     Driven        `json:"after"`
	Scale     int64         `json:"scale"` // everything was this many times smaller
	Scaling   string        `json:"scaling"`
}

// Driven is what came of a demand in one lab.
type Driven struct {
	Measured float64 `json:"measured"`
	// Predicted is the ceiling by the catalogue, capped by what is wanted; null where
	// it says nothing of it.
	Predicted *int64 `json:"predicted"`
	// as much as wanted, within 2 % (TIME_WAIT: 4 %, what the kernel's timer adds)
	Met bool `json:"met"`
	// Errors are errno names, and a counter where the kernel tells the client nothing;
	// each retransmission counts again in it.
	Errors map[string]int `json:"errors"`
	Why    string         `json:"why,omitempty"` // why it could not be measured
}
