package plan

import (
	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
)

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
