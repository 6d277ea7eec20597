package host

import "strings"

// Reasons why a fact is missing, in the words in which snapshots hold them. Recorded
// snapshots have them: they do not change.
const (
	Denied      = "permission denied"
	Absent      = "this kernel does not have it"
	NoSetting   = "this kernel has no such setting"
	NoConntrack = "nf_conntrack is not loaded"
	InChild     = "not visible in a child network namespace"
	Masked      = "/proc/sys is not visible here"
	// NotInSnapshot is never recorded: an older maxconn did not look, or the file was cut.
	NotInSnapshot = "the snapshot does not have it"
	// NotListed is of kernels before Linux 6.8.
	NotListed = "this kernel does not list sockets that are bound and nothing else (Linux " +
		"6.8 does)"
	// Unlisted: a kernel's own sockets, as those of NFS, have an inode like those of
	// programs (net/socket.c __sock_create).
	Unlisted = "sockets of this namespace are held by processes that this /proc does not " +
		"list (another pid namespace), or by the kernel"
	// Unasked: who decides on connect() in a cgroup, and what the maps of a datapath hold, are
	// told to those alone who have CAP_NET_ADMIN and CAP_SYS_ADMIN.
	Unasked = "only root with CAP_NET_ADMIN and CAP_SYS_ADMIN may ask eBPF"
	// HiddenRules: nf_tables answers to CAP_NET_ADMIN, and the names of the older iptables'
	// tables are in a file of the host's root (net/netfilter/x_tables.c xt_proto_init, mode
	// 0440).
	HiddenRules = "only root with CAP_NET_ADMIN may see firewall rules"
	// NoStatistics is of a device whose driver counts nothing.
	NoStatistics = "its driver gives no statistics"
)

// Untellable says whether a reason is that the kernel, a driver or the rights of the user tell
// nobody here: what lies behind may bound connections, and is as little known as what a program
// allows itself.
func Untellable(why string) bool {
	return strings.HasPrefix(why, NotListed) || strings.HasPrefix(why, Unasked) ||
		strings.HasPrefix(why, HiddenRules) || strings.HasPrefix(why, NoStatistics)
}

// NoFile is the reason for a file of /proc that is not there. It does not blame the kernel:
// a container may hide it.
func NoFile(name string) string { return "/proc/" + name + notThere }

const notThere = " does not exist"

// IsAbsence says whether a reason is that the file or setting is not there, in the words
// above or of the C library. A fact that a snapshot just lacks is not known to be absent.
func IsAbsence(why string) bool {
	return why == NoConntrack || why == NoSetting || why == Absent ||
		strings.Contains(why, "no such file") || strings.HasSuffix(why, notThere)
}
