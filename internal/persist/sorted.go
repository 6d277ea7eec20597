package persist

import (
	"cmp"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/encode"
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/plan"
)

// Boot is a plan's changes by the kind of file that keeps them.
type Boot struct {
	Sysctls []plan.Change // in the plan's order, each key once
	Units   []*Unit
	Links   []plan.Change // devices
	Left    []Unkept      // what no file keeps, in the plan's order

	Options
	paths paths
}

// Sort looks at each change. The error is an *InvalidError.
func Sort(p plan.Plan, o Options) (Boot, error) {
	w := Boot{Options: o, paths: o.paths()}
	switch {
	case o.Root == nil:
		return w, &InvalidError{"the root directory", "none was given"}
	case o.About == nil && !plainPath(o.Program):
		return w, &InvalidError{o.Program,
			"the path of maxconn has to be absolute, of letters, digits and . _ " +
				"+ @ - /"}
	}
	for _, c := range p.Changes {
		if why := plan.Unfit(c); why != "" {
			return w, &InvalidError{cmp.Or(c.Setting, c.Target.Name), why}
		}
		switch c.Target.Kind {
		case host.SysctlKind:
			w.sysctl(c)
		case host.ProcessKind:
			w.process(c)
		case host.LinkKind:
			w.link(c)
		case host.ListenerKind:
			w.leave(c, "the accept queue of a running listener lasts as long as its "+
				"socket; at its next start the program asks listen() for its own "+
				"backlog again, so raise that in its configuration")
		}
	}
	return w, nil
}

func (w *Boot) leave(c plan.Change, why string) {
	w.Left = append(w.Left, Unkept{c, c.Setting, why})
}

// sysctl takes a sysctl. Files of sysctl.d act on the initial network namespace alone; what
// is not below net is the host's whatever the namespace.
func (w *Boot) sysctl(c plan.Change) {
	if knob.InNetns(c.Target.Name) {
		if why := w.elsewhere(); why != "" {
			w.leave(c, "sysctl.d sets the host's own network namespace only, and "+why+
				"; give the value to what makes the namespace: docker run "+
				"--sysctl, securityContext.sysctls of a pod, or the unit or "+
				"script that runs ip netns")
			return
		}
	}
	w.Sysctls = slices.DeleteFunc(w.Sysctls, func(have plan.Change) bool {
		return knob.Key(have.Target.Name) == knob.Key(c.Target.Name)
	})
	w.Sysctls = append(w.Sysctls, c)
}

// elsewhere is "" for the initial network namespace, else what is known instead. Files of another
// tool may be for any host.
func (w *Boot) elsewhere() string {
	scope := w.Snapshot.Read().Optional(host.System("scope"))
	switch {
	case w.About != nil || scope == "initial":
		return ""
	case scope == "":
		return "which one this is could not be seen"
	}
	return "this is a " + scope + " namespace"
}

func (w *Boot) link(c plan.Change) {
	row, known := w.Snapshot.Read().Row(host.LinkKind, c.Target.Name)
	switch why := w.elsewhere(); {
	case why != "":
		w.leave(c, "udev knows the devices of the host's own network namespace only, and "+
			why)
	case known && row.Text("kind") == "veth":
		w.leave(c, "a veth device is made anew, mostly under another name, by the "+
			"program that runs the container; that program has to set it")
	default:
		w.Links = append(w.Links, c)
	}
}

func plainPath(path string) bool {
	return strings.HasPrefix(path, "/") && encode.Only(path, "._+@-/") &&
		!strings.HasSuffix(path, "/")
}

// conf collects the text of a file: constants, comments and plain words, for what a change says may
// come from a plan of somebody else.
type conf = encode.Builder[encode.Conf]

func comment(text string) encode.Conf { return encode.Comment[encode.Conf]("#", text) }

func plain(s string) encode.Conf { return encode.Plain[encode.Conf](s) }

// Reason is the old value of a change, why it does not do, and for which limit.
func Reason(c plan.Change) string {
	return "Was " + cmp.Or(c.From, "empty") + ". " + c.Why + ". Limit: " + c.Limit + "."
}

// file is the text below the words that say whose it is.
func (w Boot) file(parts ...encode.Conf) []byte {
	var b conf
	if w.About == nil {
		b.Write(header)
	}
	b.Write(encode.Comment[encode.Conf]("#", w.About...))
	b.Write(parts...)
	return []byte(b.String())
}
