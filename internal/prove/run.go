package prove

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/maxconn/maxconn/internal/limit"
)

// Options narrow and steer a run. The zero value runs nothing.
type Options struct {
	Claims []*Claim
	// Kernel is the running kernel's release, for Needs.
	Kernel string
	// Expendable says that the whole machine may be spoiled: claims that need a machine run.
	Expendable bool
	// Model predicts; nil means the catalogue.
	Model Model
	// Progress, unless nil, is called at each start and end; calls do not overlap.
	Progress func(Event)
}

// Event is a step of a run.
type Event struct {
	Claim     *Claim
	Proof     *Proof // nil when the trial starts
	Done, All int
	Left      time.Duration // about how long the rest takes
}

// run is the state of one Run.
type run struct {
	Options
	cpus    int64
	tokens  *semaphore.Weighted
	started time.Time
	mu      sync.Mutex
	done    map[*Claim]bool
}

// Run tries the claims, side by side where they allow it. The error is that of the
// context; the report then holds what had ended by then. Safe for concurrent use, though two
// runs disturb each other's quiet.
func Run(ctx context.Context, o Options) (*Report, error) {
	if o.Model == nil {
		o.Model = limit.Find
	}
	cpus := int64(runtime.NumCPU())
	r := &run{
		Options: o,
		cpus:    cpus,
		tokens:  semaphore.NewWeighted(cpus * share),
		started: time.Now(),
		done:    map[*Claim]bool{},
	}
	proofs := make([]*Proof, len(o.Claims))
	var wg sync.WaitGroup
	var spoil []int
	for _, i := range r.order() {
		if o.Claims[i].Machine != "" {
			spoil = append(spoil, i)
			continue
		}
		if r.acquire(ctx, o.Claims[i]) != nil {
			break
		}
		wg.Go(func() {
			release := sync.OnceFunc(func() { r.tokens.Release(r.weight(o.Claims[i])) })
			defer release()
			proofs[i] = r.prove(ctx, o.Claims[i], release)
		})
	}
	wg.Wait()
	// What changes the whole machine has it for itself.
	for _, i := range spoil {
		if ctx.Err() == nil {
			proofs[i] = r.prove(ctx, o.Claims[i], func() {})
		}
	}
	return r.report(proofs), ctx.Err()
}

// order starts with those that wait longest, so that the rest runs meanwhile.
func (r *run) order() []int {
	order := make([]int, len(r.Claims))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := r.Claims[i], r.Claims[j]
		return cmp.Or(cmp.Compare(a.Busy, b.Busy), cmp.Compare(b.Takes, a.Takes))
	})
	return order
}

// share is how many trials that wait most of the time one CPU carries: each starts some
// processes, and on an emulated CPU a crowd of them would be too late for its own
// deadlines.
const share = 4

// weight is how many shares a claim takes. What waits for a minute has a CPU until it waits
// (Bench.Settled) and then none, so that all of those wait at the same time.
func (r *run) weight(c *Claim) int64 {
	switch {
	case c.Busy == Alone:
		return r.cpus * share
	case c.Busy == Works || c.Slow():
		return share
	}
	return 1
}

func (r *run) acquire(ctx context.Context, c *Claim) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.tokens.Acquire(ctx, r.weight(c))
}

// prove runs one trial to its verdict; nil when the run was interrupted before.
func (r *run) prove(ctx context.Context, c *Claim, settled func()) *Proof {
	r.tell(c, nil)
	p := &Proof{ID: c.ID, Limit: string(c.Limit), Claim: c.Says, Unit: c.Unit, Source: c.Source}
	start := time.Now()
	if why := r.unfit(c); why != "" {
		p.Verdict, p.Why = CouldNotRun, why
	} else if o, err := r.try(ctx, c, settled); err != nil {
		p.Verdict, p.Why = CouldNotRun, err.Error()
	} else {
		judge(p, o)
	}
	took := time.Since(start)
	p.Seconds = took.Seconds()
	doubt(p, c, took)
	if ctx.Err() != nil && p.Verdict == CouldNotRun {
		return nil // it was interrupted: there is nothing to say of it
	}
	r.tell(c, p)
	return p
}

// unfit is why the claim is not for this machine, "" where it is.
func (r *run) unfit(c *Claim) string {
	if c.Machine != "" && !r.Expendable {
		return "only a machine of its own can show it: " + c.Machine + " (maxconn-proofs)"
	}
	if older(r.Kernel, c.Needs) {
		return "needs Linux " + c.Needs
	}
	return ""
}

func (r *run) try(ctx context.Context, c *Claim, settled func()) (o Outcome, err error) {
	b := &Bench{ctx: ctx, model: r.Model, settled: settled}
	defer func() { err = errors.Join(err, b.close()) }()
	err = caught(func() { o = c.Trial(b) })
	return o, reasoned(err)
}

func (r *run) tell(c *Claim, p *Proof) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p != nil {
		r.done[c] = true
	}
	if r.Progress != nil {
		r.Progress(Event{Claim: c, Proof: p, Done: len(r.done), All: len(r.Claims),
			Left: r.left()})
	}
}

// left is about how long the rest takes: the longest that waits from the start, or all
// shares of time that are still to be had.
func (r *run) left() time.Duration {
	var waits, turns time.Duration
	for _, c := range r.Claims {
		if r.done[c] || r.unfit(c) != "" {
			continue
		}
		waits = max(waits, c.Takes)
		if c.Busy == Waits && c.Slow() {
			continue
		}
		turns += c.Takes * time.Duration(r.weight(c)) / time.Duration(r.cpus*share)
	}
	return max(waits-time.Since(r.started), turns, 0)
}

func (r *run) report(proofs []*Proof) *Report {
	out := &Report{
		Schema:  Schema,
		Kernel:  r.Kernel,
		CPUs:    int(r.cpus),
		User:    user(),
		Seconds: time.Since(r.started).Seconds(),
	}
	for _, p := range proofs {
		if p != nil {
			out.Proofs = append(out.Proofs, *p)
		}
	}
	return out
}

func user() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return fmt.Sprintf("uid %d", os.Geteuid())
}
