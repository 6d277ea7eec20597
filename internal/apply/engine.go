package apply

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/netns"
	"github.com/maxconn/maxconn/internal/linux/tune"
	"github.com/maxconn/maxconn/internal/persist"
	"github.com/maxconn/maxconn/internal/plan"
)

// Engine carries out plans on one host, seen from one network namespace. Its methods may be
// called concurrently, from any number of processes: the lock in Dir lets one write at a
// time.
type Engine struct {
	Dir    string // the state directory
	Kernel Kernel
	Usage  func() Usage // what is in use at one time; nil: nothing is
	Here   Place
	Uptime func() (time.Duration, error)
	Now    func() time.Time
	// Files are the files that make a plan's values those of the next boot; nil where
	// none can be written.
	Files func(plan.Plan) ([]persist.File, error)
	// Owns says whether a path is one of a file for the next boot; nil: no path is. A
	// journal with another one is not believed.
	Owns func(path string) bool
	// NextBoot says what becomes at the next boot of a plan's values that these files
	// are to keep; nil where that is unknown.
	NextBoot func(plan.Plan, []persist.File) []Comparison
	// SetBy names the file or program that sets a sysctl to a value; "" where none
	// does. Nil where that is unknown.
	SetBy func(key, value string) string
	// Guard starts the process that calls Watch for a run and outlives this one, and
	// returns once it cannot be ended by the end of the session any more.
	Guard func(id int) (pid int, err error)
	// Enter opens the network namespace of a run by the path that its journal names;
	// nil: only runs of this one are reached.
	Enter func(netns.Path) (*Engine, error)
	// Gone says whether the network namespace of a run of this boot is known to have
	// ended; nil: it is not.
	Gone func(Place) bool
	// Evidence takes the window by which a run of fix is judged.
	Evidence Evidence
	Step     Step

	held *netns.Handle // the namespace, where it is a real one
	// gone is what Gone has said.
	gone   map[string]bool
	goneMu sync.Mutex
}

// Open is an engine for the running kernel, seen from a network namespace ("" is that of the
// calling thread). The path is looked up once: whatever it leads to later, the engine stays with
// the namespace.
func Open(dir string, ns netns.Path) (*Engine, error) {
	held, err := netns.Hold(ns)
	if err != nil {
		return nil, err
	}
	return openHeld(dir, held)
}

func openHeld(dir string, held *netns.Handle) (*Engine, error) {
	system := NewSystem(held)
	here, err := system.here()
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	e := &Engine{
		Dir: dir, Kernel: system, Usage: system.Usage, Here: here, Uptime: Uptime,
		Now: time.Now, held: held,
		Enter: func(ns netns.Path) (*Engine, error) {
			return Open(dir, ns)
		}, Gone: namespaceGone,
	}
	e.Evidence = e.evidence
	return e, nil
}

// Namespace leads to the engine's network namespace, in this process only; "" is that of the
// calling thread.
func (e *Engine) Namespace() netns.Path {
	if e.held == nil {
		return ""
	}
	return pathOf(e.held)
}

func pathOf(held *netns.Handle) netns.Path {
	if held.Own() {
		return ""
	}
	return held.Path()
}

// at is the engine of the network namespace of a run, or this one where that cannot be
// entered or is another by now.
func (e *Engine) at(r *Run) *Engine {
	if r.Place.sameNamespace(e.Here) || r.Place.BootID != e.Here.BootID ||
		r.Place.Path == "" || e.Enter == nil {
		return e
	}
	other, err := e.Enter(netns.Path(r.Place.Path))
	if err != nil {
		return e
	}
	if !other.Here.sameNamespace(r.Place) {
		other.close()
		return e
	}
	other.Dir, other.Files, other.NextBoot, other.SetBy, other.Step, other.Now, other.Uptime =
		e.Dir, e.Files, e.NextBoot, e.SetBy, e.Step, e.Now, e.Uptime
	other.Owns = e.Owns
	return other
}

// close lets the namespace go.
func (e *Engine) close() {
	if e.held != nil {
		e.held.Close()
	}
}

func (e *Engine) store() store { return store{e.Dir, disk{e.Step}, e.Owns, e.Here.BootID} }

// situation is what states depend on.
func (e *Engine) situation(busy bool) (Situation, error) {
	up, err := e.Uptime()
	return Situation{BootID: e.Here.BootID, Uptime: up, Busy: busy, Ended: e.ended}, err
}

// write sets a value; what the kernel made of it is no error here.
func (e *Engine) write(t plan.Target, value string) (became string, err error) {
	became = value
	err = e.Step.do("kernel", words(t), func() error {
		err := e.Kernel.Write(t, value)
		if kept, ok := err.(*Kept); ok {
			became, err = kept.Got, nil
		}
		return err
	})
	if err != nil {
		if _, ok := err.(*TargetError); !ok {
			err = &TargetError{Op: "write", Setting: words(t), Value: value, Err: err,
				Need: need("write", t, err)}
		}
	}
	return became, err
}

// Receipt is what came of one change.
type Receipt struct {
	Setting string `json:"setting"`
	From    string `json:"from"`
	Wanted  string `json:"wanted"`
	Became  string `json:"became"`
	// Kept says that the kernel made another value of the wanted one.
	Kept        bool         `json:"kept_another_value,omitempty"`
	TakesEffect limit.Effect `json:"takes_effect,omitempty"`
}

func (r *Run) receipts() (out []Receipt) {
	for i, c := range r.Plan.Changes {
		if p := r.Progress[i]; p.Wrote {
			out = append(out, Receipt{Setting: c.Setting, From: c.From, Wanted: c.To,
				Became: p.Became,
				Kept:   !tune.Same(c.To, p.Became), TakesEffect: c.TakesEffect})
		}
	}
	return out
}

// describe is how errors name a change.
func describe(c plan.Change) string {
	if c.Setting != "" {
		return c.Setting
	}
	return words(c.Target)
}

// ID is "run 3" in messages.
func (r *Run) name() string { return fmt.Sprintf("run %d", r.ID) }
