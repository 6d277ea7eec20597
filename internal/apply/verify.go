package apply

import (
	"errors"
	"fmt"

	"github.com/maxconn/maxconn/internal/linux/tune"
	"github.com/maxconn/maxconn/internal/plan"
)

// Verified is a comparison of wanted values with those that are there.
type Verified struct {
	Schema string       `json:"schema"`
	Holds  bool         `json:"holds"`
	Checks []Comparison `json:"checks"`
}

// Comparison is one wanted value.
type Comparison struct {
	Setting string `json:"setting"`
	Wanted  string `json:"wanted"`
	Value   string `json:"value"`
	Holds   bool   `json:"holds"`
	Why     string `json:"why,omitempty"`
}

// VerifyPlan compares a plan with the running values. Targets that no longer exist do not hold.
func (e *Engine) VerifyPlan(p plan.Plan) (Verified, error) {
	out := Verified{Schema: VerifySchema, Holds: true, Checks: []Comparison{}}
	if err := Check(p); err != nil {
		return out, &Refusal{Why: "the plan: " + err.Error(), Err: err}
	}
	if err := e.Here.checkHost(p); err != nil {
		return out, err
	}
	for _, c := range p.Changes {
		out.add(e.verifyOne(c, c.To))
	}
	return out, nil
}

// Verify compares what is applied, and not taken back, with the running values and with the files for the next boot. Of several runs that changed one
// setting the last counts. Processes, listeners and devices of an earlier boot are passed over. With bootOnly only what has files
// for the next boot counts: what was to last.
func (e *Engine) Verify(bootOnly bool) (Verified, error) {
	out := Verified{Schema: VerifySchema, Holds: true, Checks: []Comparison{}}
	runs, bad, err := e.store().load()
	if err != nil {
		return out, err
	}
	if len(bad) > 0 {
		return out, bad[0]
	}
	now, err := e.situation(e.store().busy())
	if err != nil {
		return out, err
	}
	seen := map[plan.Target]bool{}
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		if s := r.State(now); (s == InEffect || s == Pending || s == Persisting) && (r.Persisted || !bootOnly) {
			e.verifyRun(&out, r, seen)
		}
	}
	return out, nil
}

func (e *Engine) verifyRun(out *Verified, r *Run, seen map[plan.Target]bool) {
	e = e.at(r)
	for i, c := range r.Plan.Changes {
		otherBoot := r.Place.BootID != e.Here.BootID && (c.Target.Start != 0 || c.Target.Inode != 0)
		if seen[c.Target] || otherBoot {
			continue
		}
		seen[c.Target] = true
		if r.Place.BootID == e.Here.BootID && r.Place.Netns != e.Here.Netns {
			out.add(Comparison{Setting: describe(c), Wanted: c.To, Why: "it is in network namespace " + r.Place.Netns})
			continue
		}
		check := e.verifyOne(c, c.To)
		if became := r.Progress[i].Became; !check.Holds && check.Why == "" && tune.Same(became, check.Value) {
			check.Why = "the kernel kept this value when it was applied"
		}
		out.add(check)
	}
	for _, f := range r.Files {
		if n := f.now(); n != NowNew {
			out.add(Comparison{Setting: f.Path, Wanted: "as written", Value: string(n)})
			continue
		}
		out.add(Comparison{Setting: f.Path, Wanted: "as written", Value: "as written", Holds: true})
	}
	if r.Persisted && e.NextBoot != nil {
		for _, c := range e.NextBoot(r.Plan, r.written()) {
			out.add(c)
		}
	}
}

func (e *Engine) verifyOne(c plan.Change, want string) Comparison {
	out := Comparison{Setting: describe(c), Wanted: want}
	have, err := e.Kernel.Read(c.Target)
	switch {
	case errors.Is(err, ErrGone):
		out.Why = "it is gone"
	case err != nil:
		out.Why = fmt.Sprint(err)
	default:
		out.Value, out.Holds = have, tune.Same(want, have)
	}
	return out
}

func (v *Verified) add(c Comparison) {
	v.Checks = append(v.Checks, c)
	v.Holds = v.Holds && c.Holds
}
