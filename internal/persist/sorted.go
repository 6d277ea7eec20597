package persist

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/plan"
)

// work is a plan's changes by the kind of file that keeps them.
type work struct {
	sysctls []plan.Change // in the plan's order, each key once
	units   []*unitLimit
	links   []plan.Change
	left    []Unkept
}

// sorted looks at each change.
func sorted(p plan.Plan, o Options) (work, error) {
	var w work
	switch {
	case o.Root == nil:
		return w, &InvalidError{"the root directory", "none was given"}
	case !plainPath(o.Program):
		return w, &InvalidError{o.Program, "the path of maxconn has to be absolute, of letters, digits and . _ + @ - /"}
	}
	for _, c := range p.Changes {
		if why := unfit(c); why != "" {
			return w, &InvalidError{cmp.Or(c.Setting, c.Target.Name), why}
		}
		switch c.Target.Kind {
		case host.SysctlKind:
			w.sysctl(c, o)
		case host.ProcessKind:
			w.process(c, o)
		case host.LinkKind:
			w.link(c, o)
		case host.ListenerKind:
			w.leave(c, "the accept queue of a running listener lasts as long as its socket; at its next start the program asks listen() for its own backlog again, so raise that in its configuration")
		}
	}
	return w, nil
}

func (w *work) leave(c plan.Change, why string) {
	w.left = append(w.left, Unkept{c.Setting, why})
}

// sysctl takes a sysctl. Files of sysctl.d act on the initial network namespace alone; what is not below net is the
// host's whatever the namespace.
func (w *work) sysctl(c plan.Change, o Options) {
	if knob.InNetns(c.Target.Name) {
		if why := notInitial(o.Snapshot); why != "" {
			w.leave(c, "sysctl.d sets the host's own network namespace only, and "+why+"; give the value to what makes the namespace: docker run --sysctl, securityContext.sysctls of a pod, or the unit or script that runs ip netns")
			return
		}
	}
	for i, have := range w.sysctls {
		if knob.Key(have.Target.Name) == knob.Key(c.Target.Name) {
			w.sysctls = append(w.sysctls[:i], w.sysctls[i+1:]...)
			break
		}
	}
	w.sysctls = append(w.sysctls, c)
}

// notInitial is "" for the initial network namespace, else what is known instead.
func notInitial(s host.Snapshot) string {
	switch scope := s.Read().Optional(host.System("scope")); scope {
	case "initial":
		return ""
	case "":
		return "which one this is could not be seen"
	default:
		return "this is a " + scope + " namespace"
	}
}

func (w *work) link(c plan.Change, o Options) {
	row, known := o.Snapshot.Read().Row(host.LinkKind, c.Target.Name)
	switch why := notInitial(o.Snapshot); {
	case why != "":
		w.leave(c, "udev knows the devices of the host's own network namespace only, and "+why)
	case known && row.Text("kind") == "veth":
		w.leave(c, "a veth device is made anew, mostly under another name, by the program that runs the container; that program has to set it")
	default:
		w.links = append(w.links, c)
	}
}

// unfit is why a change cannot stand in a file, or "".
func unfit(c plan.Change) string {
	t := c.Target
	switch {
	case strings.ContainsFunc(c.To, isControl):
		return "the value holds a control character"
	case t.Kind == host.SysctlKind && !plainKey(t.Name):
		return "not the name of a sysctl"
	case t.Kind == host.LinkKind && !plainDevice(t.Name):
		return "not the name of a network device"
	case t.Kind == host.LinkKind && t.Field != "txqueuelen":
		return "of a device only txqueuelen can be set"
	case t.Kind == host.ProcessKind && t.Field != "soft" && t.Field != "hard":
		return "of a process only soft and hard can be set"
	case t.Kind == host.ProcessKind || t.Kind == host.LinkKind:
		if n, err := strconv.ParseUint(c.To, 10, 31); err != nil || n == 0 {
			return "the value has to be a whole number from 1 to 2147483647, and is " + strconv.Quote(c.To)
		}
	case t.Kind != host.SysctlKind && t.Kind != host.ListenerKind:
		return "a change of kind " + strconv.Quote(string(t.Kind)) + " is not known"
	}
	return ""
}

func isControl(r rune) bool {
	return r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029'
}

// plainKey: dots separate, a slash stands for a dot in a device's name; no glob, nothing that leads elsewhere.
func plainKey(name string) bool {
	return strings.Contains(name, ".") && knob.IsKey(name) && only(name, "._-/:") && name[0] != '-'
}

// plainDevice: dev_valid_name allows more, and udev gives a meaning to it.
func plainDevice(name string) bool {
	return name != "" && len(name) < 16 && name != "." && name != ".." && only(name, "._-:@")
}

func plainPath(path string) bool {
	return strings.HasPrefix(path, "/") && only(path, "._+@-/") && !strings.HasSuffix(path, "/")
}

// only says whether a text is of letters, digits and these marks.
func only(s, marks string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(marks, r))
	})
}

// comment is text as comment lines, without anything that could end a line.
func comment(text string) string {
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || isControl(r) }), " ")
	if text == "" {
		return ""
	}
	return "# " + text + "\n"
}
