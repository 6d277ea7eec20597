package plan

import (
	"cmp"

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
