package plan

import (
	"slices"
	"strings"

	"github.com/maxconn/maxconn/internal/host"
)

// turns is the order in which the kernel takes the changes. A sysctl that is not named comes last of all but links.
//   - fs.nr_open bounds the hard limit and that the soft one (kernel/sys.c do_prlimit);
//   - somaxconn cuts what listen() asks for (net/socket.c __sys_listen_socket);
//   - the low end of the port range may not be below ip_unprivileged_port_start, and servers inside the range are
//     reserved before connections can take their ports;
//   - tcp_tw_reuse does nothing without timestamps;
//   - the hash table of conntrack grows before its maximum, so that chains never get long;
//   - gc_thresh3, 2, 1 from the top, so that they stay in order all the time.
var turns = []string{
	"fs.nr_open", "fs.file-max", "fs.epoll.max_user_watches", "kernel.threads-max", "kernel.pid_max", "vm.max_map_count",
	"process#hard", "process#soft",
	"net.core.somaxconn", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_max_syn_backlog", "listener#limit",
	"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_local_port_range",
	"net.ipv4.tcp_timestamps", "net.ipv4.tcp_tw_reuse",
	"net.netfilter.nf_conntrack_buckets", "net.netfilter.nf_conntrack_max",
	"net.ipv4.neigh.default.gc_thresh3", "net.ipv4.neigh.default.gc_thresh2", "net.ipv4.neigh.default.gc_thresh1",
	"net.ipv6.neigh.default.gc_thresh3", "net.ipv6.neigh.default.gc_thresh2", "net.ipv6.neigh.default.gc_thresh1",
}

// turn is when a fact is written.
func turn(f host.Fact) int {
	name := f.Name
	if f.Kind != host.SysctlKind {
		_, field, _ := strings.Cut(f.Name, "#")
		name = string(f.Kind) + "#" + field
	}
	if i := slices.Index(turns, name); i >= 0 {
		return i
	}
	if f.Kind == host.SysctlKind {
		return len(turns)
	}
	return len(turns) + 1
}
