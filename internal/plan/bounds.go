package plan

import "github.com/maxconn/maxconn/internal/limit"

// bound is what a plan may write to one setting. A row is what the catalogue proposes:
// TestAdmitsItsOwnPlans holds each to it.
type bound struct {
	name   string     // a sysctl, or the kind of another target and its field
	limits []limit.ID // the limits that lift it, by their IDs
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

// The largest values that a plan has: an int of the kernel; what a process may have open (fs/file.c
// sysctl_nr_open_max); process numbers (include/linux/threads.h PID_MAX_LIMIT); thread numbers
// (include/uapi/linux/futex.h FUTEX_TID_MASK).
const (
	mostInt     = 1<<31 - 1
	mostOpen    = 2147483584
	mostPIDs    = 4 << 20
	mostThreads = 1<<30 - 1
)

// bounds are all settings that a plan may write to.
var bounds = []bound{
	{"fs.nr_open", []limit.ID{limit.ProcessFiles}, oneNumber, 64, mostOpen},
	{"process#hard", []limit.ID{limit.ProcessFiles}, oneNumber, 1, mostOpen},
	{"process#soft", []limit.ID{limit.ProcessFiles}, oneNumber, 1, mostOpen},
	{"fs.file-max", []limit.ID{limit.SystemFiles}, oneNumber, 8192, 1 << 41},
	{"fs.epoll.max_user_watches", []limit.ID{limit.EpollWatches}, oneNumber, 8192, mostInt},
	{"kernel.threads-max", []limit.ID{limit.Threads}, oneNumber, 20, mostThreads},
	{"kernel.pid_max", []limit.ID{limit.Threads}, oneNumber, 301, mostPIDs},
	{"vm.max_map_count", []limit.ID{limit.Threads}, oneNumber, 1, mostInt},
	{"net.core.somaxconn", []limit.ID{limit.AcceptQueue, limit.SYNQueue}, oneNumber, 1, mostInt},
	{"listener#limit", []limit.ID{limit.AcceptQueue, limit.SYNQueue}, oneNumber, 1, mostInt},
	{"net.ipv4.tcp_max_syn_backlog", []limit.ID{limit.SYNQueue}, oneNumber, 1, mostInt},
	{"net.core.netdev_max_backlog", []limit.ID{limit.ReceiveBacklog}, oneNumber, 4096, 4096},
	{"link#txqueuelen", []limit.ID{limit.TransmitQueue}, oneNumber, 1000, 1000},
	{
		"net.ipv4.ip_local_port_range",
		[]limit.ID{limit.EphemeralPorts, limit.TimeWait},
		portPair,
		1024,
		65535,
	},
	{
		"net.ipv4.ip_local_reserved_ports",
		[]limit.ID{limit.EphemeralPorts, limit.TimeWait},
		portList,
		0,
		65535,
	},
	{"net.ipv4.tcp_timestamps", []limit.ID{limit.TimeWait}, oneNumber, 1, 1},
	{"net.ipv4.tcp_tw_reuse", []limit.ID{limit.TimeWait}, oneNumber, 1, 1},
	{"net.ipv4.tcp_max_tw_buckets", []limit.ID{limit.TimeWaitBuckets}, oneNumber, 4096, mostInt},
	{"net.ipv4.tcp_max_orphans", []limit.ID{limit.Orphans}, oneNumber, 4096, mostInt},
	{"net.ipv4.tcp_mem", []limit.ID{limit.TCPMemory}, threeNumbers, 1, 1 << 41},
	{"net.netfilter.nf_conntrack_buckets", []limit.ID{limit.Conntrack}, oneNumber, 1, 1 << 30},
	{"net.netfilter.nf_conntrack_max", []limit.ID{limit.Conntrack}, oneNumber, 1, 1 << 30},
	{"net.ipv4.neigh.default.gc_thresh1", []limit.ID{limit.NeighbourTable}, oneNumber, 1, 1 << 29},
	{"net.ipv4.neigh.default.gc_thresh2", []limit.ID{limit.NeighbourTable}, oneNumber, 1, 1 << 29},
	{"net.ipv4.neigh.default.gc_thresh3", []limit.ID{limit.NeighbourTable}, oneNumber, 1, 1 << 29},
	{"net.ipv6.neigh.default.gc_thresh1", []limit.ID{limit.NeighbourTable}, oneNumber, 1, 1 << 29},
	{"net.ipv6.neigh.default.gc_thresh2", []limit.ID{limit.NeighbourTable}, oneNumber, 1, 1 << 29},
	{"net.ipv6.neigh.default.gc_thresh3", []limit.ID{limit.NeighbourTable}, oneNumber, 1, 1 << 29},
}
