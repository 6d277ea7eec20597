package fix

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/diagnose"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
)

// Schema names the JSON form of a Report. Fields may be added, none renamed.
const Schema = "maxconn.fix/1"

// Report is what a fix came to: before, change, after.
type Report struct {
	Schema string    `json:"schema"`
	Host   plan.Host `json:"host"`
	// Run is its number in the journal, 0 where nothing was changed.
	Run     int        `json:"run"`
	Started *time.Time `json:"started,omitempty"`
	Outcome Outcome    `json:"outcome"`
	Why     string     `json:"why"`
	// State is what status says of the run.
	State string `json:"state,omitempty"`
	// Until is when what waits for a confirmation is rolled back; Again is when it is looked at
	// again before.
	Until *time.Time `json:"confirm_until,omitempty"`
	Again *time.Time `json:"looks_again,omitempty"`
	// Earlier are the runs for the same fault that made too little room.
	Earlier []int    `json:"earlier_runs,omitempty"`
	Changes []Change `json:"changes"`
	// Evidence compares the windows; After is null where there was none yet.
	Evidence []Item    `json:"evidence"`
	Seconds  float64   `json:"seconds"` // of a window
	Worse    []Reading `json:"worse,omitempty"`
	// Left is what the application or the topology has to do.
	Left  []plan.Left `json:"left"`
	Files []string    `json:"files,omitempty"` // written for the next boot
}

// Outcome is a report in one word or two.
type Outcome string

const (
	Kept       Outcome = "cured and kept"
	RolledBack Outcome = "rolled back"
	Waiting    Outcome = "could not tell" // kept until the window ends
	Nothing    Outcome = "nothing to fix"
	NoSetting  Outcome = "no setting fixes it"
	Unknown    Outcome = "could not tell whether anything is wrong"
	Proposed   Outcome = "proposed" // a dry run
	Watching   Outcome = "watched"  // it is being judged now
	ByHand     Outcome = "kept by hand"
	Gone       Outcome = "ended before it was decided" // with its namespace or boot
	InPart     Outcome = "rolled back in part"
	Broken     Outcome = "interrupted"
)

// Change is one setting of a fix.
type Change struct {
	Setting     string       `json:"setting"`
	From        string       `json:"from"`
	To          string       `json:"to"`
	Became      string       `json:"became,omitempty"` // "" where it was not written
	TakesEffect limit.Effect `json:"takes_effect,omitempty"`
	Why         string       `json:"why,omitempty"`
	// RolledBack is what became of it then, "" where it was not.
	RolledBack string `json:"rolled_back,omitempty"`
}

// ProposedChanges are the changes of a plan before any is made.
func ProposedChanges(p plan.Plan) []Change {
	out := make([]Change, len(p.Changes))
	for i, c := range p.Changes {
		out[i] = Change{Setting: c.Setting, From: c.From, To: c.To,
			TakesEffect: c.TakesEffect, Why: c.Why}
	}
	return out
}

// Short are what a change made too little room for: it was full again at the higher ceiling. Each
// is asked for twice that.
func (r Report) Short() (out []plan.Room) {
	for _, i := range r.Evidence {
		if i.Verdict == NotCured && i.Filling == 0 && i.After.Ceiling > i.Before.Ceiling {
			was := i.Before
			out = append(out, plan.Room{Limit: was.Limit, Subject: was.Subject,
				Kind: was.Kind, Ceiling: 2 * i.After.Ceiling})
		}
	}
	return out
}

// Asking is the flag that asks for twice the room, of the first that was short; "" where it is of a
// subject that nobody can ask for.
func (r Report) Asking() string {
	for _, s := range r.Short() {
		_, to, _ := strings.Cut(s.Subject, " -> ")
		switch s.Kind {
		case limit.Peer:
			return fmt.Sprintf("--outbound %s=%d", to, s.Ceiling)
		case limit.Listener:
			return fmt.Sprintf("--inbound %s=%d@once", s.Subject, s.Ceiling)
		}
	}
	return ""
}

// Beyond says who can do what no change of a plan does; unseen are the facts that it lacks.
func Beyond(p plan.Plan, unseen []diagnose.Unseen) string {
	setting := func(l plan.Left) bool { return l.Binds && l.Kind == limit.BySetting }
	if len(unseen) > 0 || slices.ContainsFunc(p.Left, setting) {
		return "nothing does that could be seen and changed from here"
	}
	return "only the application or the topology can"
}

// Unjudged is what is watched, with no window after the change yet.
func (b Before) Unjudged() []Item {
	out := make([]Item, len(b.Watched))
	for i, r := range b.Watched {
		out[i] = Item{Before: r, Verdict: Untold}
	}
	return out
}

// Parse reads a report that was saved.
func Parse(text []byte) (Report, error) {
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return r, errors.New("it is not JSON of a report of fix")
	}
	if r.Schema != Schema {
		return r, fmt.Errorf("its schema is %.60q, not %q", r.Schema, Schema)
	}
	return r, nil
}
