package limit

import (
	"slices"
	"strings"
	"testing"

	"github.com/maxconn/maxconn/internal/host"
)

// hostWide says whether what a fact counts may have happened in any namespace (host/kinds.go).
func hostWide(f host.Fact) bool {
	switch f.Kind {
	case host.SoftnetKind, host.SlabKind, host.ProtocolKind, host.MeminfoKind, host.LoadavgKind:
		return true
	case host.NeighbourKind:
		return !strings.HasPrefix(f.Name, "own.")
	case host.SockstatKind:
		return slices.Contains([]string{"TCP.orphan", "TCP.alloc", "TCP.mem"}, f.Name)
	case host.SysctlKind:
		return strings.HasPrefix(f.Name, "fs.") || strings.HasPrefix(f.Name, "kernel.")
	}
	return false
}

// What moved on the host and not in the namespace is nothing that the namespace suffers from:
// every host-wide fact that any limit needs moves, while the namespace is idle.
func TestHostWideCountersBlameNobody(t *testing.T) {
	for _, scope := range []string{"initial", "child"} {
		s := parseCase(t, []byte(idleNamespace))
		s.Set(host.System("scope"), scope)
		moved := 0
		for _, l := range Catalogue() {
			for _, f := range l.Needs {
				moved += moveHostWide(&s, f)
			}
		}
		if moved < 8 {
			t.Fatalf("only %d host-wide figures move", moved)
		}
		for _, l := range Catalogue() {
			gauges, r := l.Evaluate(s, Workload{})
			if r.Err() != nil {
				continue
			}
			for _, g := range gauges {
				if g.Refusing || g.Harms || g.Refused != 0 {
					t.Errorf("%s namespace: %s at %s blames it: %s", scope,
						l.ID, g.Subject.Name, g.Cause)
				}
			}
		}
	}
}

// moveHostWide lets a fact, or each figure of each row of a table, move by much.
func moveHostWide(s *host.Snapshot, f host.Fact) (n int) {
	move := func(name string) {
		s.Set(host.Fact{Kind: host.MovedKind, Name: name}, "1000000")
		n++
	}
	switch {
	case !hostWide(host.Fact{Kind: f.Kind, Name: f.Name}):
	case f != host.All(f.Kind):
		move(string(f.Kind) + "/" + f.Name)
	default:
		for _, row := range s.Read().Rows(f.Kind) {
			for _, field := range row.Fields {
				move(string(f.Kind) + "/" + row.Name() + "/" + field.Name)
			}
		}
	}
	return n
}

const idleNamespace = `
system window = 10s
system kernel = 6.18.0
system page-size = 4096
sysctl net.core.netdev_max_backlog = 1000
sysctl net.core.somaxconn = 4096
sysctl net.ipv4.ip_local_port_range = 32768 60999
sysctl net.ipv4.ip_local_reserved_ports =
sysctl net.ipv4.tcp_tw_reuse = 2
sysctl net.ipv4.tcp_timestamps = 1
sysctl net.ipv4.tcp_max_tw_buckets = 131072
sysctl net.ipv4.tcp_max_orphans = 65536
sysctl net.ipv4.tcp_mem = 100000 130000 200000
sysctl net.ipv4.neigh.default.gc_thresh1 = 128
sysctl net.ipv4.neigh.default.gc_thresh2 = 512
sysctl net.ipv4.neigh.default.gc_thresh3 = 1024
sysctl net.ipv6.neigh.default.gc_thresh3 = 1024
sysctl fs.file-nr = 4000 0 800000
sysctl fs.file-max = 800000
sysctl kernel.threads-max = 100000
sysctl kernel.pid_max = 4194304
softnet cpu0 = processed=9000000 dropped=2000000 squeezed=3 flow_limit=0
neighbour arp.entries = 40
neighbour arp.table_fulls = 2000000
neighbour ndisc.entries = 40
neighbour ndisc.table_fulls = 2000000
neighbour own.ipv4 = 0
neighbour own.ipv6 = 0
sockstat TCP.inuse = 0
sockstat TCP.tw = 0
sockstat TCP.orphan = 30
sockstat TCP.alloc = 4000
sockstat TCP.mem = 900
counter TcpExt.TCPAbortOnMemory = 0
counter TcpExt.TCPMemoryPressures = 0
counter TcpExt.ListenOverflows = 0
meminfo MemTotal = 8000000
meminfo MemAvailable = 4000000
loadavg threads = 700
protocol TCP = size=2432 sockets=4000 memory=900
slab TCP = active=4000 objects=4000 size=2432
link lo = index=1 kind=loopback up=yes mtu=65536 rx_dropped=0 tx_dropped=0 backlog=netif_rx
ports listening =
ports bound =
`
