package apply

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/linux/sockdiag"
	"github.com/maxconn/maxconn/internal/plan"
)

// known says whether some limit names a sysctl.
func known(name string) bool {
	k := knob.Lookup(name)
	return k != nil && k.IsSysctl() && len(limit.Using(name)) > 0
}

// bounded takes from the texts of a plan what is too long to be read by anybody, and from its
// changes the names that somebody gave them: Hold calls each by what it writes to.
func bounded(p plan.Plan) plan.Plan {
	for i := range p.Changes {
		c := &p.Changes[i]
		c.Setting = c.Target.Called("")
		for _, text := range []*string{
			&c.Why, &c.Owner, &c.Cost, &c.Risk, &c.Lasts, (*string)(&c.TakesEffect),
			&c.Unit, &c.Limits,
		} {
			if len(*text) > plan.MostText {
				*text = strings.ToValidUTF8((*text)[:plan.MostText], "") + "..."
			}
		}
	}
	return p
}

// Hold takes hold of what a plan writes to, until the program ends: what is shown now is what will
// be written to, or nothing. Each process is called by the name that it has now, and each listening
// socket is told apart from all others by its cookie. What cannot be found is left for Apply to
// refuse.
func (e *Engine) Hold(p plan.Plan) plan.Plan {
	s, ok := e.Kernel.(*System)
	if !ok {
		return p
	}
	for i := range p.Changes {
		s.holdTarget(&p.Changes[i])
	}
	return p
}

func (s *System) holdTarget(c *plan.Change) {
	t := &c.Target
	pid, isProcess := processOf(*t)
	if !isProcess {
		return
	}
	c.Setting = t.Called("")
	p, err := s.processes.hold(pid, t.Start)
	if err != nil {
		return
	}
	c.Setting = t.Called(strings.ToValidUTF8(p.comm(), "?"))
	if t.Kind != host.ListenerKind || t.Cookie != 0 {
		return
	}
	_ = s.inside(func() error {
		var found sockdiag.Socket
		if found, err = socketOf(*t); err == nil {
			t.Cookie = found.Cookie
		}
		return err
	})
}

// admissible says what in a journal no maxconn has written: taking such a run back would write to
// something that no plan changes, or a text into somebody else's file. owns says which files are
// maxconn's.
func (r *Run) admissible(owns func(string) bool) error {
	if err := plan.AdmitOld(r.Plan, known); err != nil {
		return err
	}
	if r.Within < 0 || r.Within > (24*time.Hour).Seconds() || r.UntilUp < 0 {
		return fmt.Errorf("no run waits for %g s", r.Within)
	}
	if f := r.Fix; f != nil && (f.Seconds <= 0 || f.Seconds > r.Within) {
		return fmt.Errorf("no run is judged by a window of %g s", f.Seconds)
	}
	for _, n := range r.Files {
		if err := n.admissible(owns); err != nil {
			return err
		}
	}
	return nil
}

func (n fileNote) admissible(owns func(string) bool) error {
	switch {
	case owns == nil || !owns(n.Path):
		return fmt.Errorf("%.100q is no file of maxconn", n.Path)
	case n.Mode&^mostMode != 0 || n.OldMode&^mostMode != 0:
		return fmt.Errorf(
			"%s has the mode %v, was %v: no file of maxconn has",
			n.Path,
			n.Mode,
			n.OldMode,
		)
	case len(n.New) > largestFile || len(n.Old) > largestFile:
		return fmt.Errorf("%s has more than %d KiB", n.Path, largestFile>>10)
	}
	for _, dir := range n.Made {
		if dir == "/" || filepath.Clean(dir) != dir || !strings.HasPrefix(n.Path, dir+"/") {
			return fmt.Errorf("%.100q does not lead to %s", dir, n.Path)
		}
	}
	return nil
}
