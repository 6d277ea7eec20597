package persist

import (
	"cmp"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
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
		if why := plan.Unfit(c); why != "" {
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

func plainPath(path string) bool {
	return strings.HasPrefix(path, "/") && only(path, "._+@-/") && !strings.HasSuffix(path, "/")
}

// only says whether a text is of letters, digits and these marks.
func only(s, marks string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(marks, r))
	})
}

// conf collects the text of a file: constants, comments and plain words, for what a change says may
// come from a plan of somebody else.
type conf = encode.Builder[encode.Conf]

func comment(text string) encode.Conf { return encode.Comment[encode.Conf]("#", text) }

func plain(s string) encode.Conf { return encode.Plain[encode.Conf](s) }

// file is the text below the header.
func file(parts ...encode.Conf) []byte {
	var b conf
	b.Write(header)
	b.Write(parts...)
	return []byte(b.String())
}
