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

// sysctls reads every sysctl that some limit needs or explains, so that a new limit needs nothing
// here.
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
	names = slices.DeleteFunc(names, func(n string) bool { return !knob.IsSysctl(n) })
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

func (s *subject) whyNoSysctl(name string, err error) string {
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return why(err)
	case !s.shows(name):
		return host.Masked
	case isConntrack(name) && (s.initial || name != conntrackAlias):
		return host.NoConntrack
	case !s.initial && isHostOnly(name):
		return host.InChild
	}
	return host.NoSetting
}

// shows says whether the part of /proc/sys is there in which a sysctl would be: a container may hide
// it, which says nothing of the kernel. Each part has a sysctl that no kernel lacks.
func (s *subject) shows(name string) bool {
	always := map[string]string{"fs": "fs.file-max", "net": somaxconn, "vm": "vm.overcommit_memory"}
	top, _, _ := strings.Cut(name, ".")
	_, err := s.root.Sysctl(cmp.Or(always[top], "kernel.osrelease"))
	return !errors.Is(err, fs.ErrNotExist)
}

// conntrackAlias is the old name of nf_conntrack_max, in the initial namespace only.
const conntrackAlias = "net.nf_conntrack_max"

func isConntrack(name string) bool {
	return strings.HasPrefix(name, "net.netfilter.nf_conntrack_") || name == conntrackAlias
}

// hostOnlyNames exist in the initial network namespace alone (net/core/sysctl_net_core.c
// net_core_table, net/ipv4/sysctl_net_ipv4.c ipv4_table): measured on 6.18, but for the last line,
// which child namespaces show since 6.11 (19249c0724f2).
const hostOnlyNames = `
net.core.busy_poll net.core.busy_read net.core.default_qdisc net.core.dev_weight net.core.dev_weight_rx_bias net.core.dev_weight_tx_bias
net.core.flow_limit_cpu_bitmap net.core.flow_limit_table_len net.core.gro_normal_batch net.core.high_order_alloc_disable net.core.max_skb_frags
net.core.mem_pcpu_rsv net.core.message_burst net.core.message_cost net.core.netdev_budget net.core.netdev_budget_usecs net.core.netdev_max_backlog
net.core.netdev_tstamp_prequeue net.core.rps_sock_flow_entries net.core.skb_defer_max net.core.warnings
net.ipv4.inet_peer_maxttl net.ipv4.inet_peer_minttl net.ipv4.inet_peer_threshold net.ipv4.tcp_available_ulp net.ipv4.tcp_low_latency
net.ipv4.tcp_max_orphans net.ipv4.tcp_mem net.ipv4.udp_mem net.nf_conntrack_max
net.core.rmem_max net.core.wmem_max net.core.rmem_default net.core.wmem_default net.core.optmem_max
`

// isHostOnly says whether a sysctl exists in the initial network namespace alone; of the neighbour
// table that is all of "default".
func isHostOnly(name string) bool {
	return strings.Contains(name, ".neigh.default.") || slices.Contains(strings.Fields(hostOnlyNames), name)
}
