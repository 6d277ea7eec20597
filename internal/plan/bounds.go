package plan

import (
	"cmp"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// bound is what a plan may write to one setting, as its row says. The row is what the catalogue
// proposes: TestProperties holds each to it.
type bound struct {
	name   string   // a sysctl, or the kind of another target and its field
	limits []string // the limits that lift it, by their IDs
	form   form
	// least and most bound each number of the new value.
	least, most int64
}

// form is how the value of a setting is written.
type form int

const (
	oneNumber    form = iota
	threeNumbers      // separated by blanks
	portPair          // the first and the last port of a range
	portList
)

// bounds are all settings that a plan may write to.
var bounds = boundsOf(knob.Rows())

func boundsOf(rows []*knob.Knob) (all []bound) {
	for _, k := range rows {
		if p := k.Plan; p != nil {
			all = append(all, bound{
				cmp.Or(k.Field, k.Name), p.Limits, formOf(k.Takes), p.Least, p.Most,
			})
		}
	}
	return all
}

func formOf(t knob.Takes) form {
	switch {
	case t.Kind == knob.PortList:
		return portList
	case t.Kind == knob.Ports:
		return portPair
	case t.N == 3:
		return threeNumbers
	}
	return oneNumber
}

// turn is when a fact is written: in the order of the table of settings. A sysctl that is not in it
// comes after all others, and devices come last.
func turn(f host.Fact) int {
	if f.Kind == host.SysctlKind {
		return knob.Turn(f.Name)
	}
	_, field, _ := strings.Cut(f.Name, "#")
	n := knob.Turn(string(f.Kind) + "#" + field)
	if f.Kind == host.LinkKind {
		n += len(knob.All())
	}
	return n
}

// owner is who set the value that is there now.
func (m *maker) owner(t taken, from string) string {
	f := t.remedy.Change.Fact
	if f.Kind != host.SysctlKind {
		return t.need.Gauge.Owner
	}
	if m.options.Owner != nil {
		if o := m.options.Owner(f.Name, from); o != "" {
			return o
		}
	}
	standard, fixed := usual(f.Name, m.now.Read().Kernel())
	switch {
	case fixed && standard == from:
		return "kernel default"
	case fixed:
		return "somebody set it; the kernel's default is " + shown(standard)
	}
	return "the kernel, which computes it from the memory, or an unknown writer"
}

func shown(value string) string {
	if value == "" {
		return "empty"
	}
	return value
}

// usual is the default of a sysctl where it does not depend on the host.
func usual(name string, kernel host.Release) (value string, fixed bool) {
	if k := knob.Lookup(name); k != nil {
		return k.Default.Fixed(kernel)
	}
	return "", false
}
