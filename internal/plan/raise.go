package plan

import (
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

// value is the text of a fact or of a field of a row.
func value(s host.Snapshot, f host.Fact) (string, bool) {
	row, field, isField := strings.Cut(f.Name, "#")
	x, ok := s.Lookup(host.Fact{Kind: f.Kind, Name: row})
	if !ok || x.Err != "" {
		return "", false
	}
	if !isField {
		return x.Text, true
	}
	r, _ := s.Read().Row(f.Kind, row)
	return r.Fields.Lookup(field)
}

// Raises says whether a change gives more than there was, as each change of a plan does,
// and is of no setting that no plan touches.
func (c Change) Raises() bool { return raises(c.Target.Fact(), c.From, c.To) }

// raises says whether a value gives more than another and nothing less.
func raises(f host.Fact, from, to string) bool {
	if f.Kind == host.SysctlKind {
		return knob.Gives(f.Name, from, to)
	}
	return knob.Gives("", from, to)
}
