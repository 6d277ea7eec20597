package plan

import (
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

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
