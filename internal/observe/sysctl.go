package observe

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/knob"
	"github.com/maxconn/maxconn/internal/limit"
)

// sysctls reads every sysctl that some limit needs, or that can be explained, so that a new
// limit or setting needs nothing here.
func (s *subject) sysctls() {
	for _, name := range sysctlNames(limit.Catalogue(), knob.Rows()) {
		text, err := s.root.Sysctl(name)
		if err != nil {
			s.miss(s.whyNoSysctl(name, err), host.Sysctl(name))
			continue
		}
		s.snapshot.Set(host.Sysctl(name), text)
	}
}

// sysctlNames lists the sysctls in the needs of limits and among the settings, sorted.
func sysctlNames(limits []*limit.Limit, knobs []*knob.Knob) []string {
	names := []string{portRange, reservedPorts, somaxconn}
	for _, l := range limits {
		for _, f := range l.Needs {
			if f.Kind == host.SysctlKind {
				names = append(names, f.Name)
			}
		}
	}
	for _, k := range knobs {
		if k.IsSysctl() {
			names = append(names, k.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// The sysctls that this package looks at itself.
const (
	portRange     = "net.ipv4.ip_local_port_range"
	reservedPorts = "net.ipv4.ip_local_reserved_ports"
	somaxconn     = "net.core.somaxconn"
	// net/core/sysctl_net_core.c: in net_core_table, which init_net alone has
	hostOnly = "net.core.netdev_max_backlog"
)

func (s *subject) whyNoSysctl(name string, err error) string {
	k := knob.Find(name)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return why(err)
	case !s.shows(name):
		return host.Masked
	case k == nil || k.Gone(s.snapshot.Read().Kernel()):
		return host.NoSetting
	case k.Module == knob.Tracking && (s.initial || !k.Scope.Initial):
		return host.NoConntrack
	case !s.initial && s.hides(k.Scope):
		return host.InChild
	}
	return host.NoSetting
}

// hides says whether this kernel has such settings in the initial network namespace alone.
func (s *subject) hides(scope knob.Scope) bool {
	shown, sure := scope.InChild(s.snapshot.Read().Kernel())
	return !shown && sure
}

// shows says whether the part of /proc/sys is there in which a sysctl would be: a container
// may hide it, which says nothing of the kernel. Each part has a sysctl that no kernel
// lacks.
func (s *subject) shows(name string) bool {
	always := map[string]string{"fs": "fs.file-max", "net": somaxconn,
		"vm": "vm.overcommit_memory"}
	top, _, _ := strings.Cut(name, ".")
	_, err := s.root.Sysctl(cmp.Or(always[top], "kernel.osrelease"))
	return !errors.Is(err, fs.ErrNotExist)
}
