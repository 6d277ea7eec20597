package plan

import (
	"strings"

	"github.com/maxconn/maxconn/internal/host"
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
	return "the kernel, which computes it from the memory, or whoever set it"
}

func shown(value string) string {
	if value == "" {
		return "empty"
	}
	return value
}

// usual is the default of a sysctl where it does not depend on the host, for kernels from 4.4 on.
func usual(name string, kernel host.Release) (value string, fixed bool) {
	switch name {
	case "fs.nr_open":
		return "1048576", true
	case "net.core.somaxconn":
		if kernel.Before(5, 4) {
			return "128", true // 19f92a030ca6
		}
		return "4096", true
	case "net.ipv4.ip_local_port_range":
		return "32768 60999", true
	case "net.ipv4.ip_local_reserved_ports":
		return "", true
	case "net.ipv4.tcp_tw_reuse":
		if kernel.Before(4, 19) {
			return "0", true // 79e9fed46038
		}
		return "2", true
	case "net.ipv4.tcp_timestamps", "net.ipv4.tcp_syncookies":
		return "1", true
	case "net.core.netdev_max_backlog":
		return "1000", true
	case "vm.max_map_count":
		return "65530", true
	}
	thresholds := map[string]string{"gc_thresh1": "128", "gc_thresh2": "512", "gc_thresh3": "1024"}
	value, fixed = thresholds[name[strings.LastIndexByte(name, '.')+1:]]
	return value, fixed
}
