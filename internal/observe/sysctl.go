package observe

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
	"github.com/maxconn/maxconn/internal/limit"
)

// sysctls reads every sysctl that some limit needs or explains, so that a new limit needs
// nothing here.
func (s *subject) sysctls() {
	for _, name := range sysctlNames(limit.Catalogue()) {
		text, err := s.root.Sysctl(name)
		if err != nil {
			s.miss(s.whyNoSysctl(name, err), host.Sysctl(name))
			continue
		}
		s.snapshot.Set(host.Sysctl(name), text)
	}
}

// sysctlNames lists the sysctls in the needs and the knobs of limits, sorted.
func sysctlNames(limits []*limit.Limit) []string {
	names := []string{portRange, reservedPorts, somaxconn}
	for _, l := range limits {
		for _, f := range l.Needs {
			if f.Kind == host.SysctlKind {
				names = append(names, f.Name)
			}
		}
		for _, k := range l.Knobs {
			names = append(names, k.Name)
		}
	}
	names = slices.DeleteFunc(names, func(n string) bool { return !isSysctl(n) })
	slices.Sort(names)
	return slices.Compact(names)
}

// The sysctls that this package looks at itself.
const (
	portRange     = "net.ipv4.ip_local_port_range"
	reservedPorts = "net.ipv4.ip_local_reserved_ports"
	somaxconn     = "net.core.somaxconn"
	hostOnly      = "net.core.netdev_max_backlog" // net/core/sysctl_net_core.c: in net_core_table, which init_net alone has
)

// isSysctl tells the name of a sysctl from that of another knob, such as
// "RLIMIT_NOFILE" or "backlog argument of listen()".
func isSysctl(name string) bool {
	top, rest, ok := strings.Cut(name, ".")
	return ok && rest != "" && slices.Contains([]string{"fs", "kernel", "net", "user", "vm"}, top) &&
		strings.Trim(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./") == ""
}

func (s *subject) whyNoSysctl(name string, err error) string {
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return why(err)
	case isConntrack(name) && (s.initial || name != conntrackAlias):
		return whyNoConntrack
	case !s.initial && isHostOnly(name):
		return whyChild
	}
	return "this kernel has no such setting"
}

// conntrackAlias is the old name of nf_conntrack_max, in the initial namespace only.
const conntrackAlias = "net.nf_conntrack_max"

func isConntrack(name string) bool {
	return strings.HasPrefix(name, "net.netfilter.nf_conntrack_") || name == conntrackAlias
}

// isHostOnly says whether a sysctl exists in the initial network namespace
// alone (measured on 6.18; net/core/sysctl_net_core.c net_core_table,
// net/ipv4/sysctl_net_ipv4.c ipv4_table, net/core/neighbour.c neigh_sysctl_register).
func isHostOnly(name string) bool {
	switch name {
	case "net.ipv4.tcp_mem", "net.ipv4.udp_mem", "net.ipv4.tcp_max_orphans", "net.core.mem_pcpu_rsv",
		"net.core.default_qdisc", "net.core.rps_sock_flow_entries", conntrackAlias:
		return true
	case "net.core.rmem_max", "net.core.wmem_max", "net.core.rmem_default", "net.core.wmem_default", "net.core.optmem_max":
		return true // before 6.11 (19249c0724f2)
	}
	return strings.HasPrefix(name, "net.core.netdev_") || strings.HasPrefix(name, "net.core.dev_weight") ||
		strings.Contains(name, ".neigh.default.gc_thresh") || strings.Contains(name, ".neigh.default.gc_interval")
}
