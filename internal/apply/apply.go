package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/fix"
	"github.com/maxconn/maxconn/internal/linux/tune"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
)

// Options say how a plan is applied.
type Options struct {
	// Within is how long a confirmation is awaited before everything is rolled back; 0
	// awaits none.
	Within time.Duration
	// Persist writes the files for the next boot, after the confirmation where one is awaited.
	Persist bool
	// Fix is what the run is judged by while it awaits its confirmation; nil: it is not.
	Fix *fix.Before
}

// ReceiptSchema names the JSON form of a Report.
const ReceiptSchema = "maxconn.receipt/1"

// Report is what a run came to.
type Report struct {
	Schema   string    `json:"schema"`
	Run      int       `json:"run"`
	State    State     `json:"state"`
	Receipts []Receipt `json:"receipts"`
	// Until is when everything is rolled back unless it is confirmed; nil where no
	// confirmation is awaited.
	Until *time.Time `json:"confirm_until,omitempty"`
	Files []string   `json:"files,omitempty"` // written for the next boot
	// Lost are the changes that are not there any more when a run is confirmed.
	Lost []ChangeStatus `json:"lost,omitempty"`
	// Plan and Written are what was applied, and the files with their contents.
	Plan    plan.Plan      `json:"-"`
	Written []persist.File `json:"-"`
}

// Apply writes the changes of a plan in its order. Each is compared with what is there,
// written and read back. On any error, or when ctx ends, what was done is undone in
// reverse, and the error is an *UndoneError. A *Refusal changed nothing.
func (e *Engine) Apply(ctx context.Context, p plan.Plan, o Options) (Report, error) {
	none := Report{Schema: ReceiptSchema, Receipts: []Receipt{}}
	if err := Check(p); err != nil {
		return none, &Refusal{
			Why:  "the plan: " + err.Error(),
			Hint: "make a plan again: maxconn plan -o plan.json",
			Err:  err,
		}
	}
	if err := e.Here.checkHost(p); err != nil {
		return none, err
	}
	unlock, err := e.store().lock()
	if err != nil {
		return none, err
	}
	defer unlock()
	if err := e.free(); err != nil {
		return none, err
	}
	if err := e.compareAll(p); err != nil {
		return none, err
	}
	if err := e.probeAll(p); err != nil {
		return none, err
	}
	if err := e.canPersist(p, o.Persist); err != nil {
		return none, err
	}
	l, err := e.store().create(Begin{Place: e.Here, Plan: p, Within: o.Within.Seconds(),
		Persist: o.Persist, Fix: o.Fix}, e.Now)
	if err != nil {
		return none, &Refusal{Why: fmt.Sprintf("nothing was changed: %v", err), Err: err}
	}
	if err := e.carryOut(ctx, l); err != nil {
		undone := e.undo(l, failedBecause+err.Error())
		return none, &UndoneError{Err: err, Undo: undone}
	}
	return e.report(l.run), nil
}

func (e *Engine) report(r *Run) Report {
	report := Report{
		Schema:   ReceiptSchema,
		Run:      r.ID,
		State:    InEffect,
		Receipts: r.receipts(),
		Plan:     r.Plan,
	}
	switch {
	case r.Within > 0 && !r.Confirmed:
		report.State, report.Until = Pending, &r.Until
	case r.Persist && !r.Persisted:
		report.State = Persisting
	}
	report.Written = r.written()
	for _, f := range report.Written {
		report.Files = append(report.Files, f.Path)
	}
	return report
}

// free refuses while an earlier run in this namespace is not over.
func (e *Engine) free() error {
	runs, bad, err := e.store().load()
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return &Refusal{Why: bad[0].Error(), Err: bad[0],
			Hint: "nobody can tell what it changed: look at it, compare the " +
				"settings by hand, and move the file away"}
	}
	now, err := e.situation(false)
	if err != nil {
		return err
	}
	for _, r := range runs {
		here := r.Place.sameNamespace(e.Here) || r.Place.BootID != e.Here.BootID
		if s := r.State(now); s.open() && here {
			return &Refusal{Why: fmt.Sprintf("%s is not over: it is %s", r.name(), s),
				Hint: s.hint(r.ID)}
		}
	}
	return nil
}

