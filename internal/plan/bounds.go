package plan

// bound is what a plan may write to one setting. A row is what the catalogue proposes:
// TestAdmitsItsOwnPlans holds each to it.
type bound struct {
	name   string   // a sysctl, or the kind of another target and its field
	limits []string // the limits that lift it, by their IDs
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
	{"fs.nr_open", []string{"process-files"}, oneNumber, 1, mostOpen},
	{"process#hard", []string{"process-files"}, oneNumber, 1, mostOpen},
	{"process#soft", []string{"process-files"}, oneNumber, 1, mostOpen},
	{"fs.file-max", []string{"system-files"}, oneNumber, 8192, 1 << 41},
	{"fs.epoll.max_user_watches", []string{"epoll-watches"}, oneNumber, 8192, mostInt},
	{"kernel.threads-max", []string{"threads"}, oneNumber, 1, mostThreads},
	{"kernel.pid_max", []string{"threads"}, oneNumber, 1, mostPIDs},
	{"vm.max_map_count", []string{"threads"}, oneNumber, 1, mostInt},
	{"net.core.somaxconn", []string{"accept-queue", "syn-queue"}, oneNumber, 1, mostInt},
	{"listener#limit", []string{"accept-queue", "syn-queue"}, oneNumber, 1, mostInt},
	{"net.ipv4.tcp_max_syn_backlog", []string{"syn-queue"}, oneNumber, 1, mostInt},
	{"net.core.netdev_max_backlog", []string{"receive-backlog"}, oneNumber, 4096, 4096},
	{"link#txqueuelen", []string{"transmit-queue"}, oneNumber, 1000, 1000},
	{
		"net.ipv4.ip_local_port_range",
		[]string{"ephemeral-ports", "time-wait"},
		portPair,
		1024,
		65535,
	},
	{
		"net.ipv4.ip_local_reserved_ports",
		[]string{"ephemeral-ports", "time-wait"},
		portList,
		0,
		65535,
	},
	{"net.ipv4.tcp_timestamps", []string{"time-wait"}, oneNumber, 1, 1},
	{"net.ipv4.tcp_tw_reuse", []string{"time-wait"}, oneNumber, 1, 1},
	{"net.ipv4.tcp_max_tw_buckets", []string{"time-wait-buckets"}, oneNumber, 4096, mostInt},
	{"net.ipv4.tcp_max_orphans", []string{"orphans"}, oneNumber, 4096, mostInt},
	{"net.ipv4.tcp_mem", []string{"tcp-memory"}, threeNumbers, 1, 1 << 41},
	{"net.netfilter.nf_conntrack_buckets", []string{"conntrack"}, oneNumber, 1, 1 << 30},
	{"net.netfilter.nf_conntrack_max", []string{"conntrack"}, oneNumber, 1, 1 << 30},
	{"net.ipv4.neigh.default.gc_thresh1", []string{"neighbour-table"}, oneNumber, 1, 1 << 29},
	{"net.ipv4.neigh.default.gc_thresh2", []string{"neighbour-table"}, oneNumber, 1, 1 << 29},
	{"net.ipv4.neigh.default.gc_thresh3", []string{"neighbour-table"}, oneNumber, 1, 1 << 29},
	{"net.ipv6.neigh.default.gc_thresh1", []string{"neighbour-table"}, oneNumber, 1, 1 << 29},
	{"net.ipv6.neigh.default.gc_thresh2", []string{"neighbour-table"}, oneNumber, 1, 1 << 29},
	{"net.ipv6.neigh.default.gc_thresh3", []string{"neighbour-table"}, oneNumber, 1, 1 << 29},
}
