package apply

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/maxconn/maxconn/internal/plan"
)

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
