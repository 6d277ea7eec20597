package knob

import (
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// Says is what it does, and then its facts: default, bounds, whose value it is. It goes on after the
// name.
func (k *Knob) Says() string {
	return strings.Join(append([]string{k.Does}, k.Facts()...), "; ")
}

// Denies is what it is believed to do and does not.
func (k *Knob) Denies() string {
	if k.Scope.OfNetns() && !k.Scope.Copied && k.IsSysctl() && k.Takes.Kind != Shown {
		return strings.TrimPrefix(k.Not+"; a new network namespace does not inherit it", "; ")
	}
	return k.Not
}

// Facts are the default, the bounds and the scope in words, without those that are not known.
func (k *Knob) Facts() []string {
	var out []string
	for _, s := range []string{k.Default.String(), k.Takes.String(), k.scope()} {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// String is "4096 by default (128 before Linux 5.4)", for the newest kernel and any host; "" where it
// is not known.
func (d Default) String() string {
	nothing := host.Snapshot{}
	a, ok := d.Amount(Host{Read: nothing.Read()})
	switch {
	case d.Words != "":
		return d.Words + " by default"
	case d.Is && d.Value == "":
		return "empty by default"
	case d.Is:
		return d.Value + " by default"
	case !ok:
		return ""
	case a.Known:
		return figure.Count(a.N) + " by default" + a.Words
	case a.Words == "":
		return ""
	}
	return strings.TrimPrefix(a.Words, ", ") + " by default"
}

// String is the bounds of the newest kernel, where there are any worth a word.
func (t Takes) String() string {
	b, ok := t.bounded()
	switch {
	case !ok || t.Kind == Ports || len(t.Bounds) == 0:
		return ""
	case b.Top >= 1<<31-1 && b.Low <= 1:
		return ""
	case b.Top >= 1<<31-1:
		return "at least " + figure.Count(b.Low)
	}
	return figure.Count(b.Low) + " to " + figure.Count(b.Top)
}

// scope is whose value it is.
func (k *Knob) scope() string {
	s := k.Scope
	switch {
	case !k.IsSysctl():
		return ""
	case s.Initial && s.ReadOnly.None():
		return "one value for the host, in the initial network namespace only"
	case s.Initial:
		return "one value for the host; read-only in a child network namespace since " +
			s.ReadOnly.String() + ", absent there before"
	case !s.ReadOnly.None():
		return "one value for the host; read-only in a child network namespace since " +
			s.ReadOnly.String()
	case !s.Netns:
		return "one value for the host"
	}
	out := "per network namespace"
	if !s.Own.None() && s.Own != k.Since {
		out += " since " + s.Own.String()
	}
	if s.Copied {
		out += ", a new one copies that of the initial one"
	}
	return out
}
