package apply

import (
	"errors"
	"fmt"

	"github.com/maxconn/maxconn/internal/host"
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

// Verify compares what is applied, and not rolled back, with the running values and with
// the files for the next boot. Of several runs that changed one setting the last counts. Of
// an earlier boot only what files have set again is compared. With bootOnly only what has
// files for the next boot counts: what was to last.
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
	seen := superseded{map[plan.Target]bool{}, map[string]bool{}}
	for i := len(runs) - 1; i >= 0; i-- {
		r := runs[i]
		if s := r.State(now); (s == InEffect || s == Pending || s == Persisting) &&
			(r.Persisted || !bootOnly) {
			e.verifyRun(&out, r, seen)
		}
	}
	return out, nil
}

// superseded are the targets and files on which a later run has the last word.
type superseded struct {
	targets map[plan.Target]bool
	files   map[string]bool
}

func (e *Engine) verifyRun(out *Verified, r *Run, seen superseded) {
	e = e.at(r)
	last := r.Plan
	last.Changes = nil
	for i, c := range r.Plan.Changes {
		if seen.targets[c.Target] {
			continue
		}
		last.Changes = append(last.Changes, c)
		past, elsewhere := e.reach(r, c)
		if past != "" {
			continue
		}
		seen.targets[c.Target] = true
		if elsewhere != "" {
			out.add(Comparison{Setting: describe(c), Wanted: c.To, Why: elsewhere})
			continue
		}
		check := e.verifyOne(c, c.To)
		if !check.Holds && check.Why == "" {
			check.Why = e.whyOther(r, i, check.Value)
		}
		out.add(check)
	}
	for _, f := range r.Files {
		if !seen.files[f.Path] {
			seen.files[f.Path] = true
			out.add(f.verify())
		}
	}
	if r.Persisted && e.NextBoot != nil {
		for _, c := range e.NextBoot(last, r.present()) {
			out.add(c)
		}
	}
}

func (n fileNote) verify() Comparison {
	const asWritten = "as written"
	if now := n.now(); now != NowNew {
		return Comparison{Setting: n.Path, Wanted: asWritten, Value: string(now)}
	}
	return Comparison{Setting: n.Path, Wanted: asWritten, Value: asWritten, Holds: true}
}

// whyOther says where a value comes from that is not the wanted one, "" where nothing shows it.
func (e *Engine) whyOther(r *Run, i int, have string) string {
	c := r.change(i)
	if tune.Same(r.Progress[i].Became, have) {
		return "the kernel kept this value when it was applied"
	}
	if c.Target.Kind != host.SysctlKind || e.SetBy == nil || !e.Here.Initial {
		return ""
	}
	if owner := e.SetBy(c.Target.Name, have); owner != "" {
		return owner + " sets it"
	}
	return ""
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
