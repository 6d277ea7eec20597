package knob

import (
	"strings"

	"github.com/maxconn/maxconn/internal/figure"
	"github.com/maxconn/maxconn/internal/host"
)

// Says is what it does, and then its facts: default, bounds, whose value it is. It goes on after
// the name.
func (k *Knob) Says() string {
	return strings.Join(append([]string{k.Does}, k.Facts()...), "; ")
}

// Facts are the default, the bounds and the scope in words, without those that are not known.
func (k *Knob) Facts() []string {
	var out []string
	for _, s := range []string{k.standard(), k.Takes.String(), k.scope()} {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

// standard is "4,096 by default (128 before Linux 5.4)", for the newest kernel and any host; ""
// where it is not known.
func (k *Knob) standard() string {
	const byDefault = " by default"
	d, nothing := k.Default, host.Snapshot{}
	a, ok := d.Amount(Host{Read: nothing.Read()})
	switch {
	case d.Words != "":
		return d.Words + byDefault
	case d.Is && d.Value == "":
		return "empty" + byDefault
	case d.Is:
		return d.Value + byDefault
	case ok && a.Known && k.Takes.N > 1:
		return "the last number " + k.Takes.of(a.N) + byDefault + a.Words
	case ok && a.Known:
		return k.Takes.of(a.N) + byDefault + a.Words
	case a.Words == "":
		return ""
	}
	return strings.TrimPrefix(a.Words, ", ") + byDefault
}

// Usual is the default of a setting for the newest kernel and any host, as people write it:
// "4,096"; as the kernel prints it where it is no number; "" where it follows from the
// host.
func Usual(key string) string {
	k, nothing := Lookup(key), host.Snapshot{}
	if k == nil {
		return ""
	}
	a, ok := k.Default.Amount(Host{Read: nothing.Read()})
	if ok && a.Known {
		return figure.Count(a.N)
	}
	return k.Default.Value
}

// of is a number with its unit.
func (t Takes) of(n int64) string { return strings.TrimSpace(figure.Count(n) + " " + t.Unit) }

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
		out += " since Linux " + s.Own.By.String()
		if !s.Own.After.IsZero() {
			out += " at the latest"
		}
	}
	switch {
	case k.Takes.Kind == Shown:
		return out
	case s.Copied:
		return out + ", a new one copies that of the initial one"
	}
	return out + ", not inherited"
}