// hint says what to do about a run that is not over.
func (s State) hint(id int) string {
	if s == Pending {
		return fmt.Sprintf("maxconn confirm keeps it, maxconn rollback %d rolls it back",
			id)
	}
	return fmt.Sprintf("roll it back first: maxconn rollback %d", id)
}

// compareAll refuses where a value is not the one that the plan was made for.
func (e *Engine) compareAll(p plan.Plan) error {
	for _, c := range p.Changes {
		if err := e.compare(c); err != nil {
			return &Refusal{
				Why:  "nothing was changed: " + err.Error(),
				Hint: "make a plan again: maxconn plan",
				Err:  err,
			}
		}
	}
	return nil
}

func (e *Engine) compare(c plan.Change) error {
	have, err := e.Kernel.Read(c.Target)
	if err != nil {
		return err
	}
	if !tune.Same(c.From, have) {
		return fmt.Errorf("%s is %s now, the plan was made when it was %s", describe(c),
			orEmpty(have), orEmpty(c.From))
	}
	return nil
}

func orEmpty(value string) string {
	if value == "" {
		return "empty"
	}
	return value
}

// probeAll refuses changes that would not be permitted, and names all of them.
func (e *Engine) probeAll(p plan.Plan) error {
	prober, ok := e.Kernel.(Prober)
	if !ok {
		return nil
	}
	var why []string
	var errs []error
	for _, c := range p.Changes {
		if err := prober.Probe(c.Target, c.To); err != nil {
			why, errs = append(why, err.Error()), append(errs, err)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return &Refusal{Why: "nothing was changed: " + strings.Join(why, "; "),
		Err: errors.Join(errs...)}
}

// canPersist finds out before the first write whether there can be files for the next boot.
func (e *Engine) canPersist(p plan.Plan, wanted bool) error {
	if !wanted {
		return nil
	}
	if _, err := e.nextFiles(p); err != nil {
		r := &Refusal{Why: "nothing was changed: " + err.Error(), Err: err}
		var advice interface{ Hint() string }
		if errors.As(err, &advice) {
			r.Hint = advice.Hint()
		}
		return r
	}
	return nil
}

// carryOut starts the guard and writes the changes; whatever it returns, the journal tells
// how far it came.
func (e *Engine) carryOut(ctx context.Context, l *log) error {
	if l.run.Within > 0 {
		if err := e.startGuard(l); err != nil {
			return err
		}
	}
	for i := range l.run.Plan.Changes {
		if ctx.Err() != nil {
			return fmt.Errorf("it was interrupted: %w", context.Cause(ctx))
		}
		if err := e.changeOne(l, i); err != nil {
			return err
		}
	}
	up, err := e.Uptime()
	if err != nil {
		return err
	}
	if err := l.add(entry{Do: doApplied, UntilUp: up.Seconds() + l.run.Within}); err != nil {
		return err
	}
	if l.run.Persist && l.run.Within == 0 {
		return e.persist(l)
	}
	return nil
}

func (e *Engine) guard(id int) (int, error) {
	if e.Guard == nil {
		return 0, errors.New("there is none")
	}
	return e.Guard(id)
}

// changeOne is intent, compare, write, read back, result.
func (e *Engine) changeOne(l *log, i int) error {
	c := l.run.change(i)
	if err := e.compare(c); err != nil {
		return err
	}
	if err := l.add(entry{Do: doWrite, Change: i + 1}); err != nil {
		return err
	}
	became, err := e.write(c.Target, c.To)
	if err != nil {
		return err
	}
	return l.add(entry{Do: doWrote, Change: i + 1, Became: became})
}
