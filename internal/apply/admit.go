package apply

import (
	"fmt"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
	"github.com/maxconn/maxconn/internal/plan"
)

// admit says what in a plan from a file maxconn would never have written: a change that is shown under another name than that
// of what it writes, a setting that has nothing to do with connections, a value that is not more than the old one. A
// journal is not held to this: what was written once can be taken back.
func admit(p plan.Plan) error {
	for i, c := range p.Changes {
		if err := admitChange(c); err != nil {
			return fmt.Errorf("change %d (%s): %w", i+1, words(c.Target), err)
		}
	}
	return nil
}

func admitChange(c plan.Change) error {
	switch {
	case c.Setting != "" && !names(c):
		return fmt.Errorf("it is called %.60q, and that is something else", c.Setting)
	case c.Target.Kind == host.SysctlKind && !known(c.Target.Name):
		return fmt.Errorf("%q is no setting of connections", c.Target.Name)
	case !c.Raises():
		return fmt.Errorf("from %q to %q: a plan makes nothing less, and sets nothing that does harm", c.From, c.To)
	}
	return nil
}

// names says whether the words of a change are those of its target; a process may have any name.
func names(c plan.Change) bool {
	t, owner := c.Target, ""
	switch t.Kind {
	case host.ProcessKind:
		rest, ok := strings.CutPrefix(c.Setting, t.Field+" descriptor limit of ")
		if !ok {
			return false
		}
		owner = rest
	case host.ListenerKind:
		rest, ok := strings.CutPrefix(c.Setting, "accept queue of "+t.Name+", ")
		if !ok {
			return false
		}
		owner = rest
	default:
		return c.Setting == words(t)
	}
	pid := t.Name
	if t.Kind == host.ListenerKind {
		pid = fmt.Sprint(t.PID)
	}
	return owner == "pid "+pid || strings.HasSuffix(owner, " (pid "+pid+")")
}

// known says whether some limit names a sysctl.
func known(name string) bool {
	k := knob.Lookup(name)
	return k != nil && k.IsSysctl() && len(limit.Using(name)) > 0
}
